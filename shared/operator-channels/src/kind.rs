//! The kinds of channels and what each of them takes.

use crate::rate::RateLimit;

/// What a channel is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A group robot of WeCom.
    Wecom,
    /// A group robot of DingTalk.
    Dingtalk,
    /// A group robot of Feishu or Lark.
    Feishu,
    /// A system of the merchant's, by a webhook that is signed as those for orders are.
    Webhook,
    /// The SNS topic of the people on call: mail, and SMS where it exists.
    Sns,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Wecom,
        Self::Dingtalk,
        Self::Feishu,
        Self::Webhook,
        Self::Sns,
    ];

    /// Its name in commands and in the keys table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wecom => "wecom",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Webhook => "webhook",
            Self::Sns => "sns",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How many bytes of text one message takes. DingTalk and Feishu count the whole request, in
    /// which a control character of the text takes six bytes, and others at most two; so half
    /// of their limits is left to the rest. A text message of SNS becomes a mail of that size, and
    /// several SMS.
    #[must_use]
    pub const fn text_bytes_max(self) -> usize {
        match self {
            Self::Wecom => 2_048,
            Self::Dingtalk | Self::Feishu => 9_000,
            Self::Webhook => 64_000,
            Self::Sns => 16_000,
        }
    }

    /// How many messages it is sent in how long. Less than its maker allows: see [`RateLimit`].
    #[must_use]
    pub const fn rate_limit(self) -> RateLimit {
        match self {
            Self::Wecom | Self::Dingtalk => RateLimit {
                messages: 18,
                within_ms: 60_000 + CALL_MAX_MS,
            },
            Self::Feishu => RateLimit {
                messages: 4,
                within_ms: 1_000 + CALL_MAX_MS,
            },
            Self::Webhook | Self::Sns => RateLimit {
                messages: 60,
                within_ms: 60_000,
            },
        }
    }

    /// How long it is left alone, in milliseconds, after it said that there were too many messages:
    /// somebody else uses the same robot. DingTalk goes on to refuse for ten minutes.
    #[must_use]
    pub const fn rest_ms(self) -> i64 {
        match self {
            Self::Dingtalk => 600_000,
            Self::Wecom | Self::Feishu | Self::Webhook | Self::Sns => 60_000,
        }
    }
}

/// How long one call to a channel may take, in milliseconds. A message that was admitted arrives
/// within this time or not at all.
pub const CALL_MAX_MS: i64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        assert_eq!(Kind::parse("pager"), None);
    }
}
