//! The first half of verification: what a request says about its signature. Nothing of it is
//! proved.

use sfv::{Dictionary, FieldType, InnerList, ListEntry, Parameters};

use crate::component::{self, Component};
use crate::fields::{SIGNATURE, SIGNATURE_INPUT, dictionary};
use crate::limits::PARAMETER_MAX;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::request::Request;

/// What a request says about its signature. Nothing of it is proved until
/// [`verify()`](crate::verify()) says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The signature's label in the two dictionaries. Not covered by the signature: no decision may
    /// rest on it.
    pub label: String,
    /// Which key signed; 1 to 128 characters.
    pub keyid: String,
    /// When it was signed, in seconds since 1970.
    pub created_s: i64,
    /// Until when it is valid, in seconds since 1970.
    pub expires_s: Option<i64>,
    /// What makes the request the only one of its kind; 1 to 128 characters. Always there if the
    /// profile asks for it.
    pub nonce: Option<String>,
    /// The algorithm that the client thinks its key is for.
    pub alg: Option<String>,
    pub(crate) components: Vec<Component>,
    /// The covered components and all parameters, serialised in the signer's order: the last line
    /// of the base.
    pub(crate) params: String,
    pub(crate) signature: Vec<u8>,
}

/// Reads the two fields and picks the first signature, in the order of `Signature-Input`, that fits
/// the profile. Others, which proxies on the way may have added, are ignored. If none fits, the
/// refusal is that of the first.
///
/// # Errors
/// Any [`Refusal`] that needs neither key nor clock.
pub fn claim(request: &Request<'_>, profile: &Profile) -> Result<Claim, Refusal> {
    let inputs = dictionary(request, SIGNATURE_INPUT)?;
    let signatures = dictionary(request, SIGNATURE)?;
    let mut first_refusal = None;
    for (label, entry) in &inputs {
        match candidate(request, profile, label.as_str(), entry, &signatures) {
            Ok(claim) => return Ok(claim),
            Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
        }
    }
    Err(
        first_refusal.unwrap_or_else(|| match signatures.keys().next() {
            Some(label) => Refusal::LabelMissing {
                label: label.as_str().to_owned(),
                missing_in: SIGNATURE_INPUT,
            },
            None => Refusal::NoSignature,
        }),
    )
}

fn candidate(
    request: &Request<'_>,
    profile: &Profile,
    label: &str,
    entry: &ListEntry,
    signatures: &Dictionary,
) -> Result<Claim, Refusal> {
    let list = inner_list(label, entry)?;
    let signature = signature(label, signatures)?;
    let components = component::read_all(&list.items)?;
    let parameters = &list.params;
    let claim = Claim {
        label: label.to_owned(),
        keyid: text(parameters, "keyid")?
            .ok_or(Refusal::ParameterMissing { parameter: "keyid" })?,
        created_s: seconds(parameters, "created")?.ok_or(Refusal::ParameterMissing {
            parameter: "created",
        })?,
        expires_s: seconds(parameters, "expires")?,
        nonce: text(parameters, "nonce")?,
        alg: text(parameters, "alg")?,
        components,
        params: serialize(list)?,
        signature: signature.to_vec(),
    };
    if claim.nonce.is_none() && profile.needs_nonce(request) {
        return Err(Refusal::ParameterMissing { parameter: "nonce" });
    }
    profile.check_coverage(request, &claim.components)?;
    Ok(claim)
}

fn inner_list<'e>(label: &str, entry: &'e ListEntry) -> Result<&'e InnerList, Refusal> {
    match entry {
        ListEntry::InnerList(list) => Ok(list),
        ListEntry::Item(_) => Err(Refusal::WrongType {
            field: SIGNATURE_INPUT,
            member: label.to_owned(),
            expected: "a list of covered components in parentheses",
        }),
    }
}

fn signature<'s>(label: &str, signatures: &'s Dictionary) -> Result<&'s [u8], Refusal> {
    let entry = signatures.get(label);
    let entry = entry.ok_or_else(|| Refusal::LabelMissing {
        label: label.to_owned(),
        missing_in: SIGNATURE,
    })?;
    let bytes = match entry {
        ListEntry::Item(item) => item.bare_item.as_byte_sequence(),
        ListEntry::InnerList(_) => None,
    };
    bytes.ok_or_else(|| Refusal::WrongType {
        field: SIGNATURE,
        member: label.to_owned(),
        expected: "a byte sequence (`:base64:`)",
    })
}

fn seconds(parameters: &Parameters, parameter: &'static str) -> Result<Option<i64>, Refusal> {
    let Some(value) = parameters.get(parameter) else {
        return Ok(None);
    };
    let invalid = || Refusal::ParameterInvalid {
        parameter,
        expected: "a whole number of seconds since 1970",
    };
    value
        .as_integer()
        .map(i64::from)
        .filter(|seconds| *seconds >= 0)
        .map(Some)
        .ok_or_else(invalid)
}

fn text(parameters: &Parameters, parameter: &'static str) -> Result<Option<String>, Refusal> {
    let Some(value) = parameters.get(parameter) else {
        return Ok(None);
    };
    let invalid = || Refusal::ParameterInvalid {
        parameter,
        expected: "a string in double quotes, not empty",
    };
    let text = value
        .as_string()
        .map(sfv::StringRef::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(invalid)?;
    if text.len() > PARAMETER_MAX {
        return Err(Refusal::TooLong {
            what: parameter,
            limit: PARAMETER_MAX,
        });
    }
    Ok(Some(text.to_owned()))
}

/// The list with its parameters as the signer serialised it: RFC 9651 has one form for each, and
/// the order is kept.
pub(crate) fn serialize(list: &InnerList) -> Result<String, Refusal> {
    let text = vec![ListEntry::InnerList(list.clone())].serialize();
    // Only a list without members has no serialisation, and this one has a member.
    text.ok_or(Refusal::NoSignature)
}
