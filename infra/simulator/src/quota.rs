//! WeChat Pay's quotas of the calls for refunds and fund bills, counted over the last second.

use std::collections::VecDeque;

const SECOND_MS: i64 = 1_000;

/// Refund requests in a second, whatever their results.
const REFUNDS: usize = 150;
/// Of them those that were refused: one in twenty-five.
const FAILED_REFUNDS: usize = 6;
const QUERIES: usize = 300;
const ABNORMAL: usize = 150;
const FUND_BILLS: usize = 3;

/// What was called within the last second.
#[derive(Default)]
pub(crate) struct Quotas {
    refunds: Window,
    failed_refunds: Window,
    queries: Window,
    abnormal: Window,
    fund_bills: Window,
}

impl Quotas {
    /// Counts a new refund, or says that there is no room for it.
    pub(crate) fn admit_refund(&mut self, now_ms: i64) -> bool {
        self.failed_refunds.has_room(FAILED_REFUNDS, now_ms) && self.refunds.admit(REFUNDS, now_ms)
    }

    /// A refund that was let in was refused.
    pub(crate) fn refund_failed(&mut self, now_ms: i64) {
        self.failed_refunds.0.push_back(now_ms);
    }

    pub(crate) fn admit_query(&mut self, now_ms: i64) -> bool {
        self.queries.admit(QUERIES, now_ms)
    }

    pub(crate) fn admit_abnormal(&mut self, now_ms: i64) -> bool {
        self.abnormal.admit(ABNORMAL, now_ms)
    }

    pub(crate) fn admit_fund_bill(&mut self, now_ms: i64) -> bool {
        self.fund_bills.admit(FUND_BILLS, now_ms)
    }
}

/// Moments within the last second, the oldest first.
#[derive(Default)]
struct Window(VecDeque<i64>);

impl Window {
    fn has_room(&mut self, most: usize, now_ms: i64) -> bool {
        let since_ms = now_ms.saturating_sub(SECOND_MS);
        while self.0.front().is_some_and(|at_ms| *at_ms <= since_ms) {
            self.0.pop_front();
        }
        self.0.len() < most
    }

    fn admit(&mut self, most: usize, now_ms: i64) -> bool {
        let has_room = self.has_room(most, now_ms);
        if has_room {
            self.0.push_back(now_ms);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_full_until_its_second_has_passed() {
        let mut quotas = Quotas::default();
        for _ in 0..REFUNDS {
            assert!(quotas.admit_refund(5_000));
        }
        assert!(!quotas.admit_refund(5_999));
        assert!(quotas.admit_refund(6_000));
        assert!(quotas.admit_query(5_999), "each call has its own");
    }

    #[test]
    fn six_failures_in_a_second_shut_out_good_refunds_too() {
        let mut quotas = Quotas::default();
        for at_ms in 0..6 {
            assert!(quotas.admit_refund(at_ms));
            quotas.refund_failed(at_ms);
        }
        assert!(!quotas.admit_refund(6));
        assert!(quotas.admit_refund(1_000), "the first has passed");
    }
}
