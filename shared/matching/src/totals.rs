//! Totals of a day, for both sides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::short::eq_short;

/// Maximum number of separate kinds of trade. WeChat Pay may add some; the rest is counted under
/// [`OTHERS`].
const KINDS_AT_MOST: usize = 64;

/// The name for all other kinds.
pub const OTHERS: &str = "others";

/// Counts and sums of one kind of trade. A sum that overflows stays at its limit, which is 92
/// million billion yuan.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    pub payments: u64,
    /// The order amount (订单金额), in fen.
    pub payments_fen: i64,
    /// The settled amount of payments (应结订单金额: without free coupons), in fen. Zero for our
    /// books, which do not know it.
    pub settlement_fen: i64,
    pub refunds: u64,
    /// The requested refund amount (申请退款金额), in fen.
    pub refunds_fen: i64,
    /// The part of it that the merchant returns (退款金额: without free coupons), in fen. Zero for
    /// our books, which do not know it.
    pub refunds_settlement_fen: i64,
    /// Fees less those of refunds, in 1/100000 yuan. Zero for our books, which do not know them.
    pub fees: i64,
}

impl Sums {
    /// What is settled to the merchant's account before fees, in fen: payments less refunds,
    /// without free coupons.
    pub fn settled_fen(&self) -> i64 {
        self.settlement_fen
            .saturating_sub(self.refunds_settlement_fen)
    }

    /// Counts a payment.
    #[inline]
    pub(crate) fn pay(&mut self, total_fen: i64, settlement_fen: i64, fee: i64) {
        self.payments = self.payments.saturating_add(1);
        self.payments_fen = self.payments_fen.saturating_add(total_fen);
        self.settlement_fen = self.settlement_fen.saturating_add(settlement_fen);
        self.fees = self.fees.saturating_add(fee);
    }

    /// Counts a refund.
    #[inline]
    pub(crate) fn refund(&mut self, requested_fen: i64, settlement_fen: i64, fee: i64) {
        self.refunds = self.refunds.saturating_add(1);
        self.refunds_fen = self.refunds_fen.saturating_add(requested_fen);
        self.refunds_settlement_fen = self.refunds_settlement_fen.saturating_add(settlement_fen);
        self.fees = self.fees.saturating_add(fee);
    }

    /// Adds the totals of another part of the day.
    pub fn add(&mut self, other: &Self) {
        self.payments = self.payments.saturating_add(other.payments);
        self.refunds = self.refunds.saturating_add(other.refunds);
        for (mine, others) in [
            (&mut self.payments_fen, other.payments_fen),
            (&mut self.settlement_fen, other.settlement_fen),
            (&mut self.refunds_fen, other.refunds_fen),
            (
                &mut self.refunds_settlement_fen,
                other.refunds_settlement_fen,
            ),
            (&mut self.fees, other.fees),
        ] {
            *mine = mine.saturating_add(others);
        }
    }
}

/// How much more the bill has than our books, negative if they have more: for a day, one
/// difference, or several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    pub payments: i64,
    /// Their sum, in fen.
    pub paid_fen: i64,
    pub refunds: i64,
    /// Their sum, in fen.
    pub refunded_fen: i64,
}

impl Gap {
    /// The difference of two sums.
    pub fn between(there: &Sums, here: &Sums) -> Self {
        Self {
            payments: more(there.payments, here.payments),
            paid_fen: there.payments_fen.saturating_sub(here.payments_fen),
            refunds: more(there.refunds, here.refunds),
            refunded_fen: there.refunds_fen.saturating_sub(here.refunds_fen),
        }
    }

    /// A payment of this amount that only the bill has.
    pub const fn of_payment(paid_fen: i64) -> Self {
        Self {
            payments: 1,
            paid_fen,
            refunds: 0,
            refunded_fen: 0,
        }
    }

    /// A refund of this amount that only the bill has.
    pub const fn of_refund(refunded_fen: i64) -> Self {
        Self {
            payments: 0,
            paid_fen: 0,
            refunds: 1,
            refunded_fen,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            payments: self.payments.saturating_add(other.payments),
            paid_fen: self.paid_fen.saturating_add(other.paid_fen),
            refunds: self.refunds.saturating_add(other.refunds),
            refunded_fen: self.refunded_fen.saturating_add(other.refunded_fen),
        }
    }

    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            payments: self.payments.saturating_sub(other.payments),
            paid_fen: self.paid_fen.saturating_sub(other.paid_fen),
            refunds: self.refunds.saturating_sub(other.refunds),
            refunded_fen: self.refunded_fen.saturating_sub(other.refunded_fen),
        }
    }

    /// Payments less refunds, in fen.
    pub const fn net_fen(self) -> i64 {
        self.paid_fen.saturating_sub(self.refunded_fen)
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// How many more there are on the first side.
fn more(there: u64, here: u64) -> i64 {
    let distance = i64::try_from(there.abs_diff(here)).unwrap_or(i64::MAX);
    if there < here { -distance } else { distance }
}

/// Gaps by kind of trade, under the names in [`Totals`]. Kinds without a gap have no entry.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gaps(pub BTreeMap<String, Gap>);

impl Gaps {
    /// Adds one of this kind of trade.
    pub fn add(&mut self, kind: &str, gap: Gap) {
        if gap.is_none() {
            return;
        }
        let kind = if self.0.len() < KINDS_AT_MOST || self.0.contains_key(kind) {
            kind
        } else {
            OTHERS
        };
        let known = self.0.entry(kind.to_owned()).or_default();
        *known = known.plus(gap);
        if known.is_none() {
            self.0.remove(kind);
        }
    }

    pub fn add_all(&mut self, other: &Self) {
        for (kind, gap) in &other.0 {
            self.add(kind, *gap);
        }
    }

    /// All kinds together.
    pub fn all(&self) -> Gap {
        let gaps = self.0.values();
        gaps.fold(Gap::default(), |sum, gap| sum.plus(*gap))
    }
}

/// Totals of a day by kind of trade: WeChat Pay's 交易类型 in the bill, the product in our books.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(pub BTreeMap<String, Sums>);

impl Totals {
    /// Adds the totals of another part of the day: a big day is matched in parts.
    pub fn add(&mut self, other: &Self) {
        for (kind, sums) in &other.0 {
            self.0.entry(kind.clone()).or_default().add(sums);
        }
    }

    /// The sums of a kind; those of the others if there are too many kinds.
    pub(crate) fn of(&mut self, kind: &str) -> &mut Sums {
        let kind = if self.0.len() < KINDS_AT_MOST || self.0.contains_key(kind) {
            kind
        } else {
            OTHERS
        };
        self.0.entry(kind.to_owned()).or_default()
    }

    /// All kinds together.
    pub fn all(&self) -> Sums {
        let mut all = Sums::default();
        for sums in self.0.values() {
            all.add(sums);
        }
        all
    }
}

/// Totals while counting. There are a few kinds and a million rows.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    kinds: Vec<(String, Sums)>,
    /// Position of a kind at its last use, by a hash of its name.
    hints: [usize; HINTS],
}

const HINTS: usize = 64;

impl Default for Tally {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            hints: [0; HINTS],
        }
    }
}

impl Tally {
    #[inline]
    pub(crate) fn of(&mut self, kind: &str) -> Option<&mut Sums> {
        let first = kind.as_bytes().first().copied().map_or(0, usize::from);
        let slot = (first ^ kind.len().wrapping_mul(8)) % HINTS;
        let hint = self.hints.get(slot).copied().unwrap_or_default();
        let known = self.kinds.get(hint);
        let place = if known.is_some_and(|(name, _)| eq_short(name, kind)) {
            hint
        } else {
            let place = self.place(kind);
            if let Some(hint) = self.hints.get_mut(slot) {
                *hint = place;
            }
            place
        };
        self.kinds.get_mut(place).map(|(_, sums)| sums)
    }

    #[cold]
    fn place(&mut self, kind: &str) -> usize {
        let find = |kinds: &[(String, Sums)], kind| kinds.iter().position(|(name, _)| name == kind);
        if let Some(place) = find(&self.kinds, kind) {
            return place;
        }
        let kind = if self.kinds.len() < KINDS_AT_MOST {
            kind
        } else {
            OTHERS
        };
        find(&self.kinds, kind).unwrap_or_else(|| {
            self.kinds.push((kind.to_owned(), Sums::default()));
            self.kinds.len() - 1
        })
    }

    /// The totals so far.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (kind, sums) in &self.kinds {
            totals.0.entry(kind.clone()).or_default().add(sums);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pay(tally: &mut Tally, kind: &str, fen: i64) {
        tally.of(kind).unwrap().pay(fen, fen, 0);
    }

    #[test]
    fn parts_of_a_day_add_up_to_the_day() {
        let (mut day, mut first, mut second) =
            (Tally::default(), Tally::default(), Tally::default());
        for (position, kind) in ["NATIVE", "JSAPI", "NATIVE", "APP"].iter().enumerate() {
            let fen = i64::try_from(position).unwrap() + 1;
            pay(&mut day, kind, fen);
            let part = if position < 2 {
                &mut first
            } else {
                &mut second
            };
            pay(part, kind, fen);
        }
        let mut joined = first.totals();
        joined.add(&second.totals());
        assert_eq!(joined, day.totals());
        assert_eq!(joined.all().payments_fen, 10);
        assert_eq!(joined.0["NATIVE"].payments, 2);
    }

    #[test]
    fn gaps_of_a_kind_add_up_and_vanish_where_one_makes_up_for_another() {
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::of_payment(500));
        gaps.add("NATIVE", Gap::of_refund(200));
        gaps.add("JSAPI", Gap::default().less(Gap::of_payment(70)));
        assert_eq!(gaps.all().net_fen(), 230);
        assert_eq!((gaps.all().payments, gaps.all().refunds), (0, 1));
        gaps.add("JSAPI", Gap::of_payment(70));
        assert_eq!(gaps.0.keys().collect::<Vec<_>>(), ["NATIVE"]);
        for kind in 0..200 {
            gaps.add(&format!("KIND{kind}"), Gap::of_payment(1));
        }
        assert!(gaps.0.len() <= KINDS_AT_MOST + 1, "memory is bounded");
        assert_eq!(gaps.all().net_fen(), 500);
    }

    #[test]
    fn totals_go_through_json_and_back() {
        let mut tally = Tally::default();
        pay(&mut tally, "FACE", 5);
        let text = serde_json::to_string(&tally.totals()).unwrap();
        assert_eq!(
            serde_json::from_str::<Totals>(&text).unwrap(),
            tally.totals()
        );
    }

    #[test]
    fn a_bill_that_names_a_new_kind_in_each_row_takes_no_more_memory_for_it() {
        let mut tally = Tally::default();
        for row in 0..1000 {
            pay(&mut tally, &format!("KIND{row}"), 1);
        }
        let totals = tally.totals();
        assert_eq!(totals.0.len(), KINDS_AT_MOST + 1);
        assert_eq!(totals.all().payments, 1000);
        assert_eq!(
            totals.0[OTHERS].payments,
            1000 - u64::try_from(KINDS_AT_MOST).unwrap()
        );
    }
}
