//! What a provider says of itself, settings, and replies that are not its own.

use super::*;

#[rstest]
#[case(json!({ "issuer": "https://evil.example" }), "the same to the last sign")]
#[case(json!({ "issuer": null }), "cannot be read")]
#[case(json!({ "token_endpoint": null }), "no token endpoint")]
#[case(json!({ "token_endpoint": "http://192.0.2.1/token" }), "http://192.0.2.1/token")]
#[case(json!({ "jwks_uri": "http://keys.example/" }), "must begin with https://")]
#[case(json!({ "authorization_endpoint": "javascript:alert(1)" }), "must begin with https://")]
#[tokio::test]
async fn a_provider_that_describes_itself_wrongly_is_not_asked(
    #[case] description: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().description = description;
    let refused = provider.begin(Timestamp::now(), "/console").await.unwrap_err();
    assert!(matches!(&refused, Failure::Away(why) if why.contains(says)), "{refused}");
    assert!(provider.is_away());
}

#[test]
fn a_provider_elsewhere_does_not_name_this_machine() {
    let document = json!({
        "issuer": "https://login.example.org", "authorization_endpoint": "https://login.example.org/a",
        "token_endpoint": "http://127.0.0.1:8080/t", "jwks_uri": "https://login.example.org/k",
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let read = |document: &Value| {
        crate::read_metadata("https://login.example.org", document.to_string().as_bytes())
    };
    assert!(read(&document).unwrap_err().contains("127.0.0.1:8080"));
    for other in ["https://login.example.org/t", "https://tokens.example.net/t"] {
        let mut document = document.clone();
        document["token_endpoint"] = other.into();
        read(&document).unwrap();
    }
}

#[rstest]
#[case(json!({ "keys": [] }), "no key")]
#[case(json!({ "keys": [{ "kty": "of the future" }] }), "no key")]
#[case(json!({ "keys": vec![key("x").as_verification_key(); 101] }), "at most 100")]
#[case(json!([]), "cannot be read")]
#[tokio::test]
async fn a_provider_without_keys_that_are_good_is_not_asked(
    #[case] keys: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().keys = Some(keys);
    let refused = provider.begin(Timestamp::now(), "/console").await.unwrap_err();
    assert!(refused.to_string().contains(says), "{refused}");
}

#[tokio::test]
async fn a_provider_that_is_away_is_known_as_such_until_it_answers() {
    let (fake, provider) = Fake::start().await;
    assert!(!provider.is_away(), "nobody has asked it");
    for answer in [
        (500, String::new()),
        (302, format!("{}/.well-known/elsewhere", fake.says().issuer)),
        (200, "x".repeat(crate::fetch::LARGEST_ANSWER + 1)),
        (200, "[".repeat(10_000)),
    ] {
        fake.says().answer = Some(answer);
        let away = self::provider(&fake.says().issuer.clone());
        let refused = away.begin(Timestamp::now(), "/console").await.unwrap_err();
        assert!(matches!(refused, Failure::Away(_)) && away.is_away(), "{refused}");
        // It is let alone for a moment, and has the same to say to who asks then.
        fake.says().answer = None;
        assert_eq!(away.begin(Timestamp::now(), "/console").await.unwrap_err(), refused);
    }
    // One that has answered once is known, whatever comes.
    let stop = tokio_util::sync::CancellationToken::new();
    provider.begin(Timestamp::now(), "/console").await.unwrap();
    fake.says().answer = Some((500, String::new()));
    let keeping = tokio::spawn({
        let (provider, stop) = (provider.clone(), stop.clone());
        async move { provider.keep_known(stop).await }
    });
    fake.sign_in(&provider).await.unwrap();
    assert!(!provider.is_away());
    stop.cancel();
    keeping.await.unwrap();
    // Nobody listens.
    let gone = self::provider("http://127.0.0.1:1");
    assert!(matches!(gone.begin(Timestamp::now(), "/console").await, Err(Failure::Away(_))));
}

#[tokio::test]
async fn a_reply_of_another_provider_is_not_taken_to_this_one() {
    let (fake, provider) = Fake::start().await;
    let own = fake.says().issuer.clone();
    provider.check_sender(None).await.unwrap();
    provider.check_sender(Some(&own)).await.unwrap();
    assert!(provider.check_sender(Some("https://evil.example")).await.is_err());
    fake.says().description = json!({ "authorization_response_iss_parameter_supported": true });
    let strict = self::provider(&own);
    strict.check_sender(Some(&own)).await.unwrap();
    assert!(strict.check_sender(None).await.is_err(), "it always says who it is");
    let now = Timestamp::now();
    let (pending, _) = Seal::new([3; 32]).begin(&[1; 32], now, "/console");
    for (code, issuer) in [("c", Some("https://evil.example")), ("", None), ("a\nb", None)] {
        let refused = provider.finish(&pending, Reply { code, issuer }, now).await.unwrap_err();
        assert!(matches!(refused, Failure::Doubtful(_)), "{refused}");
    }
    let long = "x".repeat(2049);
    provider.finish(&pending, Reply { code: &long, issuer: None }, now).await.unwrap_err();
    assert!(fake.says().sent.is_empty(), "the token endpoint was not asked");
}

#[test]
fn an_address_is_one_on_whose_way_nobody_reads_along() {
    for good in [
        "https://login.example.org/realms/a",
        "http://127.0.0.1:5556/dex",
        "http://[::1]",
        "http://localhost/x",
    ] {
        assert_eq!(issuer(good).unwrap(), good);
    }
    for wrong in [
        "",
        "login.example.org",
        "http://login.example.org",
        "https://u:p@a.example",
        "https://a.example/?b",
        "https://a.example/#b",
        "ftp://a.example",
        "http://localhost.example.org",
    ] {
        assert!(issuer(wrong).is_err(), "{wrong}");
    }
    assert_eq!(site("https://sluice.example.org").unwrap().as_str(), "https://sluice.example.org/");
    for wrong in ["https://a.example/console", "https://a.example/?a", "http://a.example"] {
        assert!(site(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_secret_is_never_shown() {
    let provider = provider("https://login.example.org/realms/a");
    assert!(
        !format!("{provider:?}").contains("secret's") && !format!("{provider:?}").contains(SECRET)
    );
    assert_eq!(provider.name(), "login.example.org");
}
