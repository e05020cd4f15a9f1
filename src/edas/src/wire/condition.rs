//! `Condition`: which of the objects that are listed.

use serde::Deserialize;

use super::{error::ApiError, params::Params};
use domain::template::spec::Field;

/// Which of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    field: ConditionField,
    pattern: String,
}

#[derive(Debug, Deserialize)]
enum ConditionField {
    Name,
    ClusterName,
}

impl Condition {
    /// Reads it; none = all.
    ///
    /// # Errors
    /// A business error with what is allowed.
    pub fn read(params: &Params) -> Result<Option<Self>, ApiError> {
        match params
            .json("Condition", r#"allowed is {"field":"Name" or "ClusterName","pattern":"…"}"#)?
        {
            Field::Set(condition) => Ok(Some(condition)),
            Field::Keep | Field::Clear => Ok(None),
        }
    }

    /// Whether an object with this name, on this cluster, is one of them: the name begins so.
    #[must_use]
    pub fn has(&self, name: &str, cluster: &str) -> bool {
        let text = match self.field {
            ConditionField::Name => name,
            ConditionField::ClusterName => cluster,
        };
        text.starts_with(&self.pattern)
    }
}
