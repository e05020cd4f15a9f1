//! The limits of everything that is read from outside: how many, how deep, how large.
//!
//! The one place for them. Every reader checks its input against them before it works on
//! it, and the OpenAPI document has them for callers ([`described`]). They are far
//! above what real clients send. Pure.

/// Bytes of a request line: method, target, version and line end.
pub const LINE: usize = 64 << 10;

/// Bytes of a target (path and query), so that the line stays within [`LINE`].
pub const TARGET: usize = LINE - 16;

/// Bytes of a request's body.
pub const BODY: usize = 1 << 20;

/// Bytes of all bodies of EDAS calls that a server has in memory at once.
pub const BODIES: usize = 128 << 20;

/// The earliest time that is read: 0001-01-01. The database has none from before 4713 BC.
pub const EARLIEST_TIME: jiff::Timestamp = jiff::Timestamp::constant(-62_135_596_800, 0);

/// Characters of the reason for which somebody does something.
pub const REASON: usize = 500;

/// Parameters of a request, those of the query and of the form together.
pub const PARAMETERS: usize = 1000;

/// Bytes of a parameter's name.
pub const PARAMETER_NAME: usize = 256;

/// Dots in a parameter's name: how deep it may lead into a structure (`Data.1.Key`).
pub const NAME_DEPTH: usize = 8;

/// Headers of a request, each of their values counted. One of HTTP/2 that is there again
/// takes a byte to send.
pub const HEADERS: usize = 100;

/// Headers that a signature may cover, each of their values counted.
pub const SIGNED_HEADERS: usize = 100;

/// Bytes of all header values that a signature covers.
pub const SIGNED_HEADER_BYTES: usize = 32 << 10;

/// Bytes of an access key's id.
pub const KEY_ID: usize = 256;

/// Characters of a signature's nonce; clients send 32 to 64.
pub const NONCE: usize = 256;

/// How deep values may lie within each other in JSON, YAML and XML. A Deployment with
/// its managed fields has 20 levels.
pub const DEPTH: usize = 32;

/// Values and names in one text of JSON or YAML, and parts of one of XML.
pub const NODES: usize = 20_000;

/// Items of one list and fields of one object in a parameter's JSON.
pub const ITEMS: usize = 1000;

/// Anchors, and as many aliases and merged maps, in one text of YAML.
pub const ALIASES: usize = 100;

/// Values that the aliases of one text of YAML may stand for, all together.
pub const REPEATED: usize = 1000;

/// Documents in one text of YAML.
pub const DOCUMENTS: usize = 100;

/// Bytes of a Deployment that is given as a whole.
pub const DOCUMENT: usize = 512 << 10;

/// Init containers of an application, and as many containers beside its own.
pub const CONTAINERS: usize = 20;

/// Instances of an application.
pub const REPLICAS: i64 = 100_000;

/// Seconds that an order or one of its batches may take, and that a pod may have to be
/// Ready before it counts: a week.
pub const SECONDS: i64 = 7 * 86_400;

/// Batches of a release, its canary not counted.
pub const BATCHES: i32 = 100;

/// Instances that a reply shows of one order; past them, those that are well are left out first.
pub const INSTANCES: usize = 1000;

/// Resources, tags or keys of tags of one call.
pub const TAGGED: usize = 20;

/// Characters of a config template's name.
pub const TEMPLATE_NAME: usize = 64;

/// Characters of a config template's description.
pub const TEMPLATE_DESCRIPTION: usize = 255;

/// Characters of a config template's content.
pub const TEMPLATE_CONTENT: usize = 65_536;

/// Bytes of a package's address.
pub const PACKAGE_URL: usize = 8192;

/// Bytes of a key that a package is uploaded under, as in OSS.
pub const OBJECT_KEY: usize = 1023;

/// Parts of an upload in parts, and the largest number of one, as in OSS.
pub const PARTS: u32 = 10_000;

/// Bytes of each part but the last, at the least, as in OSS.
pub const LEAST_PART: u64 = 100 << 10;

/// Characters that an error repeats of one thing that was given.
pub const SHOWN: usize = 200;

/// Characters of what an error says about a parameter.
pub const SAID: usize = 2000;

/// The limits of every request, as the OpenAPI document tells them.
#[must_use]
pub fn described() -> String {
    format!(
        "Limits, past which a request is refused with the parameter and the limit: a request line has at most {LINE} bytes and a body \
         {BODY}; a request has at most {PARAMETERS} parameters (query and form together), with names of at most {PARAMETER_NAME} bytes \
         and {NAME_DEPTH} dots; a request has at most {HEADERS} headers, and a signature covers at most {SIGNED_HEADERS} with {SIGNED_HEADER_BYTES} bytes. JSON, YAML and XML \
         have at most {DEPTH} levels and {NODES} values and names, a list or object in a parameter's JSON at most {ITEMS} items, and YAML \
         at most {ALIASES} anchors and aliases, which stand for at most {REPEATED} values. A release has at most {BATCHES} batches, and a reply shows at most {INSTANCES} of an order's instances."
    )
}
