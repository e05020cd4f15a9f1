//! Uploading a package in parts: which parts make the package. Pure.

use jiff::Timestamp;
use md5::{Digest, Md5};
use thiserror::Error;

use crate::{
    MultipartId, PackageId,
    limits::{LEAST_PART, PARTS},
};

/// A part that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The object's name in the store.
    pub id: PackageId,
    /// Its place in the package.
    pub number: u32,
    pub bytes: u64,
    /// Its MD5, in hex.
    pub md5: String,
    /// Its CRC-64, of the kind that OSS uses.
    pub crc64: u64,
    /// When all of it was there.
    pub written_at: Timestamp,
}

/// A part as the list names it that completes an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPart {
    /// Its place in the package.
    pub number: u32,
    /// Its MD5, which is its ETag.
    pub md5: [u8; 16],
}

/// Why parts do not make a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WrongParts {
    /// The numbers do not ascend.
    #[error("the parts must be listed by ascending number, and {0} is not above the one before it")]
    Order(u32),
    /// There is no such part.
    #[error("no part {0} with this ETag was uploaded")]
    Unknown(u32),
    /// A part that is not the last has too few bytes.
    #[error(
        "each part but the last has at least {LEAST_PART} bytes, and part {number} has {bytes}"
    )]
    Small {
        /// Which one.
        number: u32,
        /// Its size.
        bytes: u64,
    },
    /// The package would be too large.
    #[error("a package may have at most {0} bytes (--package-limit)")]
    Large(u64),
}

/// The number of a part, if `text` is one.
#[must_use]
pub fn number(text: &str) -> Option<u32> {
    let is_plain =
        !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && (1..=PARTS).contains(number))
}

/// The parts of `kept` that `named` names, which make a package of at most `most_bytes`.
/// Both are in the order of their numbers, or it is refused.
///
/// # Errors
/// [`WrongParts`].
pub fn chosen(
    named: &[NamedPart],
    kept: Vec<Part>,
    most_bytes: u64,
) -> Result<Vec<Part>, WrongParts> {
    if let Some(pair) = named.windows(2).find(|pair| pair[1].number <= pair[0].number) {
        return Err(WrongParts::Order(pair[1].number));
    }
    let mut kept = kept.into_iter();
    let mut parts = Vec::with_capacity(named.len());
    for NamedPart { number, md5 } in named {
        let part = kept
            .find(|part| part.number >= *number)
            .filter(|part| part.number == *number && part.md5 == hex::encode(md5));
        parts.push(part.ok_or(WrongParts::Unknown(*number))?);
    }
    if let Some((_, others)) = parts.split_last()
        && let Some(small) = others.iter().find(|part| part.bytes < LEAST_PART)
    {
        return Err(WrongParts::Small { number: small.number, bytes: small.bytes });
    }
    if parts.iter().map(|part| part.bytes).sum::<u64>() > most_bytes {
        return Err(WrongParts::Large(most_bytes));
    }
    Ok(parts)
}

/// The ETag of what these parts make, without its quotes: the MD5 of their MD5s, and
/// how many they are.
#[must_use]
pub fn etag(named: &[NamedPart]) -> String {
    let mut sum = Md5::new();
    named.iter().for_each(|part| sum.update(part.md5));
    format!("{}-{}", hex::encode_upper(sum.finalize()), named.len())
}

impl MultipartId {
    /// As clients see it.
    #[must_use]
    pub fn shown(self) -> String {
        self.0.simple().to_string().to_uppercase()
    }

    /// The upload that a client names, if it is one at all.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        text.parse().ok().filter(|id: &Self| id.shown() == text)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn part(number: u32, bytes: u64) -> Part {
        let md5 = hex::encode(of(number));
        Part {
            id: PackageId::new(),
            number,
            bytes,
            md5,
            crc64: 0,
            written_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn of(number: u32) -> [u8; 16] {
        Md5::digest(number.to_string()).into()
    }

    fn named(numbers: &[u32]) -> Vec<NamedPart> {
        numbers.iter().map(|number| NamedPart { number: *number, md5: of(*number) }).collect()
    }

    #[rstest]
    #[case(&[1, 2, 5], Ok(vec![1, 2, 5]))]
    #[case(&[2, 5], Ok(vec![2, 5]))]
    #[case(&[1], Ok(vec![1]))]
    #[case(&[5], Ok(vec![5]))]
    #[case(&[1, 5, 2], Err(WrongParts::Order(2)))]
    #[case(&[1, 1], Err(WrongParts::Order(1)))]
    #[case(&[1, 3], Err(WrongParts::Unknown(3)))]
    #[case(&[1, 2, 5, 6], Err(WrongParts::Unknown(6)))]
    fn the_parts_that_are_named_make_the_package(
        #[case] numbers: &[u32],
        #[case] wanted: Result<Vec<u32>, WrongParts>,
    ) {
        let kept = vec![part(1, LEAST_PART), part(2, LEAST_PART), part(5, 1)];
        let made = chosen(&named(numbers), kept, 1 << 20)
            .map(|parts| parts.iter().map(|part| part.number).collect::<Vec<_>>());
        assert_eq!(made, wanted);
    }

    #[test]
    fn only_the_last_part_may_be_small_and_all_together_have_a_limit() {
        let all = named(&[1, 2]);
        let of_sizes = |first, last, most| {
            chosen(&all, vec![part(1, first), part(2, last)], most).map(|parts| parts.len())
        };
        assert_eq!(of_sizes(LEAST_PART, 0, LEAST_PART), Ok(2));
        assert_eq!(
            of_sizes(LEAST_PART - 1, 1, LEAST_PART),
            Err(WrongParts::Small { number: 1, bytes: LEAST_PART - 1 })
        );
        assert_eq!(of_sizes(LEAST_PART, 1, LEAST_PART), Err(WrongParts::Large(LEAST_PART)));
        let other = [NamedPart { md5: of(3), ..all[0] }];
        assert_eq!(
            chosen(&other, vec![part(1, 1)], 9).map(|parts| parts.len()),
            Err(WrongParts::Unknown(1))
        );
    }

    #[rstest]
    #[case("1", Some(1))]
    #[case("10000", Some(10_000))]
    #[case("0", None)]
    #[case("10001", None)]
    #[case("+1", None)]
    #[case("", None)]
    #[case("1 ", None)]
    #[case("99999999999999999999", None)]
    fn a_parts_number_is_from_1_to_10000(#[case] text: &str, #[case] wanted: Option<u32>) {
        assert_eq!(number(text), wanted);
    }

    #[test]
    fn an_upload_is_named_in_one_way_only() {
        let id = MultipartId::new();
        assert_eq!(MultipartId::named(&id.shown()), Some(id));
        assert_eq!((MultipartId::named(&id.to_string()), MultipartId::named("A")), (None, None));
    }

    #[test]
    fn the_etag_is_the_md5_of_the_md5s_and_their_number() {
        let sum = Md5::digest([of(1), of(2)].concat());
        assert_eq!(etag(&named(&[1, 2])), format!("{}-2", hex::encode_upper(sum)));
    }
}
