//! Uploading packages as OSS clients do, and releasing what was uploaded: what
//! is taken, what is refused and in which words, and who gets it out again.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use jiff::SignedDuration;
use md5::{Digest, Md5};
use tempfile::TempDir;

use super::{
    packages::{newest_change, newest_target, packages},
    server::{DEPLOY, Server},
    sign::{Key, Upload},
    *,
};
use package::Objects;
use service::{PackageStore, Packages, UploadLimits};

pub(super) const LIMIT: u64 = 1000;
pub(super) const HOST: &str = "sluice.example:8080";
pub(super) const PACKAGE: &[u8] = b"PK\x03\x04 a package";

/// A server that keeps packages in a folder.
pub(super) struct Keeper {
    pub(super) server: Server,
    pub(super) service: Service,
    pub(super) folder: TempDir,
}

/// What a client was given.
pub(super) struct Given {
    id: String,
    secret: String,
    token: String,
    pub(super) prefix: String,
}

impl Keeper {
    async fn start(pool: PgPool) -> Self {
        Self::start_with(UploadLimits::default(), pool).await
    }

    pub(super) async fn start_with(limits: UploadLimits, pool: PgPool) -> Self {
        Self::start_for(LIMIT, limits, pool).await
    }

    /// One that takes packages of at most `most_bytes`.
    pub(super) async fn start_for(most_bytes: u64, limits: UploadLimits, pool: PgPool) -> Self {
        let folder = TempDir::new().unwrap();
        let objects = Objects::open(folder.path().to_str().unwrap(), []).unwrap();
        let store = PackageStore {
            objects,
            url: "http://sluice.tools:8080".parse().unwrap(),
            most_bytes,
            limits,
        };
        let packages = Packages { image: Some("sluice:1".into()), ..packages() };
        let service = service_on(pool.clone()).with_packages(packages).with_package_store(store);
        Self { server: Server::start_with(service.clone(), pool).await, service, folder }
    }

    pub(super) async fn credential(&self) -> Given {
        let reply = self
            .server
            .call("GET", "/pop/v5/package_storage_credential", &[("ServiceCode", "edas")])
            .await;
        assert_eq!(reply["Code"], 200, "{reply:?}");
        shape::check("GetPackageStorageCredential", &reply.clone().into());
        let text = |name: &str| reply["Credential"][name].as_str().unwrap().to_owned();
        assert_eq!(text("Bucket"), "sluice");
        Given {
            id: text("AccessKeyId"),
            secret: text("AccessKeySecret"),
            token: text("SecurityToken"),
            prefix: text("KeyPrefix"),
        }
    }

    /// Sends an upload and reads its answer: status, ETag and body.
    pub(super) async fn send(
        &self,
        target: &str,
        headers: &[(&'static str, String)],
        body: impl Into<Body>,
    ) -> (u16, String, String) {
        let mut request = Request::builder().method("PUT").uri(target).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response =
            self.server.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["x-oss-request-id"].len(), 36);
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body =
            String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
                .unwrap();
        let etag =
            headers.get("etag").map(|etag| etag.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!(status == 200, !etag.is_empty(), "{body}");
        assert!(status == 200 || headers["content-type"] == "application/xml", "{body}");
        (status, etag, body)
    }

    pub(super) async fn put(
        &self,
        upload: Upload<'_>,
        body: impl Into<Body>,
    ) -> (u16, String, String) {
        self.send(&upload.path(), &upload.headers(), body).await
    }

    pub(super) async fn get(&self, method: &str, target: &str) -> (u16, Bytes, String) {
        let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let length = response
            .headers()
            .get("content-length")
            .map(|it| it.to_str().unwrap().to_owned())
            .unwrap_or_default();
        (
            response.status().as_u16(),
            to_bytes(response.into_body(), usize::MAX).await.unwrap(),
            length,
        )
    }

    pub(super) fn kept(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

impl Given {
    pub(super) fn upload<'a>(&'a self, object: &'a str, keeper: &Keeper) -> Upload<'a> {
        let key = Key { id: &self.id, secret: &self.secret };
        Upload {
            key,
            token: &self.token,
            bucket: "sluice",
            object,
            date: keeper.server.clock.now(),
            md5: "",
        }
    }

    fn object(&self) -> String {
        format!("{}/apps/a/b/web 1+2.jar", self.prefix)
    }
}

pub(super) fn code(answer: &(u16, String, String)) -> (u16, &str) {
    let inner = answer.2.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    (answer.0, inner.map_or("", |(code, _)| code))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_uploaded_package_is_released_and_fetched_with_its_capability(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let region = keeper.server.call("GET", "/pop/v5/region_config", &[]).await;
    shape::check("QueryRegionConfig", &region.clone().into());
    let config = &region["RegionConfig"]["FileServerConfig"];
    assert_eq!(
        (&config["Bucket"], &config["PublicUrl"]),
        (&Value::from("sluice"), &Value::from("example:8080"))
    );

    let given = keeper.credential().await;
    let object = given.object();
    let md5 = STANDARD.encode(Md5::digest(PACKAGE));
    let upload = Upload { md5: &md5, ..given.upload(&object, &keeper) };
    let answer = keeper.put(upload, PACKAGE).await;
    assert_eq!(
        (answer.0, answer.1.as_str()),
        (200, format!("\"{}\"", hex::encode_upper(Md5::digest(PACKAGE))).as_str()),
        "{}",
        answer.2
    );

    // As Python's and Go's clients write it: the same key, so the same package again.
    let upload = Upload { md5: &md5, ..given.upload(&object, &keeper) };
    for (bucket, slash) in [("", "%2F"), ("/sluice", "%2f")] {
        let target =
            format!("{bucket}/{}", upload.path().trim_start_matches('/').replace('/', slash));
        assert_eq!(keeper.send(&target, &upload.headers(), PACKAGE).await, answer, "{target}");
    }

    // As the Maven plugin writes it: a blank is a plus.
    let internal = config["InternalUrl"].as_str().unwrap();
    let url = format!("http://sluice.{internal}{}", upload.path().replace("%20", "+"));
    let application = keeper.server.create_and_abort().await;
    let parameters = [
        ("AppId", application.as_str()),
        ("PackageUrl", &url),
        ("PackageVersion", "2"),
        ("JDK", "Open JDK 8"),
    ];
    let deployed = keeper.server.call("POST", DEPLOY, &parameters).await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
    let package = newest_change(&keeper.server).await.package.unwrap();
    let (secret, shown) = (package.url.secret().clone(), package.url.to_string());
    assert!(
        shown.starts_with("http://sluice.tools:8080/sluice/v1/packages/")
            && shown.ends_with("/web%201+2.jar"),
        "{shown}"
    );
    assert_eq!(newest_target(&keeper.server).await.1["address"], shown);
    assert_eq!(package.url.file_name(), "web_1_2.jar");
    assert!(package.url.checksum().is_some());

    let target = format!("{}?{}", secret.path(), secret.query().unwrap());
    assert_eq!(
        keeper.get("GET", &target).await,
        (200, Bytes::from_static(PACKAGE), PACKAGE.len().to_string())
    );
    assert_eq!(keeper.get("HEAD", &target).await, (200, Bytes::new(), PACKAGE.len().to_string()));
    let other = uuid::Uuid::now_v7().to_string();
    let id = secret.path_segments().unwrap().nth(3).unwrap();
    for wrong in [
        secret.path().to_owned(),
        format!("{target}0"),
        target.replace("capability=", "capability=0"),
        target.replace(id, &other),
    ] {
        assert_eq!(keeper.get("GET", &wrong).await.0, 404, "{wrong}");
    }
}

/// Nothing else has the key: the name by which a person reaches the server is as good.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_upload_is_recognised_by_its_key_under_other_names_of_the_server(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let given = keeper.credential().await;
    let object = given.object();
    let upload = given.upload(&object, &keeper);
    assert_eq!(keeper.put(upload, PACKAGE).await.0, 200);
    let application = keeper.server.create_and_abort().await;
    for bucket in ["", "/localhost"] {
        let url = format!("http://localhost:8080{bucket}{}", upload.path());
        let parameters = [
            ("AppId", application.as_str()),
            ("PackageUrl", &url),
            ("PackageVersion", "2"),
            ("JDK", "Open JDK 8"),
        ];
        let deployed = keeper.server.call("POST", DEPLOY, &parameters).await;
        assert_eq!(deployed["Code"], 200, "{deployed:?}");
        let package = newest_change(&keeper.server).await.package.unwrap();
        assert!(
            package.url.to_string().starts_with("http://sluice.tools:8080/sluice/v1/packages/")
        );
        assert!(package.url.checksum().is_some());
        let order = deployed["ChangeOrderId"].as_str().unwrap();
        keeper.server.abort(order).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_again_changes_nothing_and_another_needs_another_key(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let given = keeper.credential().await;
    let object = given.object();
    let upload = given.upload(&object, &keeper);
    let first = keeper.put(upload, PACKAGE).await;
    // A client that calls the store without the bucket before its host.
    let in_path =
        keeper.send(&format!("/sluice{}", upload.path()), &upload.headers(), PACKAGE).await;
    assert_eq!((first.0, &first.1), (in_path.0, &in_path.1));
    assert_eq!(code(&keeper.put(upload, &b"another"[..]).await), (409, "FileAlreadyExists"));
    assert_eq!(keeper.kept(), 1);
    let object = format!("{}/other.jar", given.prefix);
    assert_eq!(keeper.put(given.upload(&object, &keeper), &b"another"[..]).await.0, 200);
    assert_eq!(keeper.kept(), 2);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_too_large_or_breaks_off_or_is_something_else_is_not_kept(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let given = keeper.credential().await;
    let object = given.object();
    let upload = given.upload(&object, &keeper);
    let large = vec![b'x'; usize::try_from(LIMIT).unwrap() + 1];
    let announced = [upload.headers(), vec![("content-length", large.len().to_string())]].concat();
    let answer = keeper.send(&upload.path(), &announced, large.clone()).await;
    assert_eq!(code(&answer), (400, "EntityTooLarge"));
    assert!(answer.2.contains("1000 bytes (--package-limit)"), "{}", answer.2);
    let chunks = |end: Option<std::io::Error>| {
        let parts =
            large.chunks(100).map(|part| Ok(Bytes::copy_from_slice(part))).collect::<Vec<_>>();
        let parts = if end.is_some() {
            parts[..3].iter().map(|part| Ok(part.as_ref().unwrap().clone())).collect()
        } else {
            parts
        };
        Body::from_stream(stream::iter(parts.into_iter().chain(end.map(Err))))
    };
    assert_eq!(code(&keeper.put(upload, chunks(None)).await), (400, "EntityTooLarge"));
    assert_eq!(
        code(&keeper.put(upload, chunks(Some(std::io::Error::other("gone")))).await),
        (400, "RequestTimeout")
    );
    let wrong = STANDARD.encode(Md5::digest(b"something else"));
    assert_eq!(
        code(&keeper.put(Upload { md5: &wrong, ..upload }, PACKAGE).await),
        (400, "InvalidDigest")
    );
    assert_eq!(
        code(&keeper.put(Upload { md5: "no digest", ..upload }, PACKAGE).await),
        (400, "InvalidDigest")
    );
    assert_eq!(keeper.kept(), 0);
    assert_eq!(keeper.put(upload, large[1..].to_vec()).await.0, 200, "as much as is allowed");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn only_the_credential_that_was_given_opens_its_prefix_and_only_for_a_while(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let (given, other) = (keeper.credential().await, keeper.credential().await);
    let (object, others) = (given.object(), other.object());
    let good = given.upload(&object, &keeper);
    let key = |secret| Key { id: &given.id, secret };
    let nobody = uuid::Uuid::now_v7().to_string();
    let late = good.date - SignedDuration::from_mins(16);
    for (upload, wanted) in [
        (Upload { key: key("wrong"), ..good }, "SignatureDoesNotMatch"),
        (Upload { bucket: "another", ..good }, "SignatureDoesNotMatch"),
        (Upload { token: "wrong", ..good }, "InvalidSecurityToken"),
        (Upload { token: &other.token, ..good }, "InvalidSecurityToken"),
        (Upload { key: Key { id: &nobody, ..good.key }, ..good }, "InvalidAccessKeyId"),
        (
            Upload { key: Key { id: "test-key", secret: "test-secret" }, ..good },
            "InvalidAccessKeyId",
        ),
        (Upload { date: late, ..good }, "RequestTimeTooSkewed"),
        (Upload { object: &others, ..good }, "AccessDenied"),
    ] {
        let answer = keeper.put(upload, PACKAGE).await;
        assert_eq!(code(&answer), (403, wanted), "{upload:?}");
        assert!(
            !answer.2.contains(&given.secret) && !answer.2.contains(&given.token),
            "{}",
            answer.2
        );
    }
    let mut altered = good.headers();
    altered.push(("x-oss-meta-more", "1".into()));
    assert_eq!(
        code(&keeper.send(&good.path(), &altered, PACKAGE).await),
        (403, "SignatureDoesNotMatch")
    );
    assert_eq!(code(&keeper.send(&good.path(), &[], PACKAGE).await), (403, "AccessDenied"));

    let set =
        async |sql: &'static str| sqlx::query(sql).execute(&keeper.server.pool).await.unwrap();
    set("UPDATE access_key SET enabled = false").await;
    assert_eq!(code(&keeper.put(good, PACKAGE).await), (403, "AccessDenied"));
    set("UPDATE access_key SET enabled = true").await;
    set("UPDATE upload_credential SET expires_at = now()").await;
    assert_eq!(code(&keeper.put(good, PACKAGE).await), (403, "SecurityTokenExpired"));
    assert_eq!(keeper.kept(), 0);
    set("UPDATE upload_credential SET expires_at = now() + interval '1 minute'").await;
    assert_eq!(keeper.put(good, PACKAGE).await.0, 200);

    // One that ended long ago is forgotten when another is given.
    set("UPDATE upload_credential SET expires_at = now() - interval '25 hours'").await;
    keeper.credential().await;
    assert_eq!(code(&keeper.put(good, PACKAGE).await), (403, "InvalidAccessKeyId"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_leads_nowhere_else(pool: PgPool) {
    let keeper = Keeper::start(pool).await;
    let given = keeper.credential().await;
    for (rest, written) in [
        ("../web.jar", "../web.jar"),
        ("../web.jar", "%2e%2e/web.jar"),
        ("a/../../web.jar", "a%2F..%2F..%2Fweb.jar"),
        ("./web.jar", "./web.jar"),
        ("a//web.jar", "a//web.jar"),
        ("..\\web.jar", "..%5Cweb.jar"),
        ("web.jar\0", "web.jar%00"),
    ] {
        let object = format!("{}/{rest}", given.prefix);
        let headers = given.upload(&object, &keeper).headers();
        let answer = keeper.send(&format!("/{}/{written}", given.prefix), &headers, PACKAGE).await;
        assert_eq!(code(&answer), (400, "InvalidObjectName"), "{written}: {}", answer.2);
    }
    assert_eq!(keeper.kept(), 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_not_offered_says_so(pool: PgPool) {
    let keeper = Keeper::start(pool.clone()).await;
    let given = keeper.credential().await;
    let object = given.object();
    let upload = given.upload(&object, &keeper);
    // The query belongs to the operation: what is asked for with it is no whole package.
    for query in ["acl", "append&position=0", "uploads", "partNumber=1", "x-oss-process=a"] {
        let answer =
            keeper.send(&format!("{}?{query}", upload.path()), &upload.headers(), PACKAGE).await;
        assert_eq!(code(&answer), (501, "NotImplemented"), "{query}");
    }
    for (method, target) in [
        ("POST", upload.path()),
        ("GET", upload.path()),
        ("DELETE", format!("/sluice{}", upload.path())),
    ] {
        let answer = keeper.get(method, &target).await;
        assert!(
            answer.0 == 405
                && String::from_utf8_lossy(&answer.1).contains("<Code>MethodNotAllowed</Code>"),
            "{method}: {answer:?}"
        );
    }
    let application = keeper.server.create_and_abort().await;
    for (url, says) in [
        (
            format!("http://sluice.packages.sluice.invalid/{object}"),
            "no package was uploaded to this server under this key",
        ),
        (
            "http://sluice.packages.sluice.invalid/web.jar".into(),
            "a key is a credential's KeyPrefix",
        ),
    ] {
        let parameters =
            [("AppId", application.as_str()), ("PackageUrl", &url), ("JDK", "Open JDK 8")];
        let body = keeper.server.call("POST", DEPLOY, &parameters).await;
        assert!(body["Message"].as_str().unwrap().contains(says), "{body:?}");
    }

    let plain = Server {
        router: router(service_on(pool.clone()).with_packages(packages()), EdgeConfig::default()),
        pool,
        clock: keeper.server.clock.clone(),
    };
    let body = plain.call("GET", "/pop/v5/package_storage_credential", &[]).await;
    assert!(
        body["Code"] == 601
            && body["Message"].as_str().unwrap().contains("--package-store (SLUICE_PACKAGE_STORE)"),
        "{body:?}"
    );
}
