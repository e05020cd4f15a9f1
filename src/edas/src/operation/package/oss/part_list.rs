//! The list of parts that completes an upload: XML, read once from its beginning to its
//! end.

use axum::http::StatusCode;
use quick_xml::{Reader, events::Event};

use super::OssRefusal;
use domain::{
    limits::PARTS,
    package::upload::{NamedPart, WrongParts, parts::number},
};

/// Bytes of a number or an ETag, at the most.
const LONGEST_TEXT: usize = 64;

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    List,
    Part,
    Number,
    Etag,
    /// Something in a part that is of no interest.
    Other,
}

/// Reads the body of CompleteMultipartUpload: from 1 to [`PARTS`] parts.
///
/// # Errors
/// It is no such list, or an ETag cannot be that of a part.
pub fn read(body: &[u8]) -> Result<Vec<NamedPart>, OssRefusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let mut reader = Reader::from_str(text);
    let (mut open, mut has_ended) = (Open::Nothing, false);
    let mut parts = Vec::new();
    let (mut place, mut etag) = (String::new(), String::new());
    loop {
        let event = reader.read_event().map_err(|_| malformed())?;
        let said = match &event {
            Event::Start(start) => {
                open = match (open, start.local_name().as_ref()) {
                    (Open::Nothing, b"CompleteMultipartUpload") if !has_ended => Open::List,
                    (Open::List, b"Part") => Open::Part,
                    (Open::Part, b"PartNumber") if place.is_empty() => Open::Number,
                    (Open::Part, b"ETag") if etag.is_empty() => Open::Etag,
                    (Open::Part, name) if !matches!(name, b"PartNumber" | b"ETag") => Open::Other,
                    _ => return Err(malformed()),
                };
                continue;
            }
            Event::End(_) => {
                open = match open {
                    Open::Number | Open::Etag | Open::Other => Open::Part,
                    Open::Part => {
                        if parts.len() == PARTS as usize {
                            return Err(malformed());
                        }
                        parts.push(part(&place, &etag)?);
                        (place, etag) = (String::new(), String::new());
                        Open::List
                    }
                    Open::List | Open::Nothing => {
                        has_ended = true;
                        Open::Nothing
                    }
                };
                continue;
            }
            Event::Eof if has_ended && open == Open::Nothing && !parts.is_empty() => {
                return Ok(parts);
            }
            Event::Eof | Event::DocType(_) => return Err(malformed()),
            Event::Empty(_) if open == Open::Part => continue,
            Event::Empty(_) => return Err(malformed()),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
            Event::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Event::CData(text) => String::from_utf8_lossy(text).into_owned(),
            // ETags have quotes, which clients escape in one way or another.
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(character)) => character.to_string(),
                Ok(None) if &**name == b"quot" => "\"".to_owned(),
                _ => return Err(malformed()),
            },
        };
        match open {
            Open::Number => place.push_str(&said),
            Open::Etag => etag.push_str(&said),
            Open::Other => {}
            Open::Nothing | Open::List | Open::Part if said.trim().is_empty() => {}
            Open::Nothing | Open::List | Open::Part => return Err(malformed()),
        }
        if place.len().max(etag.len()) > LONGEST_TEXT {
            return Err(malformed());
        }
    }
}

fn part(place: &str, etag: &str) -> Result<NamedPart, OssRefusal> {
    let number = number(place.trim()).ok_or_else(malformed)?;
    let mut md5 = [0; 16];
    hex::decode_to_slice(etag.trim().trim_matches('"'), &mut md5)
        .map_err(|_| OssRefusal::from(WrongParts::Unknown(number)))?;
    Ok(NamedPart { number, md5 })
}

fn malformed() -> OssRefusal {
    let message = format!(
        "The body must be a CompleteMultipartUpload of 1 to {PARTS} parts, each with a PartNumber from 1 to {PARTS} and its ETag."
    );
    OssRefusal::new(StatusCode::BAD_REQUEST, "MalformedXML", message)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ETAG: &str = "0CC175B9C0F1B6A831C399E269772661";

    fn list(parts: &str) -> Result<Vec<u32>, &'static str> {
        let read =
            read(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").as_bytes());
        read.map(|parts| parts.iter().map(|part| part.number).collect())
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_list_is_read_as_each_client_writes_it() {
        let of = |quote: &str| {
            format!("<Part><PartNumber>1</PartNumber><ETag>{quote}{ETAG}{quote}</ETag></Part>")
        };
        let wanted = NamedPart { number: 1, md5: hex::decode(ETAG).unwrap().try_into().unwrap() };
        // Java, Go and Python; the last with a head.
        for (head, quote) in [
            ("", "&quot;"),
            ("", "&#34;"),
            ("<?xml version='1.0' encoding='utf-8'?>\n", "\""),
            ("", ""),
        ] {
            let text =
                format!("{head}<CompleteMultipartUpload>{}</CompleteMultipartUpload>", of(quote));
            assert_eq!(read(text.as_bytes()), Ok(vec![wanted]), "{text}");
        }
        let lower = format!(
            "\n <Part>\n <ETag>\"{}\"</ETag><Size>3</Size><X/> <PartNumber> 7 </PartNumber></Part>\n",
            ETAG.to_lowercase()
        );
        assert_eq!(
            list(&format!("{lower}{}", of("\""))),
            Ok(vec![7, 1]),
            "in the order in which they stand"
        );
    }

    #[rstest]
    #[case("", "MalformedXML")]
    #[case("<Part></Part>", "MalformedXML")]
    #[case("<Part/>", "MalformedXML")]
    #[case("text", "MalformedXML")]
    #[case("<Part><PartNumber>1</PartNumber></Part>", "InvalidPart")]
    #[case("<Part><PartNumber>1</PartNumber><ETag>\"abc\"</ETag></Part>", "InvalidPart")]
    #[case("<Part><PartNumber>0</PartNumber><ETag>a</ETag></Part>", "MalformedXML")]
    #[case("<Part><PartNumber>1<B>2</B></PartNumber><ETag>a</ETag></Part>", "MalformedXML")]
    #[case(
        "<Part><PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>a</ETag></Part>",
        "MalformedXML"
    )]
    #[case("<Part><PartNumber>1</PartNumber><ETag>&other;</ETag></Part>", "MalformedXML")]
    #[case("<Part><PartNumber>1</ETag></Part>", "MalformedXML")]
    #[case("</CompleteMultipartUpload><CompleteMultipartUpload>", "MalformedXML")]
    fn everything_else_is_malformed(#[case] parts: &str, #[case] code: &str) {
        assert_eq!(list(parts), Err(code));
    }

    #[test]
    fn what_is_too_long_too_many_or_declares_something_is_malformed() {
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{ETAG}</ETag></Part>");
        assert_eq!(list(&part.repeat(10_000)).unwrap().len(), 10_000);
        assert_eq!(list(&part.repeat(10_001)), Err("MalformedXML"));
        assert_eq!(list(&part.replace(ETAG, &"a".repeat(65))), Err("MalformedXML"));
        for text in [
            "",
            "<a/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]>",
            "<CompleteMultipartUpload>",
            "\u{feff}",
            "{}",
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().code, "MalformedXML", "{text}");
        }
        assert_eq!(read(&[0xff]).unwrap_err().code, "MalformedXML");
    }
}
