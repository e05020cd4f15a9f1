//! The parameters of the operations that are offered: the one place for each.
//!
//! Name, form, bounds, text, example, and whether its value may be secret. The OpenAPI
//! document describes them from here ([`Parameter::described`]), the readers hold values
//! to these bounds ([`super::params::Params`]), and what is not in an operation's list is
//! refused by name ([`super::offered`]). `contract.json` stays the check.

pub mod access;
pub mod application;
pub mod cluster;
pub mod config;
pub mod insert;
pub mod network;
pub mod order;
pub mod package;
pub mod release;
mod shared;

use super::offered::OFFERS;
use serde_json::json;
use utoipa::openapi::{
    Required,
    path::{Parameter as Described, ParameterBuilder, ParameterIn},
    schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type},
};

/// The parameter that stands in the path, of our own operations.
const PLACE: &str = "id";

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub form: Form,
    /// Whether it must be there and not be empty.
    pub required: bool,
    /// Whether its value may hold a password, so that no error about its form repeats it.
    pub secret: bool,
    /// What it is, in sentences.
    pub about: &'static str,
    pub example: Option<&'static str>,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any text; its reader says what is understood.
    Text,
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number, bounds included.
    Integer { least: i64, most: i64, format: Format },
}

/// How many bits a number needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Int32,
    Int64,
}

const fn new(name: &'static str, form: Form) -> Parameter {
    Parameter { name, form, required: false, secret: false, about: "", example: None }
}

const fn text(name: &'static str) -> Parameter {
    new(name, Form::Text)
}

const fn boolean(name: &'static str) -> Parameter {
    new(name, Form::Boolean)
}

const fn integer(name: &'static str, least: i64, most: i64) -> Parameter {
    new(name, Form::Integer { least, most, format: Format::Int32 })
}

const fn long(name: &'static str, least: i64, most: i64) -> Parameter {
    new(name, Form::Integer { least, most, format: Format::Int64 })
}

/// Whether the value of a parameter of this name may hold a password, in any operation.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let parameters = OFFERS.iter().flat_map(|offer| offer.parameters);
    parameters.into_iter().any(|parameter| parameter.secret && parameter.name == name)
}

impl Parameter {
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Its description in the OpenAPI document.
    #[must_use]
    pub fn described(&self) -> Described {
        let schema = ObjectBuilder::new();
        let schema = match self.form {
            Form::Text => schema.schema_type(Type::String),
            Form::Boolean => schema.schema_type(Type::Boolean),
            Form::Integer { least, most, format } => {
                // A bound that the format has anyway is not worth a word.
                let (format, bounds) = match format {
                    Format::Int32 => {
                        (KnownFormat::Int32, (i64::from(i32::MIN), i64::from(i32::MAX)))
                    }
                    Format::Int64 => (KnownFormat::Int64, (i64::MIN, i64::MAX)),
                };
                schema
                    .schema_type(Type::Integer)
                    .format(Some(SchemaFormat::KnownFormat(format)))
                    .minimum((least != bounds.0).then_some(least))
                    .maximum((most != bounds.1).then_some(most))
            }
        };
        let example = self.example.map(|example| match self.form {
            Form::Integer { .. } => example.parse::<i64>().map_or(json!(example), |it| json!(it)),
            _ => json!(example),
        });
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(if self.name == PLACE { ParameterIn::Path } else { ParameterIn::Query })
            .required(if self.required { Required::True } else { Required::False })
            .description(Some(self.about))
            .schema(Some(schema.build()))
            .example(example)
            .build()
    }
}
