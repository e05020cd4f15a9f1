//! What the provider says of itself: where it is asked, and the keys that it signs with.

use openidconnect::{
    AdditionalProviderMetadata, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
        CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    fetch::LARGEST_ANSWER,
    settings::{is_loopback, is_private},
};

/// Most keys of a provider.
const MOST_KEYS: usize = 100;

/// What is read besides what the library knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Besides {
    /// Whether the provider always says who it is when it sends a browser back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Besides {}

/// The provider's description of itself.
pub type Metadata = ProviderMetadata<
    Besides,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is known of the provider.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub metadata: Metadata,
    pub keys: CoreJsonWebKeySet,
}

/// Reads the description of the provider `issuer`.
///
/// # Errors
/// That it is none, is another's, or names an address to which others could read along.
pub fn read_metadata(issuer: &str, document: &[u8]) -> Result<Metadata, String> {
    let metadata: Metadata = read(document)?;
    if metadata.issuer().as_str() != issuer {
        let other = domain::person::shown_name(metadata.issuer().as_str(), 200);
        return Err(format!(
            "it calls itself {other}, and not {issuer}: the issuer must be the same to the last sign"
        ));
    }
    let Some(token) = metadata.token_endpoint() else {
        return Err("it has no token endpoint".into());
    };
    // A provider on this machine may name itself; one elsewhere may not name this machine.
    let is_local = Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    let addresses =
        [metadata.authorization_endpoint().url(), token.url(), metadata.jwks_uri().url()];
    for address in addresses {
        if !is_private(address) || (is_loopback(address) && !is_local) {
            let shown = domain::person::shown_name(address.as_str(), 200);
            return Err(format!("it names the address {shown}, which must begin with https://"));
        }
    }
    Ok(metadata)
}

/// Reads the provider's keys. Those of kinds that nobody here knows are left out.
///
/// # Errors
/// That there is none, or that there are too many.
pub fn read_keys(document: &[u8]) -> Result<CoreJsonWebKeySet, String> {
    let keys: CoreJsonWebKeySet = read(document)?;
    match keys.keys().len() {
        0 => Err("it has no key".into()),
        1..=MOST_KEYS => Ok(keys),
        count => Err(format!("it has {count} keys: at most {MOST_KEYS} are read")),
    }
}

fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Result<T, String> {
    if document.len() > LARGEST_ANSWER {
        return Err(format!("its answer has more than {LARGEST_ANSWER} bytes"));
    }
    serde_json::from_slice(document).map_err(|why| format!("its answer cannot be read: {why}"))
}
