//! What a permission is about: its address in the account, and what else a request has to be for it
//! to hold.

use crate::doctor::stack::Stack;

/// What a permission is about, by its name in the template.
#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    Queue(&'static str),
    /// A table's items whose partition keys begin so; `MCHID` stands for the merchant number.
    Items(&'static str, &'static [&'static str]),
    Index(&'static str, &'static str),
    /// Any stream of the table, also one that it got by a restore.
    Stream(&'static str),
    Bus(&'static str),
    /// What is sealed for one purpose under a key of the stack.
    Sealed(&'static str, &'static str),
    /// The same, sealed for this merchant alone.
    SealedForMerchant(&'static str, &'static str),
    /// The key in KMS that signs, or the other one while the merchant's key changes.
    Signer(&'static str),
    /// A bucket's objects whose names begin so.
    Objects(&'static str, &'static str),
    Bucket(&'static str),
    /// A topic that the stack was given by this parameter.
    Topic(&'static str),
    /// The version that everybody calls.
    Function(&'static str),
    /// CloudWatch's metrics, which have no addresses.
    Metrics,
}

/// A key of a request that a permission depends on, its type, and what it is.
pub(super) type Context = (&'static str, &'static str, Vec<String>);

impl On {
    /// `None` for what the stack does not have, has lost, or does not use.
    pub(super) fn arn(self, stack: &Stack) -> Option<String> {
        let (logical, service, begin, end) = match self {
            Self::Metrics => return Some("*".to_owned()),
            Self::Queue(logical) => (logical, "sqs", "", String::new()),
            Self::Items(logical, _) => (logical, "dynamodb", "table/", String::new()),
            Self::Index(logical, index) => {
                (logical, "dynamodb", "table/", format!("/index/{index}"))
            }
            Self::Stream(logical) => (logical, "dynamodb", "table/", "/stream/latest".to_owned()),
            Self::Bus(logical) => (logical, "events", "event-bus/", String::new()),
            Self::Function(logical) => (logical, "lambda", "function:", ":live".to_owned()),
            Self::Objects(logical, begin) => {
                let begin = begin.replace("MCHID", stack.parameter("Mchid"));
                return Some(format!("{}/{begin}1", bucket(stack, logical)?));
            }
            Self::Bucket(logical) => return bucket(stack, logical),
            Self::Topic(parameter) => {
                let topic = stack.parameter(parameter);
                return (!topic.is_empty()).then(|| topic.to_owned());
            }
            Self::Sealed(logical, purpose) | Self::SealedForMerchant(logical, purpose) => {
                let may_sign = ["MerchantSigner", "OtherSigner"]
                    .iter()
                    .any(|signer| stack.parameter(signer) == "sealed");
                let is_used = purpose != "merchant-key" || may_sign;
                return is_used.then(|| key(stack, logical)).flatten();
            }
            Self::Signer("OtherSigner") => {
                let other = stack.parameter("OtherSigner");
                return other.starts_with("arn:").then(|| other.to_owned());
            }
            Self::Signer(logical) => {
                let signs = stack.parameter("MerchantSigner") != "sealed";
                return signs.then(|| key(stack, logical)).flatten();
            }
        };
        let physical = &stack.resource(logical)?.physical;
        // A queue goes by its address.
        let name = physical.rsplit('/').next().unwrap_or_default();
        Some(stack.arn(service, &format!("{begin}{name}{end}")))
    }

    /// What a permission depends on beside the resource. IAM is told it, since a simulation has no
    /// request that it could be read from.
    pub(super) fn context(self, stack: &Stack) -> Vec<Context> {
        let one = |name, value: &str| (name, "string", vec![value.to_owned()]);
        let purpose = |purpose| one("kms:EncryptionContext:purpose", purpose);
        match self {
            Self::Items(_, begins) => {
                let keys = begins.iter().map(|begin| whole_key(stack, begin)).collect();
                vec![("dynamodb:LeadingKeys", "stringList", keys)]
            }
            Self::Sealed(_, of) => vec![purpose(of)],
            Self::SealedForMerchant(_, of) => {
                let mchid = stack.parameter("Mchid");
                vec![purpose(of), one("kms:EncryptionContext:mchid", mchid)]
            }
            // As functions sign, and WeChat Pay wants it.
            Self::Signer(_) => vec![
                one("kms:SigningAlgorithm", "RSASSA_PKCS1_V1_5_SHA_256"),
                one("kms:MessageType", "DIGEST"),
            ],
            Self::Queue(_)
            | Self::Index(..)
            | Self::Stream(_)
            | Self::Bus(_)
            | Self::Function(_)
            | Self::Objects(..)
            | Self::Bucket(_)
            | Self::Topic(_)
            | Self::Metrics => Vec::new(),
        }
    }
}

/// An item's partition key that begins so.
fn whole_key(stack: &Stack, begin: &str) -> String {
    let begin = begin.replace("MCHID", stack.parameter("Mchid"));
    // Of the merchant's record, say, it is the whole key.
    if begin.ends_with('#') {
        format!("{begin}1")
    } else {
        begin
    }
}

/// A bucket's ARN, which has neither Region nor account.
fn bucket(stack: &Stack, logical: &str) -> Option<String> {
    let name = &stack.resource(logical)?.physical;
    Some(stack.filled_in(&format!("arn:${{AWS::Partition}}:s3:::{name}")))
}

/// The ARN of a key, of the stack's own or of the one that was given in its place.
fn key(stack: &Stack, logical: &str) -> Option<String> {
    let key = stack.kms_keys().find(|key| key.logical == logical)?;
    let own = || stack.arn("kms", &format!("key/{}", key.physical));
    Some(key.given_arn().map_or_else(own, ToOwned::to_owned))
}
