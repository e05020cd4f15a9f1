//! Tokens, and who they are about.

use super::*;

#[tokio::test]
async fn somebody_signs_in_and_the_provider_says_who_it_is() {
    let (fake, provider) = Fake::start().await;
    let person = fake.sign_in(&provider).await.unwrap();
    let jane = Person {
        subject: "7f3a".into(),
        name: "jane@example.org".into(),
        email: Some("jane@example.org".into()),
        groups: vec!["platform".into(), "staff".into()],
    };
    assert_eq!(person, jane);
    let sent = fake.says().sent.clone();
    assert_eq!(sent["redirect_uri"], "http://127.0.0.1:8080/console/sign-in/callback");
    assert_eq!(
        (sent["grant_type"].as_str(), sent["code"].as_str()),
        ("authorization_code", "a code")
    );
    let (url, _) = provider.begin(Timestamp::now(), "/console").await.unwrap();
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("kind", "people"),
        ("response_type", "code"),
        ("client_id", "sluice"),
        ("scope", "openid email groups"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "http://127.0.0.1:8080/console/sign-in/callback"),
    ] {
        assert_eq!(asked[name], value, "{url}");
    }
    assert!(!url.as_str().contains("secret"), "{url}");
}

#[rstest]
#[case(json!({ "email_verified": false }), "Jane Doe", None)]
#[case(json!({ "email_verified": null }), "Jane Doe", None)]
#[case(json!({ "email_verified": "true" }), "jane@example.org", Some("jane@example.org"))]
#[case(json!({ "email": null, "preferred_username": "jane" }), "jane", None)]
#[case(json!({ "email": null, "name": "\u{202e}Jane\nDoe" }), "JaneDoe", None)]
#[case(json!({ "email": null, "name": null }), "7f3a", None)]
#[case(json!({ "aud": ["sluice"], "azp": "sluice" }), "jane@example.org", Some("jane@example.org"))]
#[tokio::test]
async fn a_person_has_a_name_and_an_address_only_where_it_is_theirs(
    #[case] claims: Value,
    #[case] name: &str,
    #[case] email: Option<&str>,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    let person = fake.sign_in(&provider).await.unwrap();
    assert_eq!((person.name.as_str(), person.email.as_deref()), (name, email));
}

#[rstest]
#[case(json!({ "groups": null }), &[])]
#[case(json!({ "groups": "platform" }), &["platform"])]
#[case(json!({ "groups": ["a", 1, {}, "", "b"] }), &["a", "b"])]
#[tokio::test]
async fn groups_are_read_as_providers_write_them(#[case] claims: Value, #[case] groups: &[&str]) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    assert_eq!(fake.sign_in(&provider).await.unwrap().groups, groups);
}

#[rstest]
#[case::of_another_issuer(json!({ "iss": "https://evil.example" }), "issuer")]
#[case::for_another(json!({ "aud": "other" }), "audience")]
#[case::for_nobody(json!({ "aud": [] }), "audience")]
#[case::for_another_too(json!({ "aud": ["sluice", "other"] }), "audience")]
#[case::made_for_another(json!({ "azp": "other" }), "azp")]
#[case::over(json!({ "exp": 1_700_000_000 }), "expired")]
#[case::old(json!({ "iat": 1_700_000_000 }), "clocks")]
#[case::of_the_future(json!({ "iat": 4_000_000_000_i64, "exp": 4_000_000_060_i64 }), "clocks")]
#[case::for_another_sign_in(json!({ "nonce": "other" }), "nonce")]
#[case::for_no_sign_in(json!({ "nonce": null }), "nonce")]
#[case::about_nobody(json!({ "sub": "" }), "subject")]
#[case::about_a_long_subject(json!({ "sub": "x".repeat(256) }), "subject")]
#[case::with_other_groups(json!({ "groups": { "a": 1 } }), "no list")]
#[case::with_many_groups(json!({ "groups": vec!["x"; 2001] }), "at most 2000")]
#[tokio::test]
async fn a_token_that_does_not_say_what_it_must_signs_nobody_in(
    #[case] claims: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    let Err(Failure::Doubtful(why)) = fake.sign_in(&provider).await else { panic!("{says}") };
    assert!(why.to_lowercase().contains(says), "{why}");
    assert_eq!(fake.says().keys_read, 1, "no key makes it better");
}

fn by_nobody(_: &Says, _: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn by_the_secret(_: &Says, text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn by_the_public_key(says: &Says, text: &[u8]) -> Vec<u8> {
    let public: CoreJsonWebKey = says.key.as_verification_key();
    let public = serde_json::to_value(public).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(public["x"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn by_another_key(_: &Says, text: &[u8]) -> Vec<u8> {
    key("one").sign(&CoreJwsSigningAlgorithm::EdDsa, text).unwrap()
}

#[rstest]
#[case::nobody(json!({ "alg": "none" }), by_nobody)]
#[case::nobody_without_a_key(json!({ "alg": "none", "kid": null }), by_nobody)]
#[case::the_secret(json!({ "alg": "HS256" }), by_the_secret)]
#[case::the_public_key(json!({ "alg": "HS256" }), by_the_public_key)]
#[case::another_key(json!({}), by_another_key)]
#[case::a_key_that_nobody_has(json!({ "kid": "two" }), signed)]
#[case::a_way_that_nobody_knows(json!({ "alg": "XX" }), signed)]
#[case::what_another_way_needs(json!({ "alg": "RS256" }), signed)]
#[case::with_a_key_of_its_own(json!({ "jwk": { "kty": "OKP" }, "kid": "two" }), by_another_key)]
#[case::what_must_be_understood(json!({ "crit": ["x"] }), signed)]
#[tokio::test]
async fn a_token_that_the_provider_did_not_sign_signs_nobody_in(
    #[case] header: Value,
    #[case] sign: fn(&Says, &[u8]) -> Vec<u8>,
) {
    let (fake, provider) = Fake::start().await;
    (fake.says().header, fake.says().sign) = (header, sign);
    let refused = fake.sign_in(&provider).await.unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
    fake.says().header = json!({});
    fake.says().sign = signed;
    fake.sign_in(&provider).await.unwrap();
}

#[tokio::test]
async fn a_provider_may_change_its_key() {
    let (fake, provider) = Fake::start().await;
    fake.sign_in(&provider).await.unwrap();
    fake.says().key = key("two");
    fake.says().header = json!({ "kid": "two" });
    fake.sign_in(&provider).await.unwrap();
    // Another key under the same name.
    fake.says().key = key("two");
    fake.sign_in(&provider).await.unwrap();
    fake.sign_in(&provider).await.unwrap();
    assert_eq!(fake.says().keys_read, 3);
    // One that it does not show any more is good no longer.
    fake.says().keys = Some(json!({ "keys": [key("three").as_verification_key()] }));
    fake.says().key = key("two");
    fake.sign_in(&provider).await.unwrap_err();
}

#[tokio::test]
async fn what_the_token_endpoint_refuses_is_named_and_what_it_breaks_is_not_shown() {
    let (fake, provider) = Fake::start().await;
    for (status, text, says) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Code\u0007 not valid"}"#,
            "invalid_grant: Code not valid",
        ),
        (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (200, r#"{"access_token":"geheim","token_type":"Bearer"}"#, "no ID token"),
        (
            200,
            r#"{"access_token":"geheim","token_type":"Bearer","id_token":"geheim"}"#,
            "cannot be read",
        ),
        (200, "geheim", "cannot be read"),
        (500, "", "empty"),
        (302, "geheim", "cannot be read"),
    ] {
        fake.says().token = Some((status, text.into()));
        let refused = fake.sign_in(&provider).await.unwrap_err().to_string();
        assert!(refused.contains(says) && !refused.contains("geheim"), "{refused}");
    }
    fake.says().token = Some((200, "x".repeat(crate::fetch::LARGEST_ANSWER + 1)));
    let refused = fake.sign_in(&provider).await.unwrap_err();
    assert!(matches!(&refused, Failure::Away(why) if why.contains("more than")), "{refused}");
    fake.says().token = None;
    fake.says().description =
        json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    let provider = self::provider(&fake.says().issuer.clone());
    fake.sign_in(&provider).await.unwrap();
    assert_eq!(fake.says().sent["client_secret"], SECRET);
}
