//! How much may be uploaded: credentials, packages, bytes, and uploads at once.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    server::KEY,
    sign::Unsigned,
    upload::{HOST, Keeper, LIMIT, PACKAGE, code},
    *,
};
use domain::{
    PackageId,
    package::upload::{Full, Quota},
};
use service::UploadLimits;
use store::NewUpload;

const CREDENTIAL: &str = "/pop/v5/package_storage_credential";

fn with(quota: Quota) -> UploadLimits {
    UploadLimits { quota, ..UploadLimits::default() }
}

async fn count(keeper: &Keeper, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&keeper.server.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_replayed_request_for_a_credential_gives_no_second_one(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool).await;
    let request = |nonce, seconds| Unsigned {
        method: "GET",
        path: CREDENTIAL,
        parameters: &[],
        date: keeper.server.clock.now() - jiff::SignedDuration::from_secs(seconds),
        nonce,
    };
    let mut seen = Vec::new();
    for signed in [
        request(Some("n-1"), 0).acs3(KEY),
        request(Some("n-2"), 0).hmac_sha1(KEY),
        request(None, 1).acs3(KEY),
        request(None, 2).hmac_sha1(KEY),
    ] {
        // Twice at once, and once more.
        let send = async || keeper.server.send("GET", &signed).await.1["Credential"].clone();
        let (first, second) = tokio::join!(send(), send());
        assert_eq!((&first, &first), (&second, &send().await));
        let text = |name: &str| first[name].as_str().unwrap().to_owned();
        // What is remembered of the request does not hold the secret.
        for secret in [text("AccessKeySecret"), text("SecurityToken")] {
            let held: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM nonce WHERE encode(outcome, 'escape') LIKE '%' || $1 || '%'",
            )
            .bind(&secret)
            .fetch_one(&keeper.server.pool)
            .await
            .unwrap();
            assert!(held == 0 && !secret.is_empty());
        }
        seen.push(text("AccessKeyId"));
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        (seen.len(), count(&keeper, "upload_credential").await),
        (all, 4),
        "each request has its own"
    );
    // The nonce with another request is refused, as everywhere.
    let other = Unsigned { parameters: &[("ServiceCode", "edas")], ..request(Some("n-1"), 0) };
    assert_eq!(keeper.server.send("GET", &other.acs3(KEY)).await.1["Code"], "SignatureNonceUsed");
    assert_eq!(count(&keeper, "upload_credential").await, 4);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_does_not_get_more_credentials_than_it_may_have(pool: PgPool) {
    let keeper =
        Keeper::start_with(with(Quota { key_credentials: 2, ..Quota::default() }), pool).await;
    let ask = async || keeper.server.call("GET", CREDENTIAL, &[]).await;
    let replies = join_all((0..6).map(|_| ask())).await;
    let refused: Vec<&str> = replies
        .iter()
        .filter(|reply| reply["Code"] == 601)
        .map(|reply| reply["Message"].as_str().unwrap())
        .collect();
    assert_eq!((refused.len(), count(&keeper, "upload_credential").await), (4, 2));
    assert!(
        refused[0].contains("--package-key-credentials") && refused[0].contains('2'),
        "{}",
        refused[0]
    );
    keeper.server.clock.advance(3601);
    assert_eq!(ask().await["Code"], 200);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_the_quota_has_no_room_for_is_refused_unread_and_leaves_nothing(pool: PgPool) {
    let quota = Quota { key_bytes: LIMIT + 10, key_packages: 3, ..Quota::default() };
    let keeper = Keeper::start_with(with(quota), pool).await;
    let given = keeper.credential().await;
    let objects: Vec<String> =
        (0..4).map(|index| format!("{}/{index}.jar", given.prefix)).collect();
    let put = async |index: usize, announced: bool| {
        let upload = given.upload(&objects[index], &keeper);
        let length = announced.then(|| ("content-length", PACKAGE.len().to_string()));
        keeper
            .send(
                &upload.path(),
                &upload.headers().into_iter().chain(length).collect::<Vec<_>>(),
                PACKAGE,
            )
            .await
    };
    assert_eq!(put(0, false).await.0, 200);
    // Without a length it may become as large as is allowed, and that much is not free.
    let answer = put(1, false).await;
    assert_eq!(code(&answer), (403, "QuotaExceeded"));
    assert!(
        answer.2.contains("--package-key-limit") && answer.2.contains(&(LIMIT + 10).to_string()),
        "{}",
        answer.2
    );
    assert_eq!((put(1, true).await.0, put(2, true).await.0), (200, 200));
    let answer = put(3, true).await;
    assert_eq!(code(&answer), (403, "QuotaExceeded"));
    assert!(answer.2.contains("--package-key-count"), "{}", answer.2);
    assert_eq!(
        (
            keeper.kept(),
            count(&keeper, "package_upload").await,
            count(&keeper, "stored_package").await
        ),
        (3, 0, 3)
    );
    // More than it announces is no way around it.
    let upload = given.upload(&objects[0], &keeper);
    sqlx::query("DELETE FROM stored_package").execute(&keeper.server.pool).await.unwrap();
    let headers = [upload.headers(), vec![("content-length", "3".to_owned())]].concat();
    let body = Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(PACKAGE)]));
    assert_eq!(code(&keeper.send(&upload.path(), &headers, body).await), (400, "RequestTimeout"));
    assert_eq!(
        (keeper.kept(), count(&keeper, "package_upload").await),
        (3, 0),
        "what was set aside is given back"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn uploads_at_once_on_several_servers_do_not_go_beyond_the_quota_together(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool.clone()).await;
    let now = keeper.server.clock.now();
    let quota = Quota { key_bytes: 35, ..Quota::default() };
    let admit = async |at: Timestamp| {
        let upload = NewUpload {
            id: PackageId::new(),
            key_id: KEY.id,
            bytes: 10,
            expires_at: at + Duration::from_secs(60),
        };
        Store::on(pool.clone(), test_support::keyring::keyring())
            .admit_upload(upload, &quota, at)
            .await
            .unwrap()
    };
    let said = join_all((0..8).map(|_| admit(now))).await;
    assert_eq!(said.iter().filter(|said| said.is_ok()).count(), 3, "{said:?}");
    assert!(said.contains(&Err(Full::KeyBytes { limit: 35, free: 5 })), "{said:?}");
    // Their servers died: what is set aside for them expires.
    assert_eq!(admit(now + Duration::from_secs(61)).await, Ok(()));
    assert_eq!(count(&keeper, "package_upload").await, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_upload_more_than_may_be_at_once_is_not_taken_in(pool: PgPool) {
    let limits = UploadLimits { at_once: 1, wait: Duration::ZERO, ..UploadLimits::default() };
    let keeper = Keeper::start_with(limits, pool).await;
    let given = keeper.credential().await;
    let objects = [format!("{}/1.jar", given.prefix), format!("{}/2.jar", given.prefix)];
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    let (started, mut begun) = mpsc::unbounded_channel();
    let body = UnboundedReceiverStream::new(receiver).inspect(move |_| started.send(()).unwrap());
    let first = keeper.put(given.upload(&objects[0], &keeper), Body::from_stream(body));
    let second = async {
        sender.send(Ok(Bytes::from_static(PACKAGE))).unwrap();
        begun.recv().await.unwrap();
        let upload = given.upload(&objects[1], &keeper);
        let mut request = Request::builder().method("PUT").uri(upload.path()).header("host", HOST);
        for (name, value) in upload.headers() {
            request = request.header(name, value);
        }
        let response = keeper
            .server
            .router
            .clone()
            .oneshot(request.body(Body::from(PACKAGE)).unwrap())
            .await
            .unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"5".parse().unwrap())
        );
        let text =
            String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
                .unwrap();
        assert!(
            text.contains("<Code>ServiceUnavailable</Code>") && text.contains("--package-uploads"),
            "{text}"
        );
        assert_eq!(count(&keeper, "package_upload").await, 1);
        drop(sender);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.0, 200, "{}", first.2);
    assert_eq!(
        keeper.put(given.upload(&objects[1], &keeper), PACKAGE).await.0,
        200,
        "its place is free again"
    );
    assert_eq!(count(&keeper, "package_upload").await, 0);
}
