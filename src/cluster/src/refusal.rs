//! The API server's words for a no, fit to be shown.
//!
//! An object that it cannot read it quotes as a whole, with every value of it, passwords
//! and all; only what is wrong with it is of use. Pure.

/// `message` without the object that it quotes.
pub(super) fn redact(message: &str) -> String {
    const QUOTE: &str = "Invalid value: \"{";
    let Some(start) = message.find(QUOTE) else { return message.to_owned() };
    let mut is_escaped = false;
    let end = message[start + QUOTE.len()..].find(|character| {
        let ends = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    });
    // What stands before it is the place of the object in the request, which is ours.
    let rest = end
        .map(|end| message[start + QUOTE.len() + end..].trim_start_matches(['"', ':', ' ']))
        .filter(|rest| !rest.is_empty());
    // What is left may quote another one.
    rest.map_or_else(|| "it cannot be read".to_owned(), redact)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        r#" "" is invalid: patch: Invalid value: "{\"a\":\"geheim \\\" x\\\\\",\"b\":{}}": strict decoding error: unknown field "spec.b""#,
        r#"strict decoding error: unknown field "spec.b""#
    )]
    #[case(
        r#"x: Invalid value: "{\"a\":\"geheim\"}": json: cannot unmarshal string into Go struct field"#,
        "json: cannot unmarshal string into Go struct field"
    )]
    #[case(
        r#"x: Invalid value: "{\"a\":\"geheim\"}": no; y: Invalid value: "{\"b\":\"geheim\"}": neither"#,
        "neither"
    )]
    #[case(r#"x: Invalid value: "{\"a\":\"geheim\"}""#, "it cannot be read")]
    #[case(r#"x: Invalid value: "{\"a\":\"geheim"#, "it cannot be read")]
    #[case(
        r#"spec.replicas: Invalid value: -1: must be greater than or equal to 0"#,
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    )]
    #[case(
        r#"name: Invalid value: "A b": must be lower case"#,
        r#"name: Invalid value: "A b": must be lower case"#
    )]
    fn an_object_is_not_quoted(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(redact(message), expected);
    }
}
