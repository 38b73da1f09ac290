//! Why a request is not authentic.

/// Why a request is not authentic. Each has a stable [`name`](Self::name) for problem documents and
/// metrics, and a text that says what the client's author has to change. The text may quote what
/// the client sent about its signature; it never holds a secret, a signature or a body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Neither field is there, or `Signature-Input` is empty.
    #[error("the request is not signed: send Signature-Input and Signature (RFC 9421)")]
    NoSignature,
    /// Something is longer than [`limits`](crate::limits) allows.
    #[error("{what} is over the limit of {limit}")]
    TooLong {
        /// What was measured.
        what: &'static str,
        /// Bytes, or a count for labels and components.
        limit: usize,
    },
    /// A field is no Structured Fields dictionary.
    #[error("{field} is not a dictionary of Structured Fields (RFC 9651): {reason}")]
    Unparsable {
        /// The field's name.
        field: &'static str,
        /// Where reading stopped and why.
        reason: String,
    },
    /// A dictionary names one member twice. RFC 9651 would take the last; which one the signer
    /// meant is not known.
    #[error("{field} has the member `{member}` twice")]
    RepeatedMember {
        /// The field's name.
        field: &'static str,
        /// The member: a label, or a digest algorithm.
        member: String,
    },
    /// A label is in one of the two fields only.
    #[error("the signature `{label}` is missing in {missing_in}")]
    LabelMissing {
        /// The label.
        label: String,
        /// The field that lacks it.
        missing_in: &'static str,
    },
    /// A member has the wrong type.
    #[error("the member `{member}` of {field} is not {expected}")]
    WrongType {
        /// The field's name.
        field: &'static str,
        /// The member: a label, or a digest algorithm.
        member: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A parameter of the signature is required and absent.
    #[error("the signature has no parameter `{parameter}`, which this request needs")]
    ParameterMissing {
        /// Its name.
        parameter: &'static str,
    },
    /// A parameter of the signature has the wrong type or is empty.
    #[error("the signature's parameter `{parameter}` is not {expected}")]
    ParameterInvalid {
        /// Its name.
        parameter: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A covered component is of a kind that is not supported here.
    #[error("the covered component `{component}` cannot be verified here: {reason}")]
    UnsupportedComponent {
        /// Its name as sent.
        component: String,
        /// Why.
        reason: &'static str,
    },
    /// A component is covered twice.
    #[error("the component `{component}` is covered twice")]
    RepeatedComponent {
        /// Its name.
        component: String,
    },
    /// The profile requires a component that the signature does not cover.
    #[error("the signature must cover `{component}`")]
    NotCovered {
        /// Its name.
        component: String,
    },
    /// A covered header field is not in the request.
    #[error("the signature covers `{component}`, which the request does not have")]
    ComponentAbsent {
        /// Its name.
        component: String,
    },
    /// A component's value has characters that could not have been signed unambiguously, a line
    /// break for instance.
    #[error("the value of `{component}` is not visible ASCII text")]
    UnreadableComponent {
        /// Its name.
        component: String,
    },
    /// No key has this id. Made by the caller, who looks keys up; it is here so that one type names
    /// all refusals.
    #[error("no API key has the keyid `{keyid}`")]
    UnknownKey {
        /// The id as claimed.
        keyid: String,
    },
    /// The request names another algorithm than its key has.
    #[error(
        "the signature says alg=\"{claimed}\", but this key is for {expected}; leave `alg` out or correct it"
    )]
    AlgorithmMismatch {
        /// What the request said.
        claimed: String,
        /// What the key is for.
        expected: &'static str,
    },
    /// `created` is too long ago.
    #[error(
        "the signature is {age_s} s old, the limit is {limit_s} s: sign again for each attempt and check the clock"
    )]
    Stale {
        /// Its age in seconds.
        age_s: i64,
        /// The limit in seconds.
        limit_s: i64,
    },
    /// `created` is too far ahead.
    #[error(
        "the signature is from {ahead_s} s in the future, the limit is {limit_s} s: check the clock"
    )]
    FromTheFuture {
        /// Seconds ahead of our clock.
        ahead_s: i64,
        /// The limit in seconds.
        limit_s: i64,
    },
    /// `expires` has passed.
    #[error("the signature expired {since_s} s ago")]
    Expired {
        /// Seconds since then.
        since_s: i64,
    },
    /// `Content-Digest` names no algorithm that is known here.
    #[error("Content-Digest has neither sha-256 nor sha-512")]
    DigestUnknown,
    /// The body is not the one whose digest was signed.
    #[error("the body does not have the {algorithm} digest that Content-Digest states")]
    DigestMismatch {
        /// `sha-256` or `sha-512`.
        algorithm: &'static str,
    },
    /// The signature is not this key's signature of this request.
    #[error(
        "the signature does not fit the request and the key `{keyid}`: compare the signature base, line by line, \
         and check that the right secret or key was used"
    )]
    WrongSignature {
        /// The key's id.
        keyid: String,
    },
    /// The nonce was used before. Made by the caller, who remembers nonces.
    #[error("this nonce was used before: sign each request again, with a fresh nonce")]
    NonceSeen,
}

impl Refusal {
    /// A stable name in `snake_case`, for problem documents and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoSignature => "no_signature",
            Self::TooLong { .. } => "signature_too_long",
            Self::Unparsable { .. } => "signature_unparsable",
            Self::RepeatedMember { .. } => "signature_member_repeated",
            Self::LabelMissing { .. } => "signature_label_missing",
            Self::WrongType { .. } => "signature_wrong_type",
            Self::ParameterMissing { .. } => "signature_parameter_missing",
            Self::ParameterInvalid { .. } => "signature_parameter_invalid",
            Self::UnsupportedComponent { .. } => "component_unsupported",
            Self::RepeatedComponent { .. } => "component_repeated",
            Self::NotCovered { .. } => "component_not_covered",
            Self::ComponentAbsent { .. } => "component_absent",
            Self::UnreadableComponent { .. } => "component_unreadable",
            Self::UnknownKey { .. } => "unknown_key",
            Self::AlgorithmMismatch { .. } => "algorithm_mismatch",
            Self::Stale { .. } => "signature_stale",
            Self::FromTheFuture { .. } => "signature_from_the_future",
            Self::Expired { .. } => "signature_expired",
            Self::DigestUnknown => "digest_unknown",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::WrongSignature { .. } => "wrong_signature",
            Self::NonceSeen => "nonce_seen",
        }
    }
}
