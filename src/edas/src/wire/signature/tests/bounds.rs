//! What a signature may cover: past the limits a request is refused before anything is
//! hashed or built of it.

use rstest::rstest;

use super::*;
use domain::limits::{KEY_ID, SIGNED_HEADER_BYTES, SIGNED_HEADERS};

/// A recorded request with this list of signed headers in place of its own.
fn with_list(list: &str) -> Recorded {
    let mut request = first_of(Scheme::Acs3HmacSha256);
    request.set(
        "authorization",
        &format!(
            "ACS3-HMAC-SHA256 Credential=nobody,SignedHeaders={list},Signature={}",
            "0".repeat(64)
        ),
    );
    request
}

/// A recorded request that signs so many headers more, `a-0` and so on, each with this value.
fn with_more(count: usize, value: &str) -> Recorded {
    let request = first_of(Scheme::Acs3HmacSha256);
    let more: Vec<String> = (0..count).map(|number| format!("a-{number:05}")).collect();
    let own = signed_headers(&request, Scheme::Acs3HmacSha256).join(";");
    let mut other = with_list(&[more.join(";"), own].join(";"));
    more.iter().for_each(|name| other.set(name, value));
    other
}

fn reason(request: &Recorded) -> String {
    let refusal = request.claim().unwrap_err();
    assert_eq!(refusal.code().1, "IncompleteSignature", "{refusal}");
    let said = refusal.to_string();
    assert!(said.len() < 800 && said.contains("server string to sign is:"), "{said}");
    said
}

#[test]
fn a_header_named_ten_thousand_times_is_refused_before_anything_is_built() {
    let mut request =
        with_list(&format!("host;x-acs-content-sha256;x-acs-date{}", ";a".repeat(10_000)));
    request.set("a", &"x".repeat(40_000));
    assert!(reason(&request).contains("SignedHeaders has more than 100 names"));
    // Neither is one that is named only twice.
    let mut request = with_list("a;a;host;x-acs-action;x-acs-content-sha256;x-acs-date");
    request.set("a", &"x".repeat(40_000));
    assert!(reason(&request).contains("ascending order without repetition, and a is not"));
}

#[rstest]
#[case("x-acs-date;x-acs-content-sha256;host", "ascending order")]
#[case("Host;x-acs-content-sha256;x-acs-date", "must be in lower case, and has Host")]
#[case("", "must contain host")]
#[case(";;;", "ascending order")]
fn a_list_that_is_not_ascending_and_in_lower_case_is_refused(
    #[case] list: &str,
    #[case] says: &str,
) {
    assert!(reason(&with_list(list)).contains(says), "{}", reason(&with_list(list)));
}

#[test]
fn a_listed_header_that_is_not_there_is_refused() {
    let mut request = with_more(1, "x");
    assert!(request.claim().is_ok());
    request.headers.remove("a-00000");
    assert!(reason(&request).contains("SignedHeaders has a-00000, and there is no such header"));
}

#[test]
fn as_many_headers_as_may_be_are_signed_and_no_more() {
    let own = signed_headers(&first_of(Scheme::Acs3HmacSha256), Scheme::Acs3HmacSha256).len();
    assert!(with_more(SIGNED_HEADERS - own, "x").claim().is_ok());
    assert!(reason(&with_more(SIGNED_HEADERS - own + 1, "x")).contains("more than 100 names"));
    assert!(reason(&with_more(1, &"x".repeat(SIGNED_HEADER_BYTES))).contains("32768 bytes"));
    let mut request = with_more(1, "x");
    (0..SIGNED_HEADERS)
        .for_each(|_| assert!(request.headers.append("a-00000", HeaderValue::from_static(""))));
    assert!(reason(&request).contains("more than 100 values"));
}

#[test]
fn headers_by_the_thousand_are_refused_in_both_schemes() {
    for scheme in [Scheme::HmacSha1, Scheme::Acs3HmacSha256] {
        let mut request = first_of(scheme);
        (0..5000).for_each(|number| request.set(&format!("x-acs-more-{number}"), "1"));
        reason(&request);
        let mut request = first_of(scheme);
        request.set("x-acs-more", &"x".repeat(SIGNED_HEADER_BYTES));
        reason(&request);
    }
}

#[test]
fn fields_without_end_and_ids_without_end_are_refused() {
    let mut request = first_of(Scheme::Acs3HmacSha256);
    let fields = [
        "A=1,".repeat(20_000),
        "Credential=".to_owned()
            + &"x".repeat(KEY_ID + 1)
            + ",SignedHeaders=host,Signature="
            + &"0".repeat(64),
    ];
    for text in fields.iter().map(|fields| format!("ACS3-HMAC-SHA256 {fields}")).chain([
        format!("acs {}:AAAA", "x".repeat(KEY_ID + 1)),
        format!("acs id:{}", "A".repeat(60_000)),
        format!(
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature={}",
            "0".repeat(60_000)
        ),
    ]) {
        request.set("authorization", &text);
        reason(&request);
    }
}

/// A request of the operation that creates ConfigMaps, signed with HMAC-SHA1.
fn created_with(query: &[(&str, &str)]) -> Recorded {
    let mut request = first_of(Scheme::HmacSha1);
    request.method = Method::POST;
    request.path = "/pop/v5/k8s/acs/k8s_config_map".into();
    request.query =
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    request
}

#[rstest]
#[case("1&Data.2.Key=b")]
#[case("1&Data.2.Key=b&Data.2.Value=2")]
#[case("1&Data.2.Key")]
#[case("1&Name=other")]
#[case("1&Unknown.2=b")]
#[case("1&Unknown.2.Key=b")]
fn list_items_joined_into_one_value_are_refused_with_hmac_sha1(#[case] value: &str) {
    let joined = created_with(&[("Data.1.Value", value)]);
    let Err(refusal @ SignatureRefusal::Ambiguous { .. }) = joined.claim() else {
        panic!("{value} must be refused")
    };
    assert!(
        refusal.code().1 == "InvalidData1Value" && refusal.to_string().contains("Data.1.Value"),
        "{refusal}"
    );
}

#[rstest]
#[case("http://a.example/?x=1&y=2&z.w=3")]
#[case("a & b & Data")]
#[case("1&Data2.3x=b")]
fn text_with_an_ampersand_that_begins_no_parameter_is_accepted_with_hmac_sha1(#[case] value: &str) {
    assert!(created_with(&[("Data.1.Value", value)]).claim().is_ok(), "{value}");
}

/// What comes of cutting is what an honest client could have sent: the string to sign is
/// the same, and only the transport can keep somebody from it.
#[test]
fn a_value_that_was_cut_in_two_has_the_same_string_to_sign_with_hmac_sha1_and_another_with_acs3() {
    let (whole, cut) = (
        [("ChangeOrderDesc", "fix&Image=evil:1")],
        [("ChangeOrderDesc", "fix"), ("Image", "evil:1")],
    );
    let strings = |scheme: Scheme, query: &[(&str, &str)]| {
        let mut request = Recorded { query: created_with(query).query, ..first_of(scheme) };
        request.path = "/pop/v5/k8s/acs/k8s_apps".into();
        first_of(scheme).claim().unwrap().strings_to_sign(request.signed()).unwrap()
    };
    assert_eq!(strings(Scheme::HmacSha1, &whole), strings(Scheme::HmacSha1, &cut));
    assert_ne!(strings(Scheme::Acs3HmacSha256, &whole), strings(Scheme::Acs3HmacSha256, &cut));
}
