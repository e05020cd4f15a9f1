use rstest::rstest;
use serde_json::json;

use super::*;

fn message(error: ApiError) -> String {
    match error {
        ApiError::Gateway { code, message, .. } => format!("{code}: {message}"),
        ApiError::Business { message, .. } => message,
    }
}

#[test]
fn blanks_and_special_characters_are_decoded_in_every_form_that_clients_send() {
    let params = Params::parse("A=b+c%20d&B=%2A*%7E~&C=%C3%BC%2B&D&E=&F=a=b&").unwrap();
    let values: Vec<_> = ["A", "B", "C", "D", "E", "F", "G"].map(|name| params.raw(name)).into();
    assert_eq!(
        values,
        [Some("b c d"), Some("**~~"), Some("ü+"), Some(""), Some(""), Some("a=b"), None]
    );
}

#[test]
fn a_name_given_twice_is_refused() {
    let error = Params::parse("Replicas=1&Image=a&Replicas=2").unwrap_err();
    assert!(message(error).starts_with("InvalidReplicas: "));
    for text in
        ["Data=geheim&Data=geheim", "Data.1.Value=geheim&Data.1.Value=geheim", "Data=geheim%FF"]
    {
        let said = message(Params::parse(text).unwrap_err());
        assert!(
            said.contains("Data") && said.contains("(not shown)") && !said.contains("geheim"),
            "{said}"
        );
    }
    for name in ["Annotations", "Args", "Command", "CommandArgs", "InitContainers", "Sidecars"] {
        for text in [format!("{name}=geheim&{name}=geheim"), format!("{name}=geheim%00")] {
            assert!(!message(Params::parse(&text).unwrap_err()).contains("geheim"), "{text}");
        }
        let said = message(
            Params::parse(&format!("{name}=[\"geheim\"]"))
                .unwrap()
                .json::<Vec<u8>>(name, "bytes")
                .unwrap_err(),
        );
        assert!(said.contains("at [0]: expected u8") && !said.contains("geheim"), "{said}");
    }
    let mut query = Params::parse("A=1").unwrap();
    assert!(message(query.merge(Params::parse("A=1").unwrap()).unwrap_err()).contains("only once"));
}

fn names(count: usize, length: usize) -> String {
    (0..count).map(|number| format!("{number:0length$x}=1")).collect::<Vec<_>>().join("&")
}

#[test]
fn a_query_of_sixteen_thousand_names_is_refused_before_any_is_decoded() {
    for (count, length) in [(PARAMETERS + 1, 3), (16_000, 3), (60_000, 5)] {
        // Decoding would fail at the first.
        let said =
            message(Params::parse(&format!("%FF=1&{}", names(count - 1, length))).unwrap_err());
        assert!(
            said.starts_with("InvalidParameter: ") && said.contains("more than 1000 parameters"),
            "{said}"
        );
    }
    assert_eq!(
        Params::parse(&format!("{}{}", "&".repeat(60_000), names(PARAMETERS, 3)))
            .unwrap()
            .pairs()
            .len(),
        PARAMETERS
    );
}

#[test]
fn query_and_form_together_have_no_more_parameters_than_one() {
    let mut query = Params::parse("A=1").unwrap();
    assert!(
        message(query.merge(Params::parse(&names(PARAMETERS, 3)).unwrap()).unwrap_err())
            .contains("more than 1000 parameters")
    );
    query.merge(Params::parse(&names(PARAMETERS - 1, 3)).unwrap()).unwrap();
    assert_eq!(query.pairs().len(), PARAMETERS);
}

#[test]
fn a_name_of_five_thousand_levels_is_refused_and_nothing_is_built_of_it() {
    let name = |levels: usize| format!("Data{}.Key", ".a".repeat(levels - 1));
    assert!(
        message(Params::parse(&format!("{}=v", name(5000))).unwrap_err())
            .contains("more than 256 bytes")
    );
    let said = message(Params::parse(&format!("{}=geheim", name(NAME_DEPTH + 1))).unwrap_err());
    assert!(said.contains("at most 8 dots are allowed") && !said.contains("geheim"), "{said}");
    let read =
        Params::parse(&format!("{}=v", name(NAME_DEPTH))).unwrap().structured("Data", "").unwrap();
    assert_eq!(read, Field::Set(json!({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"Key":"v"}}}}}}}})));
}

#[test]
fn an_error_repeats_the_beginning_only_of_what_is_long() {
    let long = "x".repeat(60_000);
    for query in [
        format!("{long}=1"),
        format!("A={long}&A=1"),
        format!("A={long}%00"),
        format!("A={long}%FF"),
        format!("{}=%FF", &long[..256]),
    ] {
        let said = message(Params::parse(&query).unwrap_err());
        assert!(said.len() < 1200, "{said}");
    }
    assert!(
        message(
            Params::parse(&format!("A={long}")).unwrap().json::<u8>("A", "a number").unwrap_err()
        )
        .len()
            < 1200
    );
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(message(Params::parse("Desc=%FF").unwrap_err()).starts_with("InvalidDesc: "));
    assert!(message(Params::parse("%FF=1").unwrap_err()).starts_with("InvalidParameter: "));
}

#[test]
fn control_characters_are_refused_by_name_and_secrets_are_not_shown() {
    let said = |query: &str| message(Params::parse(query).unwrap_err());
    let text = said("Desc=ab%07c");
    assert!(
        text.starts_with("InvalidDesc: ")
            && text.contains("abc")
            && text.contains("U+0007 is its character 3"),
        "{text}"
    );
    assert!(said("Desc=%00").contains("U+0000"));
    assert!(said("A%00=1").starts_with("InvalidParameter: "));
    for secret in ["Envs=pass%07word", "PackageUrl=pass&PackageUrl=password", "Envs=pass%FF"] {
        assert!(
            said(secret).contains("(not shown)") && !said(secret).contains("pass"),
            "{}",
            said(secret)
        );
    }
    assert!(Params::parse("Command=a%0Ab%09c%0D%0A").is_ok());
}

#[test]
fn json_that_hides_a_nul_is_refused() {
    assert!(notation::json::<Value>(r#"["a\u0000"]"#).unwrap_err().contains("U+0000"));
    assert!(notation::json::<Value>(r#"["\\\u0000"]"#).unwrap_err().contains("U+0000"));
    assert_eq!(notation::json::<Value>(r#"["\\u0000"]"#).unwrap(), json!(["\\u0000"]));
}

#[test]
fn empty_is_present_but_counts_as_missing_where_a_value_is_required() {
    let params = Params::parse("AppId=&Command=").unwrap();
    assert_eq!((params.raw("Command"), params.text("Command")), (Some(""), None));
    assert_eq!(
        message(params.required("AppId").unwrap_err()),
        "MissingAppId: AppId is mandatory for this action."
    );
}

#[rstest]
#[case("True", Some(true))]
#[case("true", Some(true))]
#[case("FALSE", Some(false))]
#[case("", None)]
fn booleans_are_read_in_any_case(#[case] text: &str, #[case] expected: Option<bool>) {
    assert_eq!(
        Params::parse(&format!("Confirm={text}")).unwrap().boolean("Confirm").unwrap(),
        expected
    );
}

#[test]
fn a_boolean_that_is_none_is_refused() {
    let error = Params::parse("Confirm=yes").unwrap().boolean("Confirm").unwrap_err();
    let text = message(error);
    assert!(
        text.contains("Confirm") && text.contains("yes") && text.contains("true or false"),
        "{text}"
    );
}

#[rstest]
#[case("-1")]
#[case("11")]
#[case("1.5")]
#[case("a")]
#[case("99999999999999999999")]
fn a_number_out_of_range_is_refused_with_name_value_and_range(#[case] text: &str) {
    let params = Params::parse(&format!("Batch={text}")).unwrap().of("RollbackApplication");
    let error = params.integer::<i32>("Batch").unwrap_err();
    let said = message(error);
    assert!(
        said.starts_with("InvalidBatch: ") && said.contains(text) && said.contains("from 1 to 5"),
        "{said}"
    );
}

#[test]
fn a_parameter_that_the_operation_does_not_have_is_not_read() {
    let params = Params::parse("Batch=1&Replicas=x&Envs=1").unwrap().of("RollbackApplication");
    assert_eq!(params.integer::<i32>("Batch").unwrap(), Some(1));
    assert_eq!(params.integer::<i32>("Replicas").unwrap(), None);
    assert_eq!((params.raw("Envs"), params.pairs().len()), (None, 3));
}

#[rstest]
#[case("", Field::Clear)]
#[case("{}", Field::Clear)]
#[case("[]", Field::Clear)]
#[case("null", Field::Keep)]
#[case("[1]", Field::Set(json!([1])))]
fn empty_json_clears_and_null_keeps(#[case] text: &str, #[case] expected: Field<Value>) {
    let params = Params { pairs: vec![("P".into(), text.into())], offer: None };
    assert_eq!(params.json("P", "").unwrap(), expected);
    assert_eq!(Params::default().json::<Value>("P", "").unwrap(), Field::Keep);
}

#[test]
fn a_structure_is_read_as_json_and_from_names_that_lead_into_it() {
    let read = |query: &str| Params::parse(query).unwrap().structured("Data", "a list");
    let whole = json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "" }]);
    assert_eq!(
        read("Data.2.Key=b&Data.1.Value=1&Data.1.Key=a&Data.2.Value=&Database=x").unwrap(),
        Field::Set(whole)
    );
    assert_eq!(read("Data=[1]").unwrap(), Field::Set(json!([1])));
    assert_eq!(read("Database=x").unwrap(), Field::Keep);
    let twelve =
        (1..=12).map(|number| format!("Data.{number}={number}")).collect::<Vec<_>>().join("&");
    let Field::Set(Value::Array(items)) = read(&twelve).unwrap() else { panic!("must be a list") };
    assert_eq!((items.len(), &items[11]), (12, &json!("12")));
    for (query, says) in [
        ("Data.1=a&Data.1.Key=b", "Data.1.Key has the value (not shown): lies within another"),
        ("Data.1.Key=b&Data.1=a", "Data.1 has the value (not shown): has others within it"),
        ("Data.2=a", "Data.2 has the value (not shown): belongs to a list that is not counted"),
        ("Data.0=a", "not counted from 1"),
        ("Data.1=a&Data.01=b", "not counted from 1"),
        ("Data=[1]&Data.1=a", "Data.1 has the value (not shown): is given as a whole, too"),
    ] {
        let said = message(read(query).unwrap_err());
        assert!(said.contains(says) && said.contains("a list"), "{query}: {said}");
    }
}

#[test]
fn wrong_json_is_refused_with_the_place() {
    let read = |text: &str| {
        message(
            Params { pairs: vec![("P".into(), text.into())], offer: None }
                .json::<Vec<u8>>("P", "a list of bytes")
                .unwrap_err(),
        )
    };
    assert!(read("[1,\"x\"]").contains("at [1]"), "{}", read("[1,\"x\"]"));
    assert!(read("[1").contains("EOF"), "{}", read("[1"));
    assert!(read("[1] 2").contains("behind"), "{}", read("[1] 2"));
    assert!(
        read("[1").contains("parameter P has the value [1")
            && read("[1").contains("a list of bytes")
    );
}
