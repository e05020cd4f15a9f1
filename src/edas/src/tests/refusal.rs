//! What is refused before any handler, and in which form.
//!
//! No database is asked: its address leads nowhere, so a test that would ask it
//! fails.

use super::*;

#[tokio::test]
async fn every_operation_without_a_signature_is_refused() {
    let router = router_without_database();
    for operation in contract::operations() {
        let (status, body) = ask(&router, operation.method.parse().unwrap(), &operation.path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", operation.name);
        assert_eq!(body["Code"], "IncompleteSignature", "{}", operation.name);
        assert!(body["Message"].as_str().unwrap().contains("Authorization header is missing"));
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_answered_in_json_and_never_with_a_redirect() {
    let router = router_without_database();
    let unknown = [
        (Method::GET, "/"),
        (Method::GET, "/pop/v5/none"),
        (Method::GET, "/pop/v5/k8s/acs/k8s_apps"),
        (Method::POST, "/pop/v5/k8s/acs/k8s_apps/"),
        (Method::PATCH, "/pop/v5/changeorder/change_order_info"),
        (Method::POST, "/healthz"),
        (Method::GET, "/docs/none.html"),
    ];
    for (method, path) in unknown {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("host", "h:1")
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (status, body) = read(response).await;
        assert_eq!(
            (status, &body["Code"]),
            (StatusCode::NOT_FOUND, &Value::from("InvalidApi.NotFound")),
            "{method} {path}"
        );
        assert_eq!(body["HostId"], "h:1");
    }
}

#[tokio::test]
async fn head_is_not_get_since_two_operations_change_something_with_get() {
    let request =
        Request::head("/pop/v5/changeorder/pipeline_batch_confirm").body(Body::empty()).unwrap();
    let response = router_without_database().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused_with_its_longest_parameter() {
    let router = router_without_database();
    let target = |length: usize| {
        let start = "/pop/v5/k8s/acs/k8s_apps?AppId=a&Envs=";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let (status, body) = ask(&router, Method::POST, &target(edge::TARGET_LIMIT)).await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::BAD_REQUEST, &Value::from("IncompleteSignature"))
    );
    let (status, body) = ask(&router, Method::POST, &target(edge::TARGET_LIMIT + 1)).await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::URI_TOO_LONG, &Value::from("RequestLineTooLong"))
    );
    let message = body["Message"].as_str().unwrap();
    assert!(
        message.contains("parameter Envs has the value of 65") && message.contains("65536 bytes"),
        "{message}"
    );
}

#[tokio::test]
async fn a_body_of_somebody_who_shows_no_key_is_not_looked_at() {
    let request = Request::post("/pop/v5/k8s/acs/k8s_apps")
        .body(Body::from(vec![b'x'; auth::BODY_LIMIT + 1]))
        .unwrap();
    let (status, body) = read(router_without_database().oneshot(request).await.unwrap()).await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::BAD_REQUEST, &Value::from("IncompleteSignature"))
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused() {
    let router = router_without_database();
    let (_, body) = ask(&router, Method::POST, "/pop/v5/app/app_info?AppId=%FF").await;
    assert_eq!(body["Code"], "InvalidAppId");
    let (_, body) = ask(&router, Method::POST, "/pop/v5/app/app_info?AppId=a&AppId=b").await;
    assert_eq!(body["Code"], "InvalidAppId");
}

fn edge_with(time_limit: Duration) -> Edge {
    Edge::new(service_without_database(), EdgeConfig { time_limit, ..EdgeConfig::default() })
}

#[tokio::test]
async fn a_panic_is_an_internal_error_whose_reply_says_nothing_of_it() {
    let broken = Router::new()
        .route("/broken", get(async || -> &'static str { panic!("the secret is 1234") }));
    let (status, body) =
        ask(&answered(broken, edge_with(Duration::from_secs(60))), Method::GET, "/broken").await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &Value::from("InternalError"))
    );
    assert!(!body["Message"].as_str().unwrap().contains("1234"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_in_time() {
    let slow =
        Router::new().route("/slow", get(async || std::future::pending::<&'static str>().await));
    let (status, body) =
        ask(&answered(slow, edge_with(Duration::from_millis(1))), Method::GET, "/slow").await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &Value::from("ServiceUnavailable"))
    );
}

#[tokio::test]
async fn health_document_and_page_are_served_without_a_signature() {
    let router = router_without_database();
    for (path, kind, words) in [
        ("/healthz", "application/json", "{"),
        ("/openapi.json", "application/json", "DeployK8sApplication"),
        ("/docs/", "text/html", "swagger-initializer.js"),
        ("/docs/swagger-initializer.js", "text/javascript", "requestInterceptor: sign"),
        ("/docs/swagger-ui-bundle.js", "text/javascript", "SwaggerUIBundle"),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(
            response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(kind),
            "{path}: {:?}",
            response.headers()
        );
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(words), "{path}");
    }
}
