//! Reading a header field as a Structured Fields dictionary (RFC 9651), more strictly than that
//! RFC: a member that is there twice is refused.

use std::convert::Infallible;

use sfv::visitor::{DictionaryVisitor, EntryVisitor};
use sfv::{Dictionary, KeyRef, Parser};

use crate::limits::{FIELD_MAX, LABELS_MAX};
use crate::refusal::Refusal;
use crate::request::Request;

pub(crate) const SIGNATURE_INPUT: &str = "Signature-Input";
pub(crate) const SIGNATURE: &str = "Signature";
pub(crate) const CONTENT_DIGEST: &str = "Content-Digest";

/// Reads the field; an absent one has no members.
pub(crate) fn dictionary(
    request: &Request<'_>,
    field: &'static str,
) -> Result<Dictionary, Refusal> {
    let text = request.field(field)?.unwrap_or_default();
    if text.len() > FIELD_MAX {
        return Err(Refusal::TooLong {
            what: field,
            limit: FIELD_MAX,
        });
    }
    let mut read = Strict::default();
    Parser::new(&text)
        .parse_dictionary_with_visitor(&mut read)
        .map_err(|error| Refusal::Unparsable {
            field,
            reason: error.to_string(),
        })?;
    if let Some(member) = read.repeated {
        return Err(Refusal::RepeatedMember { field, member });
    }
    if read.members.len() > LABELS_MAX {
        return Err(Refusal::TooLong {
            what: field,
            limit: LABELS_MAX,
        });
    }
    Ok(read.members)
}

/// A dictionary that remembers the first member that came twice.
#[derive(Default)]
struct Strict {
    members: Dictionary,
    repeated: Option<String>,
}

impl<'de> DictionaryVisitor<'de> for &mut Strict {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        if self.repeated.is_none() && self.members.contains_key(key) {
            self.repeated = Some(key.as_str().to_owned());
        }
        DictionaryVisitor::entry(&mut self.members, key)
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}
