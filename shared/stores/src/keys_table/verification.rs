//! WeChat Pay's keys as they are stored.

use aws_sdk_dynamodb::types::AttributeValue;
use wechatpay::UnixSeconds;
use wechatpay::verify::VerificationKeys;

use super::fields::text;
use crate::attributes::{Item, number};

/// One of WeChat Pay's keys as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerificationEntry {
    /// The key's id (`PUB_KEY_ID_...`) or the certificate's serial number.
    pub id: String,
    /// Which of the two it is.
    pub kind: VerificationKind,
    /// The PEM text.
    pub pem: String,
}

/// The two kinds of keys that WeChat Pay signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VerificationKind {
    /// A WeChat Pay public key.
    PublicKey,
    /// A platform certificate.
    Certificate,
}

impl VerificationKind {
    /// As it is stored: `public_key` or `certificate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicKey => "public_key",
            Self::Certificate => "certificate",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::PublicKey, Self::Certificate]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl VerificationEntry {
    /// Adds the key to those that verify.
    pub(super) fn load(&self, keys: &mut VerificationKeys) -> Result<(), wechatpay::KeyError> {
        match self.kind {
            VerificationKind::PublicKey => keys.add_public_key(&self.id, &self.pem),
            VerificationKind::Certificate => keys.add_certificate(&self.pem).map(|_serial| ()),
        }
    }

    /// The entry as it is stored when it is added.
    pub(super) fn added(&self, now: UnixSeconds) -> AttributeValue {
        AttributeValue::M(Item::from([
            ("id".to_owned(), AttributeValue::S(self.id.clone())),
            (
                "kind".to_owned(),
                AttributeValue::S(self.kind.name().to_owned()),
            ),
            ("pem".to_owned(), AttributeValue::S(self.pem.clone())),
            ("added_at".to_owned(), number(now.0)),
        ]))
    }

    pub(super) fn read(value: &AttributeValue) -> Option<Self> {
        let fields = value.as_m().ok()?;
        Some(Self {
            id: text(fields, "id")?,
            kind: VerificationKind::parse(&text(fields, "kind")?)?,
            pem: text(fields, "pem")?,
        })
    }
}
