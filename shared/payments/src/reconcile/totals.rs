//! Both sides' totals of a day, by product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Both sides' totals, by WeChat Pay's word for the product: `NATIVE`, `JSAPI`, `APP`, `MWEB` and whatever else the bill has.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// What the bill says.
    pub there: BTreeMap<String, Sums>,
    /// What our books say.
    pub here: BTreeMap<String, Sums>,
}

/// Counts and sums of one product. Amounts are in fen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Payments.
    pub payments: u64,
    /// What was to be paid for them, coupons and all (`amount.total`).
    pub paid_fen: i64,
    /// Refunds.
    pub refunds: u64,
    /// What was given back (`amount.refund`).
    pub refunded_fen: i64,
    /// What is settled to the merchant's account before fees: payments less refunds, without free coupons. The bill only.
    pub settled_fen: i64,
    /// Fees less fees given back, in 1/100000 yuan. The bill only.
    pub fee_e5: i64,
}

impl Totals {
    /// Adds another part's totals.
    pub fn add(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.there, &other.there),
            (&mut self.here, &other.here),
        ] {
            for (product, sums) in others {
                mine.entry(product.clone()).or_default().add(sums);
            }
        }
    }
}

impl Sums {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.payments = self.payments.saturating_add(other.payments);
        self.paid_fen = self.paid_fen.saturating_add(other.paid_fen);
        self.refunds = self.refunds.saturating_add(other.refunds);
        self.refunded_fen = self.refunded_fen.saturating_add(other.refunded_fen);
        self.settled_fen = self.settled_fen.saturating_add(other.settled_fen);
        self.fee_e5 = self.fee_e5.saturating_add(other.fee_e5);
    }
}
