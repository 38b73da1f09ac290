//! The client's side: signing a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::{BareItem, InnerList, Integer, Item, Parameters, StringRef, key_ref};

use crate::base::base;
use crate::claim;
use crate::component::Component;
use crate::digest::content_digest;
use crate::key::SigningKey;
use crate::limits::PARAMETER_MAX;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::request::Request;

/// The label under which [`sign`] puts its signature. It means nothing.
pub const LABEL: &str = "sig1";

/// The parameters of a signature.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// The id under which the server has the signing key.
    pub keyid: &'a str,
    /// The client's clock, in seconds since 1970.
    pub created_s: i64,
    /// Until when the server shall take the request, in seconds since 1970; its own window holds
    /// besides.
    pub expires_s: Option<i64>,
    /// Fresh and random for each request whose method needs one.
    pub nonce: Option<&'a str>,
}

/// Header fields to add to the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedFields {
    /// The value of `Signature-Input`.
    pub signature_input: String,
    /// The value of `Signature`.
    pub signature: String,
    /// The value of `Content-Digest`; only if the request has a body.
    pub content_digest: Option<String>,
}

impl SignedFields {
    /// Names and values of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let digest = self
            .content_digest
            .as_deref()
            .map(|value| ("Content-Digest", value));
        let signature = [
            ("Signature-Input", self.signature_input.as_str()),
            ("Signature", self.signature.as_str()),
        ];
        digest.into_iter().chain(signature)
    }
}

/// Why a request could not be signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// A parameter cannot be sent.
    #[error(
        "`{0}` must be 1 to {PARAMETER_MAX} characters of visible ASCII (a time: not negative)"
    )]
    Parameter(&'static str),
    /// The profile asks for a nonce.
    #[error("a {0} needs a nonce: give a fresh random one")]
    NonceMissing(String),
    /// The request already has one of the fields that signing adds.
    #[error("the request already has {0}; give it without, signing adds it")]
    AlreadyThere(&'static str),
    /// Part of the request cannot be signed.
    #[error("the request cannot be signed")]
    Request(#[source] Refusal),
    /// The cryptographic library failed.
    #[error("the key failed to sign")]
    Key,
}

/// Signs all that the profile requires of this request. The request comes without `Content-Digest`
/// and signature fields and is sent with those that are returned, otherwise unchanged.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    request: &Request<'_>,
    params: &Params<'_>,
    key: &SigningKey,
    profile: &Profile,
) -> Result<SignedFields, SignError> {
    for field in ["Signature-Input", "Signature", "Content-Digest"] {
        if request.has(field) {
            return Err(SignError::AlreadyThere(field));
        }
    }
    if params.nonce.is_none() && profile.needs_nonce(request) {
        return Err(SignError::NonceMissing(request.method.to_owned()));
    }
    let digest = (!request.body.is_empty()).then(|| content_digest(request.body));
    let mut headers = request.headers.to_vec();
    headers.extend(
        digest
            .iter()
            .map(|value| ("content-digest", value.as_bytes())),
    );
    let request = Request {
        headers: &headers,
        ..*request
    };

    let components: Vec<Component> = profile
        .required(&request)
        .map(Component::parse)
        .collect::<Result<_, _>>()
        .map_err(SignError::Request)?;
    let list = InnerList::with_params(names(&components)?, parameters(params)?);
    let signature_params = claim::serialize(&list).map_err(SignError::Request)?;
    let text = base(&request, &components, &signature_params).map_err(SignError::Request)?;
    let signature = key.sign(text.as_bytes()).ok_or(SignError::Key)?;
    Ok(SignedFields {
        signature_input: format!("{LABEL}={signature_params}"),
        signature: format!("{LABEL}=:{}:", STANDARD.encode(signature)),
        content_digest: digest,
    })
}

fn names(components: &[Component]) -> Result<Vec<Item>, SignError> {
    let name = |component: &Component| text("a component", component.name()).map(Item::new);
    components.iter().map(name).collect()
}

fn parameters(params: &Params<'_>) -> Result<Parameters, SignError> {
    let mut parameters = Parameters::new();
    parameters.insert(
        key_ref("created").to_owned(),
        seconds("created", params.created_s)?,
    );
    if let Some(expires_s) = params.expires_s {
        parameters.insert(
            key_ref("expires").to_owned(),
            seconds("expires", expires_s)?,
        );
    }
    parameters.insert(key_ref("keyid").to_owned(), text("keyid", params.keyid)?);
    if let Some(nonce) = params.nonce {
        parameters.insert(key_ref("nonce").to_owned(), text("nonce", nonce)?);
    }
    Ok(parameters)
}

fn seconds(parameter: &'static str, value: i64) -> Result<BareItem, SignError> {
    let in_range = Integer::try_from(value).ok().filter(|_| value >= 0);
    in_range
        .map(BareItem::Integer)
        .ok_or(SignError::Parameter(parameter))
}

fn text(parameter: &'static str, value: &str) -> Result<BareItem, SignError> {
    let fits = (1..=PARAMETER_MAX).contains(&value.len());
    let text = StringRef::from_str(value)
        .ok()
        .filter(|_| fits)
        .ok_or(SignError::Parameter(parameter))?;
    Ok(BareItem::String(text.to_owned()))
}
