//! What an operator decided about a refund: who, why, and where the money went.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::UnixSeconds;

/// Who decided, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecidedBy {
    pub who: String,
    pub why: String,
}

/// Where the money goes of a refund that could not be paid out (shared/wechatpay/PROTOCOL.md, 6.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// To the merchant's own account (`MERCHANT_BANK_CARD`). The payer receives nothing.
    Merchant,
    /// To another bank card of the payer's (`USER_BANK_CARD`). The card is not stored.
    User,
}

impl Destination {
    /// The name in the API and the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::User => "user",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Merchant, Self::User]
            .into_iter()
            .find(|to| to.name() == name)
    }
}

/// Where an operator redirected the money of an abnormal refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirection {
    pub to: Destination,
    pub decided: DecidedBy,
    /// When that was written, by our clock.
    pub at: UnixSeconds,
    /// When the same call to WeChat Pay was last about to be repeated, by a repeat or a concurrent
    /// duplicate of the request: each time later than before. `None` if never.
    pub sent_again_at: Option<UnixSeconds>,
}

impl Redirection {
    /// Stands in for a decision made in WeChat Pay's console. WeChat Pay reports that the money
    /// went to the merchant, but not who decided.
    pub fn in_the_console(at: UnixSeconds) -> Self {
        Self {
            to: Destination::Merchant,
            decided: DecidedBy {
                who: "WeChat Pay's console".to_owned(),
                why: "WeChat Pay says that the merchant's own account has the money".to_owned(),
            },
            at,
            sent_again_at: None,
        }
    }

    /// When a call to WeChat Pay was last about to be made.
    pub(crate) fn last_sent_at(&self) -> UnixSeconds {
        self.sent_again_at.unwrap_or(self.at)
    }

    /// Its value when the same call to WeChat Pay is repeated: later than before, also within one
    /// second, so that the earlier writer notices it.
    pub fn next_sent_at(&self, now: UnixSeconds) -> UnixSeconds {
        now.max(self.last_sent_at().plus_s(1))
    }

    /// Whether it is the same decision, whenever it was taken.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        self.to == other.to && self.decided == other.decided
    }
}

/// An operator's record that the payer was paid by other means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PayerPaid {
    /// Who recorded it, and how the payer was paid.
    pub decided: DecidedBy,
    /// When that was written, by our clock.
    pub at: UnixSeconds,
}

/// An operator's decision about a refund.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundDecision {
    /// A refused refund is sent again.
    Retry,
    /// A refused refund is given up.
    Release,
    /// The money of an abnormal refund goes somewhere else.
    Redirect,
    /// The payer was paid by other means.
    PayerPaid,
}

impl RefundDecision {
    /// The name in the API and in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Release => "release",
            Self::Redirect => "redirect",
            Self::PayerPaid => "payer_paid",
        }
    }
}

/// An operator's decision, as the journal stores it with the change that it caused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OperatorDecision {
    pub what: RefundDecision,
    /// Where the money goes, with [`RefundDecision::Redirect`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Destination>,
    /// Who decided.
    pub who: String,
    pub why: String,
}

impl OperatorDecision {
    /// A decision about where the money of an abnormal refund goes.
    pub(crate) fn of_redirecting(redirected: &Redirection) -> Self {
        Self {
            to: Some(redirected.to),
            ..Self::of(RefundDecision::Redirect, &redirected.decided)
        }
    }

    pub(crate) fn of(what: RefundDecision, decided: &DecidedBy) -> Self {
        Self {
            what,
            to: None,
            who: decided.who.clone(),
            why: decided.why.clone(),
        }
    }

    /// The decision as one text without quotation marks and line ends: the mapping from the table's
    /// stream to events copies texts without escaping, and operators' texts may contain anything.
    pub fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        BASE64_STANDARD.encode(json)
    }

    /// Parses the result of [`Self::to_text`]. `None` for an empty or invalid text: the text is for
    /// information only.
    pub fn of_text(text: &str) -> Option<Self> {
        let json = BASE64_STANDARD.decode(text).ok()?;
        strict_json::read(&json, Null::Refused).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_is_the_same_whenever_it_was_taken_but_not_to_another_account_or_by_another_person()
     {
        let decided = DecidedBy {
            who: "li".to_owned(),
            why: "the payer's card is closed".to_owned(),
        };
        let one = Redirection {
            to: Destination::Merchant,
            decided: decided.clone(),
            at: UnixSeconds(100),
            sent_again_at: None,
        };
        let later = Redirection {
            at: UnixSeconds(900),
            sent_again_at: Some(UnixSeconds(950)),
            ..one.clone()
        };
        assert!(one.is_the_same_as(&later));
        let to_the_payer = Redirection {
            to: Destination::User,
            ..one.clone()
        };
        assert!(!one.is_the_same_as(&to_the_payer));
        let by_another = Redirection {
            decided: DecidedBy {
                who: "wang".to_owned(),
                ..decided
            },
            ..one.clone()
        };
        assert!(!one.is_the_same_as(&by_another));
    }
}
