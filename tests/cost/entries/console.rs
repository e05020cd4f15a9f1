//! The console's forms, and what it shows of pod templates.

use console::{FORM_LIMIT, Form, diff};
use serde_json::{Value, json};

use crate::{
    entry::{Entry, accepted, refused, text_job},
    measure::Job,
};

const FORM: &[&str] = &["console::form::Form::read", "console::form::Form::number"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a form of as many fields as may be", FORM, 15, |n| {
            let value = "%20+".repeat(1000);
            let form: String = (0..n).map(|at| format!("f{at}={value}&")).collect();
            text_job(form, |text| Form::read(text.as_bytes()).is_ok())
        }),
        refused("a form of ampersands and names", FORM, FORM_LIMIT / 3, |n| {
            text_job("a=&".repeat(n), |text| Form::read(text.as_bytes()).is_ok())
        }),
        refused("a form that is one value", FORM, FORM_LIMIT - 2, |n| {
            text_job(format!("a={}", "%41".repeat(n / 3)), |text| {
                Form::read(text.as_bytes()).is_ok()
            })
        }),
        refused("a form with a number of many digits", FORM, 4000, |n| {
            text_job(format!("a={}", "9".repeat(n)), |text| {
                Form::read(text.as_bytes()).is_ok_and(|form| form.number::<i32>("a", "a").is_ok())
            })
        }),
        accepted("two templates with nothing in common", &["service::diff::diff"], 400, |n| {
            let template = |word: &'static str| -> Value {
                (0..n).map(|at| json!({ "name": format!("{word}{at}"), "value": word })).collect()
            };
            let (before, after) = (template("a"), template("b"));
            let job: Job = Box::new(move || !diff(&before, &after).is_empty());
            job
        }),
    ]
}
