//! The self-test of a merchant's set-up (manual page 4014551946): signing, verification, field
//! encryption both ways, and a callback, all in one call. The best first call of a new deployment.

use serde::{Deserialize, Serialize};

use super::call::{Call, UnreadableAnswer, read_json, write_json};
use super::interface::Interface;
use crate::loose;
use crate::outgoing::Outgoing;
use crate::sensitive::EncryptedField;

/// The body of the self-test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEchoBody {
    /// Comes back as it is.
    pub echo_message: String,
    /// Comes back encrypted to the merchant certificate. `Wechatpay-Serial` must name the key it is
    /// encrypted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_echo_message: Option<EncryptedField>,
    /// Where a callback is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
}

/// Tests the merchant's set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEcho {
    body: Vec<u8>,
}

impl SecurityEcho {
    /// The body is serialised here, once.
    #[must_use]
    pub fn new(body: &SecurityEchoBody) -> Self {
        Self {
            body: write_json(body),
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEchoAnswer {
    /// The text that was sent. Compare it: that is the test.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub echo_message: Option<String>,
    /// For [`crate::LocalKey::open_sensitive`].
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub encrypted_echo_message: Option<String>,
}

impl Call for SecurityEcho {
    type Answer = SecurityEchoAnswer;

    fn interface(&self) -> Interface {
        Interface::SecurityEcho
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::post("/v3/security/echo", self.body.clone())
    }

    fn answer(status: u16, body: &[u8]) -> Result<SecurityEchoAnswer, UnreadableAnswer> {
        read_json(status, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_sends_what_it_is_given() {
        let body = SecurityEchoBody {
            echo_message: "hello".to_owned(),
            ..SecurityEchoBody::default()
        };
        let outgoing = SecurityEcho::new(&body).outgoing();
        assert_eq!(outgoing.path_and_query, "/v3/security/echo");
        assert_eq!(outgoing.body, br#"{"echo_message":"hello"}"#);
        let answer = SecurityEcho::answer(
            200,
            br#"{"echo_message":"hello","encrypted_echo_message":"AAAA"}"#,
        );
        assert_eq!(
            answer
                .expect("documented")
                .encrypted_echo_message
                .as_deref(),
            Some("AAAA")
        );
    }
}
