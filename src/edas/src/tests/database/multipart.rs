//! Uploading packages in parts, as OSS clients do: what makes a package, and what does
//! not.

use bytes::Bytes;
use futures::future::join_all;
use md5::{Digest, Md5};
use std::time::{Duration, Instant};

use super::{
    upload::{Given, HOST, Keeper},
    *,
};
use service::UploadLimits;

/// As small as a part may be that is not the last.
pub(super) const PART: usize = 100 << 10;

/// Bytes of the largest package here.
pub(super) const MOST: u64 = 3 * PART as u64;

const DEADLINE: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: String,
    pub(super) crc64: String,
    pub(super) text: String,
}

impl Answer {
    /// The text of an element, the first of its name.
    pub(super) fn element(&self, name: &str) -> &str {
        let inner = self
            .text
            .split_once(&format!("<{name}>"))
            .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        inner.map_or("", |(inner, _)| inner)
    }

    pub(super) fn code(&self) -> (u16, &str) {
        (self.status, self.element("Code"))
    }
}

/// An upload that was begun.
pub(super) struct Begun<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) given: &'a Given,
    pub(super) object: String,
    pub(super) id: String,
}

impl Keeper {
    pub(super) async fn of_parts(limits: UploadLimits, pool: PgPool) -> Self {
        Self::start_for(MOST, limits, pool).await
    }

    /// Sends a request that is signed with its sub-resources; `more` of the query is not.
    pub(super) async fn ask(
        &self,
        given: &Given,
        (method, object): (&str, &str),
        query: (&str, &str),
        body: impl Into<Body>,
    ) -> Answer {
        let upload = given.upload(object, self);
        let (signed, more) = query;
        let path = if object.is_empty() { "/".to_owned() } else { upload.path() };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{path}?{signed}{more}"))
            .header("host", HOST);
        for (name, value) in upload.headers_of(method, signed) {
            request = request.header(name, value);
        }
        let body: Body = body.into();
        if let Some(length) = http_body::Body::size_hint(&body).exact() {
            request = request.header("content-length", length);
        }
        let response =
            self.server.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        let (status, etag, crc64) =
            (response.status().as_u16(), header("etag"), header("x-oss-hash-crc64ecma"));
        let text =
            String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
                .unwrap();
        Answer { status, etag, crc64, text }
    }

    pub(super) async fn begin<'a>(&'a self, given: &'a Given, name: &str) -> Begun<'a> {
        let object = format!("{}/{name}", given.prefix);
        let answer = self.ask(given, ("POST", &object), ("uploads", ""), Body::empty()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(
            (answer.element("Bucket"), answer.element("Key")),
            ("sluice", object.replace('&', "&amp;").as_str())
        );
        let id = answer.element("UploadId").to_owned();
        assert_eq!(id.len(), 32);
        Begun { keeper: self, given, object, id }
    }

    pub(super) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.server.pool).await.unwrap()
    }

    /// Waits until so many files are in the folder: parts go behind the answer.
    pub(super) async fn keeps(&self, files: usize) {
        let end = Instant::now() + DEADLINE;
        let going = "SELECT count(*) FROM upload_part p JOIN multipart_upload m ON m.id = upload_id WHERE replaced OR ended_at IS NOT NULL";
        while (self.kept(), self.number(going).await) != (files, 0) {
            assert!(Instant::now() < end, "{} files and not {files}", self.kept());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Begun<'_> {
    async fn ask(&self, method: &str, query: (&str, &str), body: impl Into<Body>) -> Answer {
        self.keeper.ask(self.given, (method, &self.object), query, body).await
    }

    pub(super) async fn put(&self, number: u32, body: impl Into<Body>) -> Answer {
        self.ask("PUT", (&format!("partNumber={number}&uploadId={}", self.id), ""), body).await
    }

    pub(super) async fn parts(&self, more: &str) -> Answer {
        self.ask("GET", (&format!("uploadId={}", self.id), more), Body::empty()).await
    }

    pub(super) async fn abort(&self) -> Answer {
        self.ask("DELETE", (&format!("uploadId={}", self.id), ""), Body::empty()).await
    }

    pub(super) async fn complete(&self, parts: &[(u32, &str)]) -> Answer {
        let part = |(number, etag): &(u32, &str)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        };
        let list: String = parts.iter().map(part).collect();
        self.complete_with(format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>"))
            .await
    }

    pub(super) async fn complete_with(&self, list: String) -> Answer {
        self.ask("POST", (&format!("uploadId={}", self.id), ""), list).await
    }
}

fn etag_of(parts: &[&[u8]]) -> String {
    let sums: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
    format!("\"{}-{}\"", hex::encode_upper(Md5::digest(sums)), parts.len())
}

fn crc64(text: &[u8]) -> String {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, text).to_string()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_package_that_comes_in_parts_is_one_package(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "apps/a&b/web 1+2.jar").await;
    let (first, last) = (vec![b'a'; PART], b"the end".to_vec());
    let second = upload.put(7, last.clone()).await;
    assert_eq!((second.status, second.crc64.clone()), (200, crc64(&last)), "{}", second.text);
    assert_eq!(upload.put(1, vec![b'b'; PART]).await.status, 200);
    let again = upload.put(1, first.clone()).await;
    assert_eq!(again.etag, format!("\"{}\"", hex::encode_upper(Md5::digest(&first))));
    keeper.keeps(2).await;

    // A client that goes on after a break asks what is there, page by page.
    let listed = upload.parts("&part-number-marker=0&max-parts=1").await;
    let told = ["PartNumber", "ETag", "Size", "NextPartNumberMarker", "IsTruncated", "MaxParts"]
        .map(|name| listed.element(name));
    assert_eq!(
        told,
        ["1", &again.etag.replace('"', "&quot;"), "102400", "1", "true", "1"],
        "{}",
        listed.text
    );
    let rest = upload.parts("&part-number-marker=1&encoding-type=url").await;
    assert_eq!(
        ["PartNumber", "Size", "IsTruncated"].map(|name| rest.element(name)),
        ["7", "7", "false"],
        "{}",
        rest.text
    );
    assert!(rest.element("Key").ends_with("/apps/a%26b/web%201%2B2.jar"), "{}", rest.text);

    let parts = [(1, again.etag.as_str()), (7, second.etag.as_str())];
    let done = upload.complete(&parts).await;
    let whole = [first.clone(), last.clone()].concat();
    assert_eq!(
        (done.status, &done.etag, &done.crc64),
        (200, &etag_of(&[&first, &last]), &crc64(&whole)),
        "{}",
        done.text
    );
    assert!(
        done.element("Key").ends_with("/apps/a&amp;b/web 1+2.jar")
            && done.element("ETag").contains("-2"),
        "{}",
        done.text
    );
    assert_eq!(upload.complete(&parts).await, done, "a client that did not hear of it asks again");
    keeper.keeps(1).await;
    let row: (uuid::Uuid, i64, String) =
        sqlx::query_as("SELECT id, bytes, md5 FROM stored_package WHERE object_key = $1")
            .bind(&upload.object)
            .fetch_one(&keeper.server.pool)
            .await
            .unwrap();
    assert_eq!((row.1, row.2), (whole.len() as i64, hex::encode(Md5::digest(&whole))));
    assert!(std::fs::read(keeper.folder.path().join(row.0.to_string())).unwrap() == whole);

    // It is no upload any more.
    assert_eq!(upload.complete(&parts[..1]).await.code(), (404, "NoSuchUpload"));
    for answer in [upload.put(1, "x").await, upload.parts("").await, upload.abort().await] {
        assert_eq!(answer.code(), (404, "NoSuchUpload"), "{}", answer.text);
    }
    keeper.keeps(1).await;
    assert_eq!(keeper.number("SELECT count(*) FROM upload_part").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn parts_that_make_no_package_are_refused_and_stay(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let (small, large) =
        (upload.put(1, "small").await.etag, upload.put(2, vec![b'a'; PART]).await.etag);
    let last = upload.put(3, vec![b'b'; PART]).await.etag;
    for (parts, wanted) in [
        (&[(2, large.as_str()), (1, &small)][..], "InvalidPartOrder"),
        (&[(2, &large), (2, &large)], "InvalidPartOrder"),
        (&[(2, &small)], "InvalidPart"),
        (&[(2, &large), (4, &large)], "InvalidPart"),
        (&[(2, "\"none\"")], "InvalidPart"),
        (&[(1, &small), (2, &large)], "EntityTooSmall"),
        (&[], "MalformedXML"),
        (&[(0, &small)], "MalformedXML"),
    ] {
        assert_eq!(upload.complete(parts).await.code(), (400, wanted), "{parts:?}");
    }
    let long =
        format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", " ".repeat(1 << 20));
    assert_eq!(upload.complete_with(long).await.code(), (400, "MalformedXML"));
    // More than a package may have: neither announced nor sent.
    assert_eq!(upload.put(4, vec![b'c'; 2 * PART]).await.code(), (400, "EntityTooLarge"));
    assert_eq!(upload.put(4, vec![b'c'; 4 * PART]).await.code(), (400, "EntityTooLarge"));
    assert_eq!(upload.put(10_001, "a").await.code(), (400, "InvalidArgument"));
    assert_eq!(keeper.kept(), 3);
    assert_eq!(keeper.number("SELECT bytes FROM multipart_upload").await, 2 * PART as i64 + 5);
    assert_eq!(upload.complete(&[(2, &large), (3, &last)]).await.status, 200);
    keeper.keeps(1).await;

    // Another package under the same key needs another key, as with a whole one.
    let (other, same) =
        (keeper.begin(&given, "web.jar").await, keeper.begin(&given, "web.jar").await);
    let part = other.put(1, "something else").await.etag;
    assert_eq!(other.complete(&[(1, &part)]).await.code(), (409, "FileAlreadyExists"));
    assert_eq!(other.parts("").await.element("PartNumber"), "1", "it can still be given up");
    assert_eq!(other.abort().await.status, 204);
    let whole = same.put(1, [vec![b'a'; PART], vec![b'b'; PART]].concat()).await.etag;
    assert_eq!(same.complete(&[(1, &whole)]).await.status, 200, "the same package is no other");
    keeper.keeps(1).await;
    assert_eq!(keeper.number("SELECT count(*) FROM package_upload").await, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_part_whose_bytes_are_gone_makes_no_package_until_it_is_sent_again(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let etag = upload.put(1, "part").await.etag;
    let file = || std::fs::read_dir(keeper.folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file(), "trap").unwrap();
    assert_eq!(
        upload.complete(&[(1, &etag)]).await.code(),
        (500, "InternalError"),
        "it is another one"
    );
    std::fs::remove_file(file()).unwrap();
    assert_eq!(upload.complete(&[(1, &etag)]).await.code(), (500, "InternalError"));
    let rows =
        "SELECT (SELECT count(*) FROM stored_package) + (SELECT count(*) FROM package_upload)";
    assert_eq!((keeper.kept(), keeper.number(rows).await), (0, 0));
    assert_eq!(upload.put(1, "part").await.etag, etag);
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
    keeper.keeps(1).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn of_parts_with_one_number_at_once_one_stands_and_is_whole(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let bodies: Vec<Vec<u8>> = (b'a'..=b'f').map(|byte| vec![byte; PART]).collect();
    let answers = join_all(bodies.iter().map(|body| upload.put(1, body.clone()))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let listed = upload.parts("").await;
    assert_eq!(listed.text.matches("<Part>").count(), 1);
    let etag = listed.element("ETag").replace("&quot;", "\"");
    let body = &bodies[answers.iter().position(|answer| answer.etag == etag).unwrap()];
    // The others go with their answers.
    assert_eq!(keeper.number("SELECT bytes FROM multipart_upload").await, PART as i64);
    let done = upload.complete(&[(1, &etag)]).await;
    assert_eq!((done.status, done.etag), (200, etag_of(&[body])), "{}", done.text);
    keeper.keeps(1).await;
    let file = std::fs::read_dir(keeper.folder.path()).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read(file).unwrap() == *body);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_breaks_off_or_is_not_what_it_says_is_no_part(pool: PgPool) {
    let keeper = Keeper::of_parts(UploadLimits::default(), pool).await;
    let given = keeper.credential().await;
    let upload = keeper.begin(&given, "web.jar").await;
    let sent = [Ok(Bytes::from_static(b"PK")), Err(std::io::Error::other("gone"))];
    let broken = upload.put(1, Body::from_stream(futures::stream::iter(sent))).await;
    assert_eq!(broken.code(), (400, "RequestTimeout"));
    let query = format!("partNumber=1&uploadId={}", upload.id);
    let digest =
        sign::Upload { md5: "CY9rzUYh03PK3k6DJie09g==", ..given.upload(&upload.object, &keeper) };
    let mut request = Request::builder()
        .method("PUT")
        .uri(format!("{}?{query}", digest.path()))
        .header("host", HOST);
    for (name, value) in digest.headers_of("PUT", &query) {
        request = request.header(name, value);
    }
    let response = keeper
        .server
        .router
        .clone()
        .oneshot(request.body(Body::from("not test")).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 400, "Content-MD5 is that of another text");
    assert_eq!((keeper.kept(), keeper.number("SELECT count(*) FROM upload_part").await), (0, 0));
    assert_eq!(
        keeper.number("SELECT bytes FROM multipart_upload").await,
        0,
        "the room is given back"
    );
}
