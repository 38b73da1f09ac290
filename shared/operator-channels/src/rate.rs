//! How often a channel is sent a message.
//!
//! The makers count what arrives in any minute (or second), and punish the first message too many.
//! What is sent at one time arrives up to [`crate::kind::CALL_MAX_MS`] later, so messages are
//! counted over a span that is longer by that: whatever the delays, no minute gets more.

/// So many messages within so long, whenever the span begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// How many.
    pub messages: usize,
    /// How long, in milliseconds.
    pub within_ms: i64,
}

/// When a channel was sent messages lately, and whether it rests.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendLog {
    /// When messages were admitted (Unix milliseconds), oldest first.
    pub sent_at_ms: Vec<i64>,
    /// Until when it is left alone (Unix milliseconds).
    pub rests_until_ms: i64,
}

/// Whether a message may be sent now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Yes; this is the log with it.
    Admitted(SendLog),
    /// Not before then (Unix milliseconds).
    Full {
        /// When it may be sent.
        until_ms: i64,
    },
}

impl SendLog {
    /// Asks for one message at `now_ms`. Entries later than now are another sandbox's clock: they
    /// count until they are old by this one.
    #[must_use]
    pub fn admit(&self, limit: RateLimit, now_ms: i64) -> Admission {
        if self.rests_until_ms > now_ms {
            return Admission::Full {
                until_ms: self.rests_until_ms,
            };
        }
        let counts_from_ms = now_ms.saturating_sub(limit.within_ms);
        let mut recent: Vec<i64> = self
            .sent_at_ms
            .iter()
            .copied()
            .filter(|at_ms| *at_ms > counts_from_ms)
            .collect();
        recent.sort_unstable();
        if let Some(over) = recent.len().checked_sub(limit.messages) {
            // So many of the oldest have to be past the span.
            let frees_ms = recent.get(over).copied().unwrap_or(now_ms);
            return Admission::Full {
                until_ms: frees_ms.saturating_add(limit.within_ms),
            };
        }
        recent.push(now_ms);
        Admission::Admitted(Self {
            sent_at_ms: recent,
            rests_until_ms: 0,
        })
    }

    /// The channel said that there were too many messages.
    #[must_use]
    pub fn resting(&self, until_ms: i64) -> Self {
        Self {
            sent_at_ms: self.sent_at_ms.clone(),
            rests_until_ms: until_ms.max(self.rests_until_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kind::{CALL_MAX_MS, Kind};

    proptest! {
        /// Whatever is asked for when, and however long each message is on its way, no minute (or
        /// second) of the robot's gets more than its maker allows.
        #[test]
        fn no_span_of_the_maker_gets_more_than_it_allows(
            steps in prop::collection::vec((0_i64..4_000, 0_i64..CALL_MAX_MS), 1..400),
        ) {
            for (kind, messages, span_ms) in [
                (Kind::Wecom, 20, 60_000),
                (Kind::Dingtalk, 20, 60_000),
                (Kind::Feishu, 5, 1_000),
                (Kind::Feishu, 100, 60_000),
            ] {
                let (mut log, mut now_ms, mut arrived) = (SendLog::default(), 0, Vec::new());
                for (pause_ms, delay_ms) in &steps {
                    now_ms += pause_ms;
                    if let Admission::Admitted(next) = log.admit(kind.rate_limit(), now_ms) {
                        log = next;
                        arrived.push(now_ms + delay_ms);
                    }
                }
                for from_ms in &arrived {
                    let span = *from_ms..from_ms + span_ms;
                    let count = arrived.iter().filter(|at_ms| span.contains(at_ms)).count();
                    prop_assert!(count <= messages, "{count} in {span_ms} ms for {kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_full_channel_says_when_it_is_free_and_is_free_then() {
        let limit = Kind::Dingtalk.rate_limit();
        let mut log = SendLog::default();
        for at_ms in 0..18 {
            let Admission::Admitted(next) = log.admit(limit, at_ms) else {
                panic!("{at_ms} is refused");
            };
            log = next;
        }
        let Admission::Full { until_ms } = log.admit(limit, 100) else {
            panic!("one too many");
        };
        assert_eq!(until_ms, 65_000);
        assert!(matches!(log.admit(limit, until_ms), Admission::Admitted(_)));
        assert!(matches!(
            log.admit(limit, until_ms - 1),
            Admission::Full { .. }
        ));
    }

    #[test]
    fn a_channel_that_said_too_many_rests() {
        let log = SendLog::default().resting(600_000);
        let limit = Kind::Dingtalk.rate_limit();
        assert_eq!(
            log.admit(limit, 599_999),
            Admission::Full { until_ms: 600_000 }
        );
        assert!(matches!(log.admit(limit, 600_000), Admission::Admitted(_)));
        assert_eq!(
            log.resting(1).rests_until_ms,
            600_000,
            "a shorter rest does not end a longer one"
        );
    }
}
