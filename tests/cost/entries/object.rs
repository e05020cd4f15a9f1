//! Uploads as OSS does them, request lines, and addresses of packages.

use std::net::IpAddr;

use axum::http::{Method, Request};
use domain::{
    limits::{BODY, OBJECT_KEY, PACKAGE_URL, PARAMETERS, PARTS},
    package::{
        Checksum, HostPattern, PackageAddress,
        upload::{self, ObjectKey},
    },
};
use edas::{
    edge::{
        connection::{Peer, Way},
        line::Cutting,
    },
    operation::package::oss::{Object, OssClaim, Query, part_list},
};

use crate::{
    entry::{Entry, accepted, headers, refused, text_job},
    measure::Job,
};

const CLAIM: &[&str] = &["edas::operation::package::oss::claim::OssClaim::read"];
const OBJECT: &[&str] =
    &["edas::operation::package::oss::Object::of", "domain::package::upload::ObjectKey::read"];
const QUERY: &[&str] = &[
    "edas::operation::package::oss::operation::Query::read",
    "edas::operation::package::oss::operation::Query::operation",
    "domain::package::upload::parts::MultipartId::named",
];
const PART_LIST: &[&str] = &[
    "edas::operation::package::oss::part_list::read",
    "edas::operation::package::oss::part_list::part",
    "domain::package::upload::parts::number",
];
const ETAG: &str = "0CC175B9C0F1B6A831C399E269772661";
const URL: &[&str] = &[
    "domain::package::PackageAddress::from_str",
    "domain::package::PackageAddress::try_from",
    "domain::package::PackageAddress::file_name",
    "domain::package::upload::named_by",
    "domain::package::upload::perhaps_named_by",
];
const ID: &str = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e";

/// Bytes that are left for a head beside its line: the HTTP library has a limit of its own.
const HEAD: usize = 400 << 10;

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("OSS: as many signed headers as may be", CLAIM, 90, |n| {
            claim((0..n).map(|at| (format!("x-oss-{at:04}"), "v".repeat(300))).collect())
        }),
        refused("OSS: as many signed headers as fit into a head", CLAIM, HEAD / 32, |n| {
            claim((0..n).map(|at| (format!("x-oss-{at:06}"), "v".repeat(10))).collect())
        }),
        accepted("OSS: an object whose key is as long as may be", OBJECT, OBJECT_KEY - 60, |n| {
            object(format!("/sluice-packages/{ID}/{}", "%61".repeat(n)))
        }),
        refused("OSS: an object whose key is as long as a line", OBJECT, 65_000, |n| {
            object(format!("/sluice-packages/{ID}/{}", "a/".repeat(n / 2)))
        }),
        accepted(
            "OSS: a query for uploads with a prefix as long as a key",
            QUERY,
            OBJECT_KEY,
            |n| {
                query(
                    "GET",
                    format!(
                        "uploads&max-uploads=1000&encoding-type=url&prefix={}",
                        "%61".repeat(n)
                    ),
                )
            },
        ),
        refused("OSS: a query with as many parameters as may be", QUERY, PARAMETERS, |n| {
            query("PUT", (0..n).map(|at| format!("partNumber{at}=1&")).collect())
        }),
        refused("OSS: the id of an upload as long as a line", QUERY, 65_000, |n| {
            query("DELETE", format!("uploadId={}", "A".repeat(n)))
        }),
        accepted("OSS: a list of as many parts as may be", PART_LIST, PARTS as usize, |n| {
            let part = |at| {
                format!(
                    "<Part><PartNumber>{}</PartNumber><ETag>&#34;{ETAG}&#34;</ETag></Part>",
                    at + 1
                )
            };
            listed((0..n).map(part).collect())
        }),
        accepted(
            "OSS: a list of parts with more in it that is not read",
            PART_LIST,
            BODY / 4 - 60,
            |n| {
                listed(format!(
                    "<Part><PartNumber>1</PartNumber><ETag>{ETAG}</ETag>{}</Part>",
                    "<a/>".repeat(n)
                ))
            },
        ),
        accepted("OSS: a list of parts with a long comment", PART_LIST, BODY - 200, |n| {
            listed(format!(
                "<!--{}--><Part><PartNumber>1</PartNumber><ETag>{ETAG}</ETag></Part>",
                "-a".repeat(n / 2)
            ))
        }),
        refused(
            "OSS: a list of parts with an ETag of a body's length",
            PART_LIST,
            BODY - 100,
            |n| {
                listed(format!(
                    "<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>",
                    "a".repeat(n)
                ))
            },
        ),
        refused("OSS: a list of parts that lie within each other", PART_LIST, BODY / 6 - 20, |n| {
            listed("<Part>".repeat(n))
        }),
        accepted("a package's address as long as may be", URL, PACKAGE_URL - 30, |n| {
            url(format!("https://example.com/{}", "a/".repeat(n / 2)))
        }),
        accepted("a package's address that goes up and down", URL, PACKAGE_URL - 30, |n| {
            url(format!("https://example.com/{}", "a/../".repeat(n / 5)))
        }),
        accepted("a package's address with a long password", URL, PACKAGE_URL - 60, |n| {
            url(format!("https://user:{}@example.com/app.jar", "@".repeat(n)))
        }),
        refused(
            "a package's address whose host is one long label of Chinese",
            URL,
            PACKAGE_URL / 3 - 10,
            |n| url(format!("https://{}/", "版本".repeat(n / 2))),
        ),
        accepted("a package's address whose host is many labels", URL, PACKAGE_URL - 20, |n| {
            url(format!("https://{}ü/", "a.".repeat(n / 2)))
        }),
        refused("a package's address longer than may be", URL, 1 << 20, |n| {
            url(format!("https://example.com/{}", "a".repeat(n.max(PACKAGE_URL))))
        }),
        refused(
            "a checksum of a body's length",
            &["domain::package::Checksum::from_str"],
            1 << 20,
            |n| text_job("a".repeat(n), |text| text.parse::<Checksum>().is_ok()),
        ),
        accepted(
            "a pattern of hosts as long as an address",
            &["domain::package::HostPattern::from_str"],
            PACKAGE_URL,
            |n| text_job("a.".repeat(n / 2), |text| text.parse::<HostPattern>().is_ok()),
        ),
        accepted(
            "a head of addresses that proxies are to have forwarded",
            &["edas::edge::connection::peer::address_in"],
            HEAD / 20,
            |n| {
                let said = [
                    ("x-forwarded-for", "10.0.0.1,".repeat(n)),
                    ("x-forwarded-proto", "https,".repeat(n) + "https"),
                ];
                let (headers, proxies) =
                    (headers(said), ["10.0.0.0/8".parse().expect("a network")]);
                Box::new(move || {
                    Peer::at(IpAddr::from([10, 0, 0, 2]), false).behind(&headers, &proxies).way
                        != Way::Loopback
                })
            },
        ),
        accepted(
            "a request line of which most is dropped",
            &["edas::edge::line::Line::cut"],
            4 << 20,
            |n| {
                let sent = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(n));
                text_job(sent, |sent| {
                    let mut stream = Cutting::new(sent.as_bytes());
                    let (mut part, mut kept) = (vec![0; 8192], 0);
                    loop {
                        match futures::executor::block_on(tokio::io::AsyncReadExt::read(
                            &mut stream,
                            &mut part,
                        )) {
                            Ok(0) => return kept < 70_000,
                            Ok(read) => kept += read,
                            Err(_) => return false,
                        }
                    }
                })
            },
        ),
    ]
}

/// Reads a claim that is signed with these headers.
fn claim(more: Vec<(String, String)>) -> Job {
    let own = [
        ("authorization", format!("OSS {ID}:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("date", "Tue, 24 Nov 2026 06:58:10 GMT".into()),
        ("x-oss-security-token", "token".into()),
    ];
    let headers = headers(
        own.into_iter().chain(more.iter().map(|(name, value)| (name.as_str(), value.clone()))),
    );
    let object = object_of(&format!("/sluice-packages/{ID}/app.jar")).expect("it is an object");
    let query = Query::read(Some("partNumber=1&uploadId=A")).expect("it is a query");
    Box::new(move || OssClaim::read(&Method::PUT, &headers, &object, &query).is_ok())
}

/// Reads a query, what is signed of it, and what it wants of a bucket or an object.
fn query(method: &'static str, text: String) -> Job {
    let method: Method = method.parse().expect("a method");
    Box::new(move || {
        let Ok(query) = Query::read(Some(&text)) else { return false };
        let wanted = [false, true].map(|of_bucket| query.operation(&method, of_bucket).is_ok());
        !query.signed().is_empty() && wanted.contains(&true)
    })
}

/// Reads a list of parts.
fn listed(parts: String) -> Job {
    let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    Box::new(move || part_list::read(text.as_bytes()).is_ok())
}

fn object(path: String) -> Job {
    text_job(path, |path| {
        object_of(path).is_some_and(|object| ObjectKey::read(object.key()).is_ok())
    })
}

fn object_of(path: &str) -> Option<Object> {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header("host", "bucket.example.com")
        .body(())
        .ok()?;
    Object::of(&request.into_parts().0).ok()
}

fn url(text: String) -> Job {
    text_job(text, |text| {
        let Ok(url) = text.parse::<PackageAddress>() else { return false };
        let named = (upload::named_by(&url), upload::perhaps_named_by(&url));
        let told = (url.file_name(), url.kind(), named, url.redirected("/other").is_ok());
        !told.0.is_empty()
    })
}
