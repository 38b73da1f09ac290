//! Bodies of requests in which a person decides about a refund.

use flows::refund::AbnormalTo;
use payments::{
    refund::Decided,
    request::{BadRequest, bad, text},
};
use serde::Deserialize;

/// `POST .../release`: who gives the reserved money free, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ReleaseAsked {
    pub(crate) decided: Decided,
}

/// `POST .../abnormal`: where the money goes. Its text never gets further than to WeChat Pay, encrypted.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct AbnormalAsked(AbnormalTo);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseWire {
    who: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
enum AbnormalWire {
    // With braces: without them serde takes any further member, a card's too.
    Merchant {},
    User {
        bank_type: String,
        bank_account: String,
        real_name: String,
    },
}

impl ReleaseAsked {
    /// Reads the body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, BadRequest> {
        let wire: ReleaseWire =
            serde_json::from_slice(body).map_err(|error| BadRequest::Json(error.to_string()))?;
        Ok(Self {
            decided: Decided {
                who: text("who", &wire.who, 64)?,
                why: text("why", &wire.why, 256)?,
            },
        })
    }
}

impl AbnormalAsked {
    /// Reads the body. What is wrong with it is told without quoting it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, BadRequest> {
        let wire = serde_json::from_slice(body).map_err(|_| {
            bad(
                "to",
                "must be `merchant`, or `user` with bank_type, bank_account and real_name",
            )
        })?;
        Ok(Self(match wire {
            AbnormalWire::Merchant {} => AbnormalTo::Merchant,
            AbnormalWire::User {
                bank_type,
                bank_account,
                real_name,
            } => AbnormalTo::UserCard {
                bank_type: text("bank_type", &bank_type, 16)?,
                bank_account: text("bank_account", &bank_account, 64)?,
                real_name: text("real_name", &real_name, 64)?,
            },
        }))
    }
}

impl From<AbnormalAsked> for AbnormalTo {
    fn from(AbnormalAsked(to): AbnormalAsked) -> Self {
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_who_and_why() {
        assert!(ReleaseAsked::read(br#"{"who":"Li","why":"paid in cash"}"#).is_ok());
        for body in [
            r#"{"who":"Li"}"#,
            r#"{"who":"","why":"x"}"#,
            r#"{"who":"Li","why":"x","more":1}"#,
        ] {
            assert!(ReleaseAsked::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn where_abnormal_money_goes_is_read_whole_and_never_quoted() {
        assert!(AbnormalAsked::read(br#"{"to":"merchant"}"#).is_ok());
        let card =
            r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":"6222001","real_name":"Li"}"#;
        assert!(AbnormalAsked::read(card.as_bytes()).is_ok());
        for body in [
            r#"{"to":"nobody"}"#,
            r#"{"to":"merchant","bank_account":"6222001"}"#,
            r#"{"to":"user","bank_account":"6222001"}"#,
            r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":"","real_name":"Li"}"#,
        ] {
            let Err(error) = AbnormalAsked::read(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(!error.to_string().contains("6222001"), "{error}");
        }
    }
}
