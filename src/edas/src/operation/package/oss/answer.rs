//! What operations on uploads in parts answer: OSS' XML.

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;

use domain::package::upload::Part;
use service::{Completion, MultipartRow};

/// The header with the CRC-64 of what came: clients compare it with their own.
const CRC64: &str = "x-oss-hash-crc64ecma";

/// Escaped in keys, where the client wants that.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What a list or an upload is of.
#[derive(Debug, Clone, Copy)]
pub(in crate::operation::package::oss) struct AnswerPlace<'a> {
    pub(in crate::operation::package::oss) bucket: &'a str,
    pub(in crate::operation::package::oss) key: &'a str,
    /// Whether keys are escaped as in an address.
    pub(in crate::operation::package::oss) is_escaped: bool,
}

/// A package or a part came.
pub(in crate::operation::package::oss) fn stored(etag: &str, crc64: u64) -> Response {
    (marks(etag, crc64), StatusCode::OK).into_response()
}

/// An upload was given up.
pub(in crate::operation::package::oss) fn aborted() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(in crate::operation::package::oss) fn initiated(
    place: AnswerPlace<'_>,
    upload: &str,
) -> Response {
    xml(
        "InitiateMultipartUploadResult",
        &[place.encoding(), place.bucket(), place.key(), element("UploadId", upload)],
    )
}

pub(in crate::operation::package::oss) fn completed(
    place: AnswerPlace<'_>,
    location: &str,
    completion: &Completion,
) -> Response {
    let etag = element("ETag", &quoted(&completion.etag));
    let parts =
        [place.encoding(), element("Location", location), place.bucket(), place.key(), etag];
    (marks(&completion.etag, completion.crc64), xml("CompleteMultipartUploadResult", &parts))
        .into_response()
}

/// The parts of an upload, of which there are more or not.
pub(in crate::operation::package::oss) fn parts(
    place: AnswerPlace<'_>,
    upload: &str,
    after: u32,
    most: usize,
    (parts, has_more): (&[Part], bool),
) -> Response {
    let next = parts.last().map_or(after, |part| part.number);
    let mut told = vec![
        place.encoding(),
        place.bucket(),
        place.key(),
        element("UploadId", upload),
        element("StorageClass", "Standard"),
        element("PartNumberMarker", &after.to_string()),
        element("NextPartNumberMarker", &next.to_string()),
        element("MaxParts", &most.to_string()),
        element("IsTruncated", &has_more.to_string()),
    ];
    told.extend(parts.iter().map(|part| {
        let fields = [
            element("PartNumber", &part.number.to_string()),
            element("LastModified", &written(part.written_at)),
            element("ETag", &quoted(&part.md5.to_uppercase())),
            element("HashCrc64ecma", &part.crc64.to_string()),
            element("Size", &part.bytes.to_string()),
        ];
        format!("<Part>{}</Part>", fields.concat())
    }));
    xml("ListPartsResult", &told)
}

/// The uploads of a bucket; the place's key is the prefix, and `after` where they begin.
pub(in crate::operation::package::oss) fn uploads(
    place: AnswerPlace<'_>,
    after: (&str, &str),
    most: usize,
    (rows, has_more): (&[MultipartRow], bool),
) -> Response {
    let next = rows.last().filter(|_| has_more);
    let mut told = vec![
        place.encoding(),
        place.bucket(),
        element("KeyMarker", &place.shown(after.0)),
        element("UploadIdMarker", after.1),
        element("NextKeyMarker", &next.map(|row| place.shown(&row.object_key)).unwrap_or_default()),
        element("NextUploadIdMarker", &next.map(|row| row.id.shown()).unwrap_or_default()),
        element("Delimiter", ""),
        element("Prefix", &place.shown(place.key)),
        element("MaxUploads", &most.to_string()),
        element("IsTruncated", &has_more.to_string()),
    ];
    told.extend(rows.iter().map(|row| {
        let fields = [
            element("Key", &place.shown(&row.object_key)),
            element("UploadId", &row.id.shown()),
            element("StorageClass", "Standard"),
            element("Initiated", &written(row.created_at)),
        ];
        format!("<Upload>{}</Upload>", fields.concat())
    }));
    xml("ListMultipartUploadsResult", &told)
}

impl AnswerPlace<'_> {
    fn encoding(self) -> String {
        if self.is_escaped { element("EncodingType", "url") } else { String::new() }
    }

    fn bucket(self) -> String {
        element("Bucket", self.bucket)
    }

    fn key(self) -> String {
        element("Key", &self.shown(self.key))
    }

    fn shown(self, key: &str) -> String {
        if self.is_escaped { utf8_percent_encode(key, ESCAPED).to_string() } else { key.into() }
    }
}

fn marks(etag: &str, crc64: u64) -> [(HeaderName, HeaderValue); 2] {
    let etag = HeaderValue::try_from(quoted(etag)).unwrap_or(HeaderValue::from_static(""));
    [(ETAG, etag), (HeaderName::from_static(CRC64), HeaderValue::from(crc64))]
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn xml(name: &str, parts: &[String]) -> Response {
    let text =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name}>{}</{name}>", parts.concat());
    ([(CONTENT_TYPE, HeaderValue::from_static("application/xml"))], text).into_response()
}
