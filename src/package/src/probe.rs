//! Whether a package is there, asked from where the server is.
//!
//! Only what is certain counts: not allowed, not there, not for these
//! credentials, too large. Everything else (no answer, a server in trouble, a
//! name that only the cluster knows) is left to the init container. So is a host
//! on a private network that the operator did not name: it is not connected to,
//! and the answer is the same whatever is there.

use std::time::Duration;

use reqwest::{Response, header::CONTENT_RANGE};

use super::{Client, Failure, Reason, request::Ask};
use domain::package::PackageAddress;

/// Longest time for all of it: a caller waits.
const TIME_LIMIT: Duration = Duration::from_secs(4);

impl Client {
    /// Whether the package is there, as far as that can be told from here.
    ///
    /// # Errors
    /// It certainly cannot be had.
    pub async fn probe(&self, url: &PackageAddress) -> Result<(), Failure> {
        self.probe_within(TIME_LIMIT, url).await
    }

    pub(super) async fn probe_within(
        &self,
        limit: Duration,
        url: &PackageAddress,
    ) -> Result<(), Failure> {
        match tokio::time::timeout(limit, self.look(url)).await {
            Ok(Err(failure))
                if !failure.reason.is_passing() && failure.reason != Reason::Unexpected =>
            {
                Err(failure)
            }
            Ok(Ok(()) | Err(_)) | Err(_) => Ok(()),
        }
    }

    async fn look(&self, url: &PackageAddress) -> Result<(), Failure> {
        let mut answer = self.send(url, Ask::Head).await?;
        // Some servers do not answer HEAD (405, 501), and a signed address is
        // often signed for GET alone (403): the first byte settles it.
        if !answer.status().is_success() {
            answer = self.send(url, Ask::FirstByte).await?;
        }
        super::request::check_status(url, answer.status())?;
        match size_of(&answer) {
            Some(bytes) if bytes > self.most_bytes => Err(self.too_large(url, Some(bytes))),
            _ => Ok(()),
        }
    }
}

/// The size of the whole package, as the head of the answer tells it. The body
/// of an answer to HEAD is empty, whatever its length says.
fn size_of(answer: &Response) -> Option<u64> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    if let Some(range) = header(CONTENT_RANGE) {
        return range.rsplit_once('/')?.1.parse().ok();
    }
    header(reqwest::header::CONTENT_LENGTH)?.parse().ok()
}
