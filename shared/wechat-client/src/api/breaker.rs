//! One host's breaker: whether the host answers, by its recent calls (shared/wechatpay/PROTOCOL.md,
//! 1.2).

use std::collections::VecDeque;

/// Number of results in the window.
const RESULTS_MAX: usize = 100;
/// How old a result may be to count, in milliseconds.
const RESULT_AGE_MS_MAX: i64 = 10 * 60_000;
/// With a smaller share of answers than this the host is avoided.
const ANSWERED_PERCENT_MIN: usize = 90;
/// Fewer unanswered calls than this are not enough for a decision. This many in a row are, whatever
/// came before: that is the rule for merchants with few calls (shared/wechatpay/PROTOCOL.md, 1.2),
/// and a busy merchant need not wait for ten time-outs either.
const UNANSWERED_MIN: usize = 3;
/// How long an avoided host is left alone before it is tried again, in milliseconds: WeChat Pay's
/// advice is to decide each minute (shared/wechatpay/PROTOCOL.md, 1.2).
const LEFT_ALONE_MS: i64 = 60_000;
/// How long a probe of an avoided host may take, in milliseconds. After that it counts as lost, and
/// the next caller makes one.
const PROBE_MS_MAX: i64 = 10_000;
/// After this many answers in a row the host is used again. One answer alone proves little: a host
/// that loses every second call gives one too.
const PROBES_TO_CLOSE: u32 = 3;

/// Watches one host. Takes the time from its caller, so it can be tested with literals.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    results: VecDeque<CallResult>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct CallResult {
    at_ms: i64,
    answered: bool,
}

/// The host is avoided.
#[derive(Debug)]
struct Open {
    since_ms: i64,
    /// When the next caller may try it.
    probe_at_ms: i64,
    /// Answers in a row since it was last found dead.
    answered: u32,
}

/// What one call says about its host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct CallReport {
    pub(super) sent_at_ms: i64,
    /// When it ended.
    pub(super) at_ms: i64,
    /// Whether any answer came: a refusal, a server error and an unauthentic answer count too.
    /// Otherwise the connection or the answer was not there in time.
    pub(super) answered: bool,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BreakerEvent {
    /// The host is avoided from now on.
    Opened {
        /// Calls that were not answered.
        unanswered: usize,
        /// Number of calls considered.
        of: usize,
    },
    /// The host is trusted again.
    Closed,
}

impl Breaker {
    /// Whether the next call may go to this host first. For a host that is avoided, this hands out
    /// one try at a time.
    pub(super) fn admits(&mut self, now_ms: i64) -> bool {
        match &mut self.open {
            None => true,
            Some(open) if now_ms >= open.probe_at_ms => {
                open.probe_at_ms = now_ms.saturating_add(PROBE_MS_MAX);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether the breaker is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    /// Whether the breaker is open and no probe is due.
    pub(super) fn is_shut(&self, now_ms: i64) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| now_ms < open.probe_at_ms)
    }

    /// Takes note of a call.
    pub(super) fn record(&mut self, seen: CallReport) -> Option<BreakerEvent> {
        match &mut self.open {
            // Sent before the host was found dead: that is known already.
            Some(open) if seen.sent_at_ms < open.since_ms => None,
            Some(open) if seen.answered => {
                open.answered = open.answered.saturating_add(1);
                open.probe_at_ms = seen.at_ms;
                if open.answered < PROBES_TO_CLOSE {
                    return None;
                }
                // The host starts afresh, or its old failures would condemn it again at once.
                *self = Self::default();
                Some(BreakerEvent::Closed)
            }
            Some(open) => {
                open.answered = 0;
                open.probe_at_ms = seen.at_ms.saturating_add(LEFT_ALONE_MS);
                None
            }
            None => self.keep(seen),
        }
    }

    fn keep(&mut self, seen: CallReport) -> Option<BreakerEvent> {
        self.results.push_back(CallResult {
            at_ms: seen.at_ms,
            answered: seen.answered,
        });
        let is_spent =
            |kept: &CallResult| seen.at_ms.saturating_sub(kept.at_ms) > RESULT_AGE_MS_MAX;
        while self.results.len() > RESULTS_MAX || self.results.front().is_some_and(is_spent) {
            self.results.pop_front();
        }
        let of = self.results.len();
        let unanswered = self.results.iter().filter(|kept| !kept.answered).count();
        let too_many = unanswered * 100 > of * (100 - ANSWERED_PERCENT_MIN);
        let in_a_row = self.results.iter().rev().take_while(|kept| !kept.answered);
        if unanswered < UNANSWERED_MIN || !(too_many || in_a_row.count() >= UNANSWERED_MIN) {
            return None;
        }
        self.open = Some(Open {
            since_ms: seen.at_ms,
            probe_at_ms: seen.at_ms.saturating_add(LEFT_ALONE_MS),
            answered: 0,
        });
        Some(BreakerEvent::Opened { unanswered, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_785_556_800_000;
    const OPENED_BY_3: Option<BreakerEvent> = Some(BreakerEvent::Opened {
        unanswered: 3,
        of: 3,
    });

    fn seen(at_ms: i64, answered: bool) -> CallReport {
        CallReport {
            sent_at_ms: at_ms,
            at_ms,
            answered,
        }
    }

    /// Records one result for each letter, a millisecond apart: `a` for an answer, `-` for none.
    /// Returns the last turn.
    fn apply_results(breaker: &mut Breaker, from_ms: i64, results: &str) -> Option<BreakerEvent> {
        let mut turn = None;
        for (at_ms, letter) in (from_ms..).zip(results.chars()) {
            turn = breaker.record(seen(at_ms, letter == 'a'));
        }
        turn
    }

    /// A breaker that opened at [`NOW_MS`].
    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        assert_eq!(apply_results(&mut breaker, NOW_MS - 2, "---"), OPENED_BY_3);
        breaker
    }

    #[test]
    fn a_host_is_avoided_when_fewer_than_nine_in_ten_calls_are_answered() {
        let one_in_ten = "aaaaaaaaa-";
        for (name, results, opens) in [
            ("nothing", String::new(), false),
            ("two of two", "--".to_owned(), false),
            ("three of three", "---".to_owned(), true),
            ("three of four", "--a-".to_owned(), true),
            ("one in ten, ten times", one_in_ten.repeat(10), false),
            (
                "one more than that",
                one_in_ten.repeat(9) + "aaaaaaaa-",
                true,
            ),
            (
                "ten in the last hundred, and an eleventh before them",
                "-".to_owned() + &"a".repeat(80) + &"a-".repeat(8) + "aa--",
                false,
            ),
            (
                "three in a row after a hundred good ones",
                "a".repeat(100) + "---",
                true,
            ),
            (
                "two in a row after a hundred good ones",
                "a".repeat(100) + "--",
                false,
            ),
        ] {
            let mut breaker = Breaker::default();
            let turn = apply_results(&mut breaker, NOW_MS, &results);
            assert_eq!(
                matches!(turn, Some(BreakerEvent::Opened { .. })),
                opens,
                "{name}"
            );
            assert_eq!(breaker.admits(NOW_MS + 1000), !opens, "{name}");
        }
    }

    #[test]
    fn results_over_ten_minutes_old_do_not_count() {
        for (later_ms, turn) in [(599_999, OPENED_BY_3), (600_001, None)] {
            let mut breaker = Breaker::default();
            apply_results(&mut breaker, NOW_MS, "--");
            assert_eq!(breaker.record(seen(NOW_MS + later_ms, false)), turn);
        }
    }

    #[test]
    fn after_a_minute_one_caller_at_a_time_tries_the_host_again() {
        let mut breaker = opened();
        assert!(!breaker.admits(NOW_MS + 59_999) && breaker.is_shut(NOW_MS + 59_999));
        let tried_at_ms = NOW_MS + 60_000;
        assert!(!breaker.is_shut(tried_at_ms));
        assert!(breaker.admits(tried_at_ms));
        assert!(!breaker.admits(tried_at_ms), "one is on its way");
        assert_eq!(breaker.record(seen(tried_at_ms + 1000, false)), None);
        assert!(!breaker.admits(tried_at_ms + 60_999), "another minute");
        assert!(breaker.admits(tried_at_ms + 61_000));
    }

    #[test]
    fn three_answers_in_a_row_close_it_and_old_failures_are_forgotten() {
        let mut breaker = opened();
        let at_ms = NOW_MS + 60_000;
        for n in 0..3 {
            assert!(breaker.admits(at_ms + n), "try {n}");
            assert!(!breaker.is_closed());
            let turn = breaker.record(seen(at_ms + n, true));
            assert_eq!(turn, (n == 2).then_some(BreakerEvent::Closed), "try {n}");
        }
        assert!(breaker.is_closed());
        assert_eq!(apply_results(&mut breaker, at_ms + 10, "--"), None);
        assert!(breaker.admits(at_ms + 20));
    }

    #[test]
    fn a_failure_among_the_tries_starts_the_minute_again() {
        let mut breaker = opened();
        assert_eq!(apply_results(&mut breaker, NOW_MS + 60_000, "aa-aa"), None);
        assert!(!breaker.is_closed());
    }

    #[test]
    fn a_trial_call_without_a_result_is_made_by_the_next_caller() {
        let mut breaker = opened();
        assert!(breaker.admits(NOW_MS + 60_000));
        assert!(!breaker.admits(NOW_MS + 69_999));
        assert!(breaker.admits(NOW_MS + 70_000));
    }

    #[test]
    fn results_of_calls_sent_before_the_breaker_opened_do_not_count() {
        let mut breaker = opened();
        let under_way = |answered| CallReport {
            sent_at_ms: NOW_MS - 1,
            at_ms: NOW_MS + 2000,
            answered,
        };
        for _ in 0..5 {
            assert_eq!(breaker.record(under_way(true)), None);
        }
        assert!(!breaker.is_closed());
        breaker.record(under_way(false));
        assert!(
            breaker.admits(NOW_MS + 60_000),
            "nor does it put off the next try"
        );
    }
}
