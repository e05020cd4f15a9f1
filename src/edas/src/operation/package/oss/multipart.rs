//! Uploads in parts: each operation of one, for who may write its key.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{StatusCode, request::Parts},
    response::Response,
};
use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};

use super::{
    Admitted, DISCARD_WITHIN, Object, OssRefusal, answer, answer::AnswerPlace, discard, host_of,
    operation::QueryKind, pace, part_list,
};
use crate::{Edge, wire::error::ApiError};
use domain::package::upload::ObjectKey;
use service::{NamedUpload, UploadCredential};

/// How long the list of parts may take that completes an upload.
const LIST_WITHIN: Duration = Duration::from_secs(60);

pub(in crate::operation::package::oss) async fn initiate(
    edge: &Edge,
    credential: &UploadCredential,
    key: &ObjectKey,
    place: AnswerPlace<'_>,
) -> Result<Response, OssRefusal> {
    let id = edge.service.begin_multipart(credential, key).await?;
    Ok(answer::initiated(place, &id.shown()))
}

pub(in crate::operation::package::oss) async fn put_part(
    edge: &Edge,
    upload: &NamedUpload,
    number: u32,
    admitted: Admitted,
    body: Body,
) -> Result<Response, OssRefusal> {
    let slot = match edge.service.begin_part(upload, number, admitted.announced).await {
        Ok(slot) => slot,
        Err(why) => {
            discard(body, DISCARD_WITHIN).await;
            return Err(why.into());
        }
    };
    let body = pace::kept(body.into_data_stream().map_err(io::Error::other)).boxed();
    let stored = edge.service.store_part(slot, admitted.md5, body).await?;
    Ok(answer::stored(&stored.md5.to_uppercase(), stored.crc64))
}

pub(in crate::operation::package::oss) async fn complete(
    edge: &Edge,
    upload: NamedUpload,
    admitted: Admitted,
    (object, parts, is_escaped): (&Object, &Parts, bool),
    mut body: Body,
) -> Result<Response, OssRefusal> {
    let read =
        tokio::time::timeout(LIST_WITHIN, edge.bodies.read(&admitted.credential.key_id, &mut body))
            .await;
    let (list, _taken) = read.map_err(|_| cut_off())?.map_err(unread)?;
    if admitted.md5.is_some_and(|md5| md5 != hex::encode(Md5::digest(&list))) {
        return Err(OssRefusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidDigest",
            "Content-MD5 is not that of what came.",
        ));
    }
    let named = part_list::read(&list)?;
    let completion = edge.service.complete_multipart(upload, admitted.uploaded_by, named).await?;
    let location = format!("http://{}{}", host_of(&parts.headers), parts.uri.path());
    let place = AnswerPlace { bucket: &object.bucket, key: &object.key, is_escaped };
    Ok(answer::completed(place, &location, &completion))
}

pub(in crate::operation::package::oss) async fn list_parts(
    edge: &Edge,
    upload: &NamedUpload,
    after: u32,
    most: usize,
    place: AnswerPlace<'_>,
) -> Result<Response, OssRefusal> {
    let (parts, has_more) = edge.service.parts(upload, after, most).await?;
    Ok(answer::parts(place, &upload.id.shown(), after, most, (&parts, has_more)))
}

/// Lists what the credential may go on with, and nothing of others.
pub(in crate::operation::package::oss) async fn list_uploads(
    edge: &Edge,
    credential: &UploadCredential,
    bucket: &str,
    wanted: &QueryKind,
) -> Result<Response, OssRefusal> {
    let own = format!("{}/", credential.prefix());
    let prefix = match wanted.prefix.as_str() {
        within if within.starts_with(&own) => within,
        above if own.starts_with(above) => &own,
        _ => {
            return Err(OssRefusal::denied(
                "AccessDenied",
                "The prefix does not begin with the credential's KeyPrefix.",
            ));
        }
    };
    let (rows, has_more) =
        edge.service.multiparts(prefix, (&wanted.key, wanted.upload), wanted.most).await?;
    let place = AnswerPlace { bucket, key: &wanted.prefix, is_escaped: wanted.is_escaped };
    let marker = wanted.upload.map(|id| id.shown()).unwrap_or_default();
    Ok(answer::uploads(place, (&wanted.key, &marker), wanted.most, (&rows, has_more)))
}

fn cut_off() -> OssRefusal {
    OssRefusal::new(
        StatusCode::BAD_REQUEST,
        "RequestTimeout",
        "The list of parts did not come to its end.",
    )
}

fn unread(error: ApiError) -> OssRefusal {
    match error {
        ApiError::Gateway { message, wait: Some(_), .. } => OssRefusal::busy(message),
        ApiError::Gateway { message, status: StatusCode::PAYLOAD_TOO_LARGE, .. } => {
            OssRefusal::new(StatusCode::BAD_REQUEST, "MalformedXML", message)
        }
        _ => cut_off(),
    }
}
