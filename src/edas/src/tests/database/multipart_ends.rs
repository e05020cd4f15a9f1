//! How uploads in parts end, and who may go on with one: quotas, credentials, several
//! servers, and uploads that nobody goes on with.

use tokio_util::sync::CancellationToken;

use super::{
    multipart::{Begun, PART},
    upload::{HOST, Keeper},
    *,
};
use domain::{PackageId, package::upload::Quota};
use service::UploadLimits;

const HOUR: i64 = 3600;

fn with(quota: Quota) -> UploadLimits {
    UploadLimits { quota, wait: std::time::Duration::ZERO, ..UploadLimits::default() }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn parts_count_for_the_quota_until_they_are_a_package_or_given_up(pool: PgPool) {
    let quota = Quota {
        key_bytes: 2 * PART as u64 + 10,
        key_multiparts: 2,
        key_packages: 3,
        ..Quota::default()
    };
    let keeper = Keeper::of_parts(with(quota), pool).await;
    let given = keeper.credential().await;
    let (first, second) =
        (keeper.begin(&given, "1.jar").await, keeper.begin(&given, "2.jar").await);
    let third = format!("{}/3.jar", given.prefix);
    let refused = keeper.ask(&given, ("POST", &third), ("uploads", ""), Body::empty()).await;
    assert_eq!(refused.code(), (403, "QuotaExceeded"));
    assert!(refused.text.contains("--package-key-multiparts"), "{}", refused.text);

    let length = |bytes: usize| Body::from(vec![b'a'; bytes]);
    let part = first.put(1, length(PART)).await.etag;
    assert_eq!(second.put(1, length(PART)).await.status, 200);
    let refused = second.put(2, length(11)).await;
    assert_eq!(refused.code(), (403, "QuotaExceeded"));
    assert!(
        refused.text.contains("--package-key-limit") && refused.text.contains("10 are free"),
        "{}",
        refused.text
    );
    let whole = keeper.put(given.upload(&third, &keeper), vec![b'a'; 11]).await;
    assert_eq!(whole.0, 403, "a whole package counts with them: {}", whole.2);

    // Sent again a part needs room for both while it comes, and for one then.
    assert_eq!(first.put(2, length(10)).await.status, 200);
    assert_eq!(second.abort().await.status, 204);
    keeper.keeps(2).await;
    assert_eq!(first.put(1, length(PART)).await.status, 200);
    assert_eq!(
        first.complete(&[(1, &part)]).await.status,
        200,
        "with a part of it that is left out"
    );
    keeper.keeps(1).await;
    let used = "SELECT (SELECT sum(bytes) FROM stored_package) + (SELECT sum(bytes) FROM multipart_upload)";
    let used: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT ({used})::bigint")))
        .fetch_one(&keeper.server.pool)
        .await
        .unwrap();
    assert_eq!(used, PART as i64);
    keeper.begin(&given, "4.jar").await;
    keeper.begin(&given, "5.jar").await;
    let refused = keeper.ask(&given, ("POST", &third), ("uploads", ""), Body::empty()).await;
    assert_eq!(refused.code(), (403, "QuotaExceeded"), "{}", refused.text);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_has_no_more_parts_under_way_than_uploads(pool: PgPool) {
    let keeper = Keeper::of_parts(with(Quota { key_uploads: 1, ..Quota::default() }), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let (sender, receiver) =
        tokio::sync::mpsc::unbounded_channel::<Result<bytes::Bytes, std::io::Error>>();
    let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let body = futures::StreamExt::inspect(
        tokio_stream::wrappers::UnboundedReceiverStream::new(receiver),
        move |_| started.send(()).unwrap(),
    );
    let second = async {
        sender.send(Ok("the first".into())).unwrap();
        begun.recv().await.unwrap();
        let refused = upload.put(2, "a").await;
        assert_eq!(refused.code(), (503, "ServiceUnavailable"));
        assert!(refused.text.contains("--package-key-uploads"), "{}", refused.text);
        drop(sender);
    };
    let (first, ()) = tokio::join!(upload.put(1, Body::from_stream(body)), second);
    assert_eq!((first.status, upload.put(2, "a").await.status), (200, 200));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn only_the_credential_of_its_key_goes_on_with_an_upload(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let (given, other) = (keeper.credential().await, keeper.credential().await);
    let upload = keeper.begin(&given, "web.jar").await;
    let etag = upload.put(1, "a").await.etag;
    let elsewhere = format!("{}/web.jar", other.prefix);
    let (foreign, moved) = (
        Begun {
            keeper: &keeper,
            given: &other,
            object: upload.object.clone(),
            id: upload.id.clone(),
        },
        Begun { keeper: &keeper, given: &other, object: elsewhere, id: upload.id.clone() },
    );
    for (of, wanted) in [(&foreign, (403, "AccessDenied")), (&moved, (404, "NoSuchUpload"))] {
        for answer in [
            of.put(1, "b").await,
            of.parts("").await,
            of.complete(&[(1, &etag)]).await,
            of.abort().await,
        ] {
            assert_eq!(answer.code(), wanted, "{}", answer.text);
        }
    }
    // What is signed is what is asked for.
    let signed = given.upload(&upload.object, &keeper);
    for (method, wrong) in [
        ("PUT", format!("partNumber=2&uploadId={}", upload.id)),
        ("POST", format!("uploadId={}", upload.id)),
    ] {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}?{wrong}", signed.path()))
            .header("host", HOST);
        for (name, value) in
            signed.headers_of("PUT", &format!("partNumber=1&uploadId={}", upload.id))
        {
            request = request.header(name, value);
        }
        let response = keeper
            .server
            .router
            .clone()
            .oneshot(request.body(Body::from("b")).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 403, "{method} {wrong}");
    }
    assert_eq!((keeper.kept(), upload.parts("").await.element("Size")), (1, "1"));
    keeper.server.clock.advance(HOUR + 1);
    for answer in
        [upload.put(2, "b").await, upload.complete(&[(1, &etag)]).await, upload.abort().await]
    {
        assert_eq!(answer.code(), (403, "SecurityTokenExpired"), "{}", answer.text);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn uploads_that_nobody_can_go_on_with_are_taken_away(pool: PgPool) {
    let keeper =
        Keeper::of_parts(UploadLimits { keep: None, ..UploadLimits::default() }, pool).await;
    let given = keeper.credential().await;
    let (upload, done) = (keeper.begin(&given, "1.jar").await, keeper.begin(&given, "2.jar").await);
    upload.put(1, "a").await;
    let etag = done.put(1, "b").await.etag;
    assert_eq!(done.complete(&[(1, &etag)]).await.status, 200);
    keeper.keeps(2).await;
    // A server that died while a part came, and one that died while it put a package together.
    let coming = PackageId::new();
    sqlx::query("INSERT INTO upload_part (id, upload_id, number, bytes, expires_at) SELECT $1, id, 2, 50, now() + interval '2 hours' FROM multipart_upload WHERE ended_at IS NULL")
        .bind(coming.0)
        .execute(&keeper.server.pool)
        .await
        .unwrap();
    std::fs::write(keeper.folder.path().join(format!("{coming}.part")), "P").unwrap();
    for sql in [
        "UPDATE multipart_upload SET bytes = bytes + 50 WHERE ended_at IS NULL",
        "UPDATE multipart_upload SET held_by = id, held_until = now() + interval '90 minutes' WHERE ended_at IS NULL",
    ] {
        sqlx::query(sql).execute(&keeper.server.pool).await.unwrap();
    }
    let collect = async |later| {
        keeper.server.clock.advance(later);
        keeper.service.collect_parts(&CancellationToken::new()).await.unwrap()
    };
    assert_eq!((collect(0).await, keeper.kept()), (0, 3), "its credential is good");
    assert_eq!(
        upload.put(1, "c").await.code(),
        (503, "ServiceUnavailable"),
        "it is being completed"
    );
    assert_eq!(upload.abort().await.code(), (503, "ServiceUnavailable"));
    assert_eq!((collect(HOUR + 1).await, keeper.kept()), (0, 3), "it is still held");
    assert_eq!(
        keeper.number("SELECT count(*) FROM multipart_upload").await,
        1,
        "what was completed is forgotten"
    );
    assert_eq!(
        (collect(HOUR).await, keeper.kept()),
        (2, 1),
        "the whole part and what came of the other"
    );
    assert_eq!(collect(0).await, 0);
    assert_eq!(keeper.number("SELECT (SELECT count(*) FROM multipart_upload) + (SELECT count(*) FROM upload_part)").await, 0);
    assert_eq!(keeper.number("SELECT count(*) FROM stored_package").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_upload_that_a_dead_server_held_is_completed_by_another(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let etag = upload.put(1, "a").await.etag;
    sqlx::query(
        "UPDATE multipart_upload SET held_by = id, held_until = now() + interval '1 minute'",
    )
    .execute(&keeper.server.pool)
    .await
    .unwrap();
    keeper.server.clock.advance(61);
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn two_servers_that_complete_one_upload_make_one_package(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool.clone()).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let etag = upload.put(1, vec![b'a'; PART]).await.etag;
    // Another server, on the same database and folder.
    let store = keeper.service.package_store().unwrap().clone();
    let service = service_on(pool.clone()).with_package_store(store);
    let other = Keeper {
        server: server::Server {
            router: router(service.clone(), EdgeConfig::default()),
            pool,
            clock: service.clock().clone(),
        },
        service,
        folder: tempfile::TempDir::new().unwrap(),
    };
    let there = Begun {
        keeper: &other,
        given: &given,
        object: upload.object.clone(),
        id: upload.id.clone(),
    };
    let parts = [(1, etag.as_str())];
    let answers =
        tokio::join!(upload.complete(&parts), there.complete(&parts), upload.complete(&parts));
    assert_eq!(answers.0.status, 200, "{}", answers.0.text);
    assert!(answers.0 == answers.1 && answers.1 == answers.2, "{answers:?}");
    keeper.keeps(1).await;
    assert_eq!(keeper.number("SELECT count(*) FROM stored_package").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_uploads_of_a_credential_are_listed_page_by_page_and_no_others(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let (given, other) = (keeper.credential().await, keeper.credential().await);
    let mut wanted = Vec::new();
    for name in ["a b.jar", "a b.jar", "c.jar"] {
        let begun = keeper.begin(&given, name).await;
        wanted.push((begun.object, begun.id));
    }
    wanted.sort();
    keeper.begin(&other, "a b.jar").await;
    let gone = keeper.begin(&given, "d.jar").await;
    assert_eq!(gone.abort().await.status, 204);
    for prefix in ["", given.prefix.as_str()] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let listed = keeper
                .ask(
                    &given,
                    ("GET", ""),
                    ("uploads", &format!("&prefix={prefix}&max-uploads=2&delimiter={after}")),
                    Body::empty(),
                )
                .await;
            assert_eq!(listed.status, 200, "{}", listed.text);
            for row in listed.text.split("<Upload>").skip(1) {
                let text = |name: &str| {
                    row.split_once(&format!("<{name}>"))
                        .unwrap()
                        .1
                        .split_once("</")
                        .unwrap()
                        .0
                        .to_owned()
                };
                seen.push((text("Key"), text("UploadId")));
            }
            if listed.element("IsTruncated") == "false" {
                break;
            }
            let key = listed.element("NextKeyMarker").replace(' ', "%20");
            after = format!(
                "&key-marker={key}&upload-id-marker={}",
                listed.element("NextUploadIdMarker")
            );
        }
        assert_eq!(seen, wanted, "{prefix}");
    }
    let foreign = keeper
        .ask(&given, ("GET", ""), ("uploads", &format!("&prefix={}", other.prefix)), Body::empty())
        .await;
    assert_eq!(foreign.code(), (403, "AccessDenied"));
    // A client that has the bucket in the path.
    let signed = given.upload("", &keeper);
    let mut request = Request::builder()
        .uri(format!("/sluice/?uploads&encoding-type=url&prefix={}/a%20", given.prefix));
    for (name, value) in signed.headers_of("GET", "uploads") {
        request = request.header(name, value);
    }
    let response =
        keeper.server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let text =
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
            .unwrap();
    assert_eq!(
        (text.matches("<Upload>").count(), text.matches("/a%20b.jar</Key>").count()),
        (2, 2),
        "{text}"
    );
    // An EDAS call has such a path too, and stays one.
    let reply = keeper.get("GET", "/?uploads").await;
    assert!(String::from_utf8_lossy(&reply.1).contains("\"Code\""), "{reply:?}");
}
