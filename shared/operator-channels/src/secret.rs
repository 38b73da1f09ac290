//! What lets one into a channel: its address, and the secret that signs.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kind::Kind;

/// The address of a channel and its signing secret, as they are sealed. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Credentials {
    /// Where messages are posted to; empty for SNS, whose topic is a setting of the function.
    address: Zeroizing<String>,
    /// What signs them.
    secret: Option<Zeroizing<String>>,
}

/// Why a channel cannot be set up, or what was sealed cannot be used. Holds none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadCredentials {
    /// No address where one is needed.
    #[error("this kind of channel needs its address")]
    NoAddress,
    /// An address where none is.
    #[error(
        "a channel of the kind sns has no address and no secret: its topic is OperatorsTopicArn"
    )]
    NothingToGive,
    /// It cannot be sent without a signature.
    #[error("a channel of the kind {0} needs its signing secret")]
    NoSecret(&'static str),
    /// The robot has no signature.
    #[error("a robot of WeCom has no signing secret: its address is the secret")]
    SecretWithoutUse,
    /// Not `whsec_...`.
    #[error("the secret of a webhook is `whsec_` and Base64 of 24 to 64 bytes")]
    NotAWebhookSecret,
    /// The secret would not fit into a header or a signature.
    #[error("a secret has 1 to 256 visible ASCII characters")]
    SecretForm,
    /// What was unsealed is not what is sealed here.
    #[error("what was unsealed is not a channel's address")]
    Unreadable,
}

#[derive(Deserialize, Serialize)]
struct Sealed<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    secret: Option<&'a str>,
}

impl Credentials {
    /// Takes what an operator gives for a channel of this kind. Whether the address is one that may
    /// be called is decided by who calls it.
    ///
    /// # Errors
    /// [`BadCredentials`].
    pub fn new(
        kind: Kind,
        address: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Self, BadCredentials> {
        let address = address.unwrap_or_default();
        match kind {
            Kind::Sns if !address.is_empty() || secret.is_some() => {
                return Err(BadCredentials::NothingToGive);
            }
            Kind::Wecom | Kind::Dingtalk | Kind::Feishu | Kind::Webhook if address.is_empty() => {
                return Err(BadCredentials::NoAddress);
            }
            Kind::Wecom if secret.is_some() => return Err(BadCredentials::SecretWithoutUse),
            Kind::Dingtalk | Kind::Webhook if secret.is_none() => {
                return Err(BadCredentials::NoSecret(kind.name()));
            }
            Kind::Webhook
                if secret.is_some_and(|text| standard_webhooks::Secret::parse(text).is_err()) =>
            {
                return Err(BadCredentials::NotAWebhookSecret);
            }
            Kind::Wecom | Kind::Dingtalk | Kind::Feishu | Kind::Webhook | Kind::Sns => {}
        }
        let fits = |text: &str| {
            (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if secret.is_some_and(|text| !fits(text)) {
            return Err(BadCredentials::SecretForm);
        }
        Ok(Self {
            address: Zeroizing::new(address.to_owned()),
            secret: secret.map(|text| Zeroizing::new(text.to_owned())),
        })
    }

    /// The bytes to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let sealed = Sealed {
            address: &self.address,
            secret: self.secret.as_ref().map(|text| text.as_str()),
        };
        Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default())
    }

    /// Reads what was unsealed.
    ///
    /// # Errors
    /// [`BadCredentials`].
    pub fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Self, BadCredentials> {
        #[derive(Deserialize)]
        struct Owned {
            address: String,
            #[serde(default)]
            secret: Option<String>,
        }
        let read: Owned = serde_json::from_slice(bytes).map_err(|_| BadCredentials::Unreadable)?;
        let (address, secret) = (
            Zeroizing::new(read.address),
            read.secret.map(Zeroizing::new),
        );
        let given = Some(address.as_str()).filter(|text| !text.is_empty());
        Self::new(kind, given, secret.as_ref().map(|text| text.as_str()))
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The signing secret.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(|text| text.as_str())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHSEC: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn each_kind_gets_what_it_needs_and_nothing_else() {
        use BadCredentials as Bad;
        let url = Some("https://robot.example/send?key=1");
        for (kind, address, secret, expected) in [
            (Kind::Wecom, url, None, None),
            (Kind::Wecom, None, None, Some(Bad::NoAddress)),
            (Kind::Wecom, url, Some("s"), Some(Bad::SecretWithoutUse)),
            (Kind::Dingtalk, url, Some("SEC1"), None),
            (Kind::Dingtalk, url, None, Some(Bad::NoSecret("dingtalk"))),
            (Kind::Dingtalk, url, Some("a b"), Some(Bad::SecretForm)),
            (Kind::Feishu, url, None, None),
            (Kind::Feishu, url, Some("s"), None),
            (Kind::Feishu, url, Some(""), Some(Bad::SecretForm)),
            (Kind::Webhook, url, Some(WHSEC), None),
            (
                Kind::Webhook,
                url,
                Some("SEC1"),
                Some(Bad::NotAWebhookSecret),
            ),
            (Kind::Webhook, url, None, Some(Bad::NoSecret("webhook"))),
            (Kind::Sns, None, None, None),
            (Kind::Sns, url, None, Some(Bad::NothingToGive)),
        ] {
            let made = Credentials::new(kind, address, secret);
            assert_eq!(made.as_ref().err().copied(), expected, "{kind:?}");
            let Ok(made) = made else { continue };
            let read = Credentials::from_bytes(kind, &made.to_bytes()).unwrap();
            assert_eq!(
                (read.address(), read.secret()),
                (address.unwrap_or_default(), secret)
            );
            assert_eq!(format!("{made:?}"), "Credentials(..)");
        }
        let unreadable = Credentials::from_bytes(Kind::Wecom, b"https://robot.example");
        assert_eq!(unreadable.unwrap_err(), Bad::Unreadable);
    }
}
