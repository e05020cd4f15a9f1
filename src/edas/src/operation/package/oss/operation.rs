//! What a request wants of the store: its method and its query, of which a part is
//! signed.
//!
//! OSS calls `uploads`, `uploadId` and `partNumber` sub-resources: they belong to what
//! is signed, in the order of their names. The other parameters of lists do not. Any
//! other parameter is refused, since nothing would come of it.

use axum::http::{Method, StatusCode};

use super::OssRefusal;
use crate::wire::params::Params;
use domain::{MultipartId, limits::PARTS, package::upload::parts::number};

/// What is signed of a query, in that order.
const SUBRESOURCES: [&str; 3] = ["partNumber", "uploadId", "uploads"];

/// Most parts or uploads of one list, as in OSS.
const PAGE: usize = 1000;

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// PutObject: a whole package.
    Put,
    Initiate {
        /// Whether keys are to be escaped in the answer.
        is_escaped: bool,
    },
    PutPart {
        upload: MultipartId,
        /// The part's place in the package.
        number: u32,
    },
    Complete {
        upload: MultipartId,
        /// Whether keys are to be escaped in the answer.
        is_escaped: bool,
    },
    Abort {
        upload: MultipartId,
    },
    ListParts {
        upload: MultipartId,
        /// The number behind which the list begins.
        after: u32,
        /// Parts in the list, at the most.
        most: usize,
        /// Whether keys are to be escaped in the answer.
        is_escaped: bool,
    },
    /// ListMultipartUploads, of a bucket.
    ListUploads(QueryKind),
}

/// Which uploads are to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryKind {
    /// What their keys begin with.
    pub prefix: String,
    /// The key behind which the list begins.
    pub key: String,
    /// With that key, the upload behind which it begins.
    pub upload: Option<MultipartId>,
    /// Uploads in the list, at the most.
    pub most: usize,
    /// Whether keys are to be escaped in the answer.
    pub is_escaped: bool,
}

/// A query, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Params);

impl Query {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(query: Option<&str>) -> Result<Self, OssRefusal> {
        let read = Params::parse(query.unwrap_or_default());
        read.map(Self).map_err(|_| invalid("The query cannot be read: each parameter may be there once, as percent-encoded UTF-8."))
    }

    /// What is signed of it, behind the object.
    #[must_use]
    pub fn signed(&self) -> String {
        let given = SUBRESOURCES.iter().filter_map(|name| Some((*name, self.0.raw(name)?)));
        let shown: Vec<String> = given
            .map(
                |(name, value)| {
                    if value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
                },
            )
            .collect();
        if shown.is_empty() { String::new() } else { format!("?{}", shown.join("&")) }
    }

    /// What the method wants with it, of an object or of a bucket.
    ///
    /// # Errors
    /// There is no such operation here, or a value of it is wrong.
    pub fn operation(&self, method: &Method, of_bucket: bool) -> Result<Operation, OssRefusal> {
        let has = |name: &str| self.0.raw(name).is_some();
        let (subresources, others) = match (
            method.as_str(),
            of_bucket,
            has("uploads"),
            has("uploadId"),
            has("partNumber"),
        ) {
            ("PUT", false, false, false, false) => (0, &[][..]),
            ("POST", false, true, false, false) => (1, &["encoding-type"][..]),
            ("PUT", false, false, true, true) => (2, &[][..]),
            ("POST", false, false, true, false) => (1, &["encoding-type"][..]),
            ("DELETE", false, false, true, false) => (1, &[][..]),
            ("GET", false, false, true, false) => {
                (1, &["encoding-type", "max-parts", "part-number-marker"][..])
            }
            ("GET", true, true, false, false) => (
                1,
                &[
                    "delimiter",
                    "encoding-type",
                    "key-marker",
                    "max-uploads",
                    "prefix",
                    "upload-id-marker",
                ][..],
            ),
            (_, _, false, false, false) if self.0.pairs().is_empty() => {
                return Err(super::unoffered(method));
            }
            _ => return Err(not_implemented()),
        };
        if self.0.pairs().len() != subresources + others.iter().filter(|name| has(name)).count() {
            return Err(not_implemented());
        }
        let is_escaped = match self.0.text("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => return Err(invalid("encoding-type must be url.")),
        };
        let upload = || {
            MultipartId::named(self.0.text("uploadId").unwrap_or_default())
                .ok_or_else(no_such_upload)
        };
        Ok(match (method.as_str(), has("uploadId"), has("partNumber")) {
            ("PUT", false, _) => Operation::Put,
            ("PUT", true, _) => {
                let number = self.0.text("partNumber").and_then(number);
                Operation::PutPart {
                    upload: upload()?,
                    number: number.ok_or_else(|| {
                        invalid(format!("partNumber must be a number from 1 to {PARTS}."))
                    })?,
                }
            }
            ("POST", false, _) => Operation::Initiate { is_escaped },
            ("POST", true, _) => Operation::Complete { upload: upload()?, is_escaped },
            ("DELETE", ..) => Operation::Abort { upload: upload()? },
            (_, true, _) => {
                let after =
                    self.0.text("part-number-marker").filter(|marker| *marker != "0").map(number);
                let wrong =
                    || invalid(format!("part-number-marker must be a number from 0 to {PARTS}."));
                let after =
                    after.map(|after| after.ok_or_else(wrong)).transpose()?.unwrap_or_default();
                Operation::ListParts {
                    upload: upload()?,
                    after,
                    most: self.page("max-parts")?,
                    is_escaped,
                }
            }
            (_, false, _) => {
                if self.0.text("delimiter").is_some() {
                    return Err(not_implemented());
                }
                let text = |name| self.0.text(name).unwrap_or_default().to_owned();
                let upload = self.0.text("upload-id-marker").and_then(MultipartId::named);
                Operation::ListUploads(QueryKind {
                    prefix: text("prefix"),
                    key: text("key-marker"),
                    upload,
                    most: self.page("max-uploads")?,
                    is_escaped,
                })
            }
        })
    }

    /// How long a list may be.
    fn page(&self, name: &str) -> Result<usize, OssRefusal> {
        let Some(given) = self.0.text(name) else { return Ok(PAGE) };
        let most =
            number(given).and_then(|most| usize::try_from(most).ok()).filter(|most| *most <= PAGE);
        most.ok_or_else(|| invalid(format!("{name} must be a number from 1 to {PAGE}.")))
    }
}

fn invalid(message: impl Into<String>) -> OssRefusal {
    OssRefusal::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
}

fn not_implemented() -> OssRefusal {
    let message = "Only a package can be uploaded: with PUT as a whole, or in parts (uploads, uploadId, partNumber). \
                   No other parameter and no copying is offered.";
    OssRefusal::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
}

/// There is no such upload in parts.
pub(in crate::operation::package::oss) fn no_such_upload() -> OssRefusal {
    let message = "There is no such upload of this key in parts: it was completed or given up, or its credential has ended.";
    OssRefusal::new(StatusCode::NOT_FOUND, "NoSuchUpload", message)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ID: &str = "01935A2C52B07C418D6E2A4F6B8C0D1E";

    fn operation(method: &str, query: &str, of_bucket: bool) -> Result<Operation, &'static str> {
        let query = Query::read(Some(query)).map_err(|refusal| refusal.code)?;
        query.operation(&method.parse().unwrap(), of_bucket).map_err(|refusal| refusal.code)
    }

    #[test]
    fn method_and_query_say_what_is_wanted() {
        let upload = MultipartId::named(ID).unwrap();
        for (method, query, wanted) in [
            ("PUT", String::new(), Operation::Put),
            ("POST", "uploads".into(), Operation::Initiate { is_escaped: false }),
            ("POST", "uploads=&encoding-type=url".into(), Operation::Initiate { is_escaped: true }),
            (
                "PUT",
                format!("partNumber=10000&uploadId={ID}"),
                Operation::PutPart { upload, number: 10_000 },
            ),
            ("POST", format!("uploadId={ID}"), Operation::Complete { upload, is_escaped: false }),
            ("DELETE", format!("uploadId={ID}"), Operation::Abort { upload }),
            (
                "GET",
                format!("uploadId={ID}"),
                Operation::ListParts { upload, after: 0, most: 1000, is_escaped: false },
            ),
            (
                "GET",
                format!("uploadId={ID}&part-number-marker=0&max-parts=1"),
                Operation::ListParts { upload, after: 0, most: 1, is_escaped: false },
            ),
            (
                "GET",
                format!("max-parts=&uploadId={ID}&part-number-marker=7&encoding-type=url"),
                Operation::ListParts { upload, after: 7, most: 1000, is_escaped: true },
            ),
        ] {
            assert_eq!(operation(method, &query, false), Ok(wanted), "{method} {query}");
        }
        let wanted = QueryKind {
            prefix: "a/b".into(),
            key: "a/b c".into(),
            upload: Some(upload),
            most: 2,
            is_escaped: true,
        };
        let query = format!(
            "uploads&prefix=a%2Fb&delimiter=&key-marker=a%2Fb%20c&upload-id-marker={ID}&max-uploads=2&encoding-type=url"
        );
        assert_eq!(operation("GET", &query, true), Ok(Operation::ListUploads(wanted)));
    }

    #[rstest]
    #[case("PUT", "acl", "NotImplemented")]
    #[case("PUT", "partNumber=1", "NotImplemented")]
    #[case("PUT", "uploads", "NotImplemented")]
    #[case("POST", "append&position=0", "NotImplemented")]
    #[case("POST", "uploads&sequential", "NotImplemented")]
    #[case("POST", "uploads&prefix=a", "NotImplemented")]
    #[case("POST", "uploads&encoding-type=base64", "InvalidArgument")]
    #[case("POST", "", "MethodNotAllowed")]
    #[case("GET", "", "MethodNotAllowed")]
    #[case("GET", "uploads", "NotImplemented")]
    #[case("PUT", "partNumber=0&uploadId=01935A2C52B07C418D6E2A4F6B8C0D1E", "InvalidArgument")]
    #[case(
        "PUT",
        "partNumber=1&uploadId=01935A2C52B07C418D6E2A4F6B8C0D1E&uploads",
        "NotImplemented"
    )]
    #[case("PUT", "partNumber=1&uploadId=a", "NoSuchUpload")]
    #[case("GET", "uploadId=01935A2C52B07C418D6E2A4F6B8C0D1E&max-parts=1001", "InvalidArgument")]
    #[case(
        "GET",
        "uploadId=01935A2C52B07C418D6E2A4F6B8C0D1E&part-number-marker=-1",
        "InvalidArgument"
    )]
    #[case("GET", "uploadId=%FF", "InvalidArgument")]
    #[case("GET", "uploadId=a&uploadId=b", "InvalidArgument")]
    fn everything_else_is_refused(#[case] method: &str, #[case] query: &str, #[case] code: &str) {
        assert_eq!(operation(method, query, false), Err(code));
    }

    #[test]
    fn subresources_are_signed_in_order_and_nothing_else_is() {
        let signed = |query| Query::read(Some(query)).unwrap().signed();
        assert_eq!(signed("max-parts=1&uploadId=A&part-number-marker=2"), "?uploadId=A");
        assert_eq!(signed("uploadId=A&partNumber=1"), "?partNumber=1&uploadId=A");
        assert_eq!(
            (signed("uploads="), signed("uploads"), signed("prefix=a")),
            ("?uploads".into(), "?uploads".into(), String::new())
        );
    }
}
