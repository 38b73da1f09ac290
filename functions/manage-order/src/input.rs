//! Bodies of requests: a person's decision about a refund (with name and reason), and which events
//! to send again.

use flows::process_refund::RedirectTarget;
use payments::{
    model::decision::DecidedBy,
    rules::request::{BadRequest, bad_field, text},
};
use serde::Deserialize;
use stores::undelivered::EventCursor;
use strict_json::{Null, Object};
use wechatpay::{UnixSeconds, time::parse_rfc3339};

/// `POST .../release` and `POST .../payer-paid`: who decides, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OperatorRequest {
    pub(crate) decided: DecidedBy,
}

/// `POST .../abnormal`: where the money goes, and who decided. Card data is only sent to WeChat
/// Pay, encrypted.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct RedirectRequest {
    pub(crate) to: RedirectTarget,
    pub(crate) decided: DecidedBy,
}

/// `POST /v1/webhook/resend`: when the events happened that are sent again, both ends included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ResendRequest {
    pub(crate) from: UnixSeconds,
    pub(crate) to: UnixSeconds,
    pub(crate) after: Option<EventCursor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendJson {
    from: String,
    to: Option<String>,
    after: Option<String>,
}

impl ResendRequest {
    /// Reads the body. Without an end the range reaches to `now`.
    pub(crate) fn read(body: &[u8], now: UnixSeconds) -> Result<Self, BadRequest> {
        let wire: ResendJson = strict_json::read(body, Null::Refused)?;
        let time = |field, text: &str| {
            parse_rfc3339(text).map_err(|_| {
                bad_field(
                    field,
                    "must be an RFC 3339 time such as 2026-08-01T12:00:01+08:00",
                )
            })
        };
        let from = time("from", &wire.from)?;
        let to = wire.to.map_or(Ok(now), |to| time("to", &to))?;
        if to < from {
            return Err(bad_field("to", "must not be before `from`"));
        }
        let after = wire.after.map(|after| {
            EventCursor::parse(&after)
                .ok_or_else(|| bad_field("after", "must be what an earlier answer gave as `after`"))
        });
        Ok(Self {
            from,
            to,
            after: after.transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorJson {
    who: String,
    why: String,
}

impl OperatorRequest {
    pub(crate) fn read(body: &[u8]) -> Result<Self, BadRequest> {
        let wire: OperatorJson = strict_json::read(body, Null::Refused)?;
        Ok(Self {
            decided: DecidedBy {
                who: text("who", &wire.who, WHO_MAX)?,
                why: text("why", &wire.why, WHY_MAX)?,
            },
        })
    }
}

/// The longest name of a person, in characters, and the longest reason.
const WHO_MAX: usize = 64;
const WHY_MAX: usize = 256;

impl RedirectRequest {
    /// Parses the body. Errors do not quote it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, BadRequest> {
        let mut asked = Object::read(body, Null::Refused)?;
        let mut member = |name: &'static str, most| {
            let value: String = asked.take(name)?;
            text(name, &value, most)
        };
        let to = match member("to", 16)?.as_str() {
            "merchant" => RedirectTarget::Merchant,
            "user" => RedirectTarget::UserCard {
                bank_type: member("bank_type", 16)?,
                bank_account: member("bank_account", 64)?,
                real_name: member("real_name", 64)?,
            },
            _ => {
                return Err(bad_field(
                    "to",
                    "must be `merchant`, or `user` with bank_type, bank_account and real_name",
                ));
            }
        };
        let decided = DecidedBy {
            who: member("who", WHO_MAX)?,
            why: member("why", WHY_MAX)?,
        };
        asked.nothing_left()?;
        Ok(Self { to, decided })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_names_who_and_why() {
        assert!(OperatorRequest::read(br#"{"who":"Li","why":"paid in cash"}"#).is_ok());
        for body in [
            r#"{"who":"Li"}"#,
            r#"{"who":"","why":"x"}"#,
            r#"{"who":"Li","why":"x","more":1}"#,
            r#"{"who":"Li","why":null}"#,
            r#"["Li","paid in cash"]"#,
        ] {
            assert!(OperatorRequest::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_range_of_events_is_two_times_in_order_and_reaches_to_now_without_the_second() {
        let now = UnixSeconds(1_785_556_801);
        let read = |body: &str| ResendRequest::read(body.as_bytes(), now);
        let asked = read(r#"{"from":"2026-08-01T11:00:00+08:00"}"#).unwrap();
        assert_eq!((asked.from.0, asked.to), (now.0 - 3_601, now));
        assert!(
            read(r#"{"from":"2026-08-01T11:00:00+08:00","to":"2026-08-01T03:00:00Z"}"#).is_ok()
        );
        for body in [
            r#"{}"#,
            r#"{"from":"2026-08-01"}"#,
            r#"{"from":"2026-08-01T11:00:00+08:00","to":"2026-08-01T10:59:59+08:00"}"#,
            r#"{"from":"2026-08-01T11:00:00+08:00","after":""}"#,
            r#"{"from":"2026-08-01T11:00:00+08:00","client_id":"kiosk"}"#,
            r#"{"from":null}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn the_destination_of_abnormal_money_is_read_whole_and_never_quoted() {
        let asked = RedirectRequest::read(br#"{"to":"merchant","who":"Wang","why":"card gone"}"#);
        let asked = asked.unwrap_or_else(|bad| panic!("{bad}"));
        assert!(asked.to == RedirectTarget::Merchant);
        let decided = asked.decided;
        assert_eq!(
            (decided.who.as_str(), decided.why.as_str()),
            ("Wang", "card gone")
        );
        let card = r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":"6222001","real_name":"Li","who":"Wang","why":"card gone"}"#;
        assert!(RedirectRequest::read(card.as_bytes()).is_ok());
        for body in [
            r#"{"to":"nobody","who":"Wang","why":"gone"}"#,
            r#"{"to":"merchant","bank_account":"6222001","who":"Wang","why":"gone"}"#,
            r#"{"to":"merchant","bank_account":null,"who":"Wang","why":"gone"}"#,
            r#"{"to":null,"who":"Wang","why":"gone"}"#,
            r#"{"to":"merchant"}"#,
            r#"{"to":"merchant","who":"Wang"}"#,
            r#"{"to":"merchant","who":"","why":"gone"}"#,
            r#"["merchant"]"#,
            r#"["user","ICBC_DEBIT","6222001","Li"]"#,
            r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":["6222001"],"real_name":"Li","who":"Wang","why":"gone"}"#,
            r#"{"to":"user","bank_account":"6222001","who":"Wang","why":"gone"}"#,
            r#"{"to":"user","bank_type":"ICBC_DEBIT","bank_account":"","real_name":"Li","who":"Wang","why":"gone"}"#,
        ] {
            let Err(error) = RedirectRequest::read(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(!error.to_string().contains("6222001"), "{error}");
        }
    }
}
