//! The merchant's account at WeChat Pay: every movement of money, with the balance after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Ids;

/// Fee of 0.60 %, in hundredths of a percent.
const FEE_RATE: i128 = 60;

/// Fen on the account at the start: refunds work from the first minute.
const FIRST_BALANCE_FEN: i64 = 10_000_000;

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Ledger {
    /// The balance of the basic account.
    pub(crate) balance_fen: i64,
    pub(crate) movements: Vec<Movement>,
    /// What is booked later, by its time.
    #[serde(default)]
    later: BTreeMap<i64, Vec<PendingMovement>>,
    /// How much of it all is written.
    #[serde(skip)]
    written: Extent,
}

/// How far a ledger goes.
#[derive(Clone, Default, Eq, PartialEq)]
struct Extent {
    movements: usize,
    /// How much there is to come at each moment.
    later: BTreeMap<i64, usize>,
}

/// What came into a ledger, and went out of what is yet to come.
#[derive(Deserialize, Serialize)]
pub(crate) struct LedgerChanges {
    balance_fen: i64,
    /// How many of the movements so far stay as they are.
    kept: usize,
    /// What follows them.
    movements: Vec<Movement>,
    /// Moments at which nothing is to come any more.
    booked: Vec<i64>,
    /// What is to come besides.
    later: BTreeMap<i64, Vec<PendingMovement>>,
}

/// A movement of the basic account that is yet to come.
#[derive(Clone, Deserialize, Serialize)]
struct PendingMovement {
    business_id: String,
    reason: Reason,
    amount_fen: i64,
    voucher: String,
}

/// `account_type`: the merchant's accounts, each with a fund bill of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FundAccount {
    /// Where payments go and refunds come from.
    #[default]
    Basic,
    /// For red packets and transfers.
    Operation,
    /// For fees that are not taken at once.
    Fees,
}

/// One row of a fund bill.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Movement {
    #[serde(default)]
    pub(crate) account: FundAccount,
    pub(crate) at_ms: i64,
    /// `transaction_id` or `refund_id`.
    pub(crate) business_id: String,
    pub(crate) flow_id: String,
    pub(crate) reason: Reason,
    /// Above 0 in, below 0 out.
    pub(crate) amount_fen: i64,
    pub(crate) balance_fen: i64,
    /// The merchant's own number.
    pub(crate) voucher: String,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Payment,
    Fee,
    Refund,
    RefundedFee,
    RefundClosed,
    /// The admin set the balance.
    Adjustment,
}

impl Reason {
    /// 业务名称 and 业务类型.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Payment => ("交易", "交易"),
            Self::Fee => ("交易", "扣除交易手续费"),
            Self::Refund => ("退款", "退款"),
            Self::RefundedFee => ("退款", "退还交易手续费"),
            Self::RefundClosed => ("退款", "退款关闭"),
            Self::Adjustment => ("充值/提现", "充值/提现"),
        }
    }
}

/// What a movement is about.
pub(crate) struct MovementSubject<'a> {
    pub(crate) at_ms: i64,
    pub(crate) business_id: &'a str,
    pub(crate) voucher: &'a str,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            balance_fen: FIRST_BALANCE_FEN,
            movements: Vec::new(),
            later: BTreeMap::new(),
            written: Extent::default(),
        }
    }
}

impl Ledger {
    /// Moves `amount_fen` into the basic account (or out, below 0); 0 is no movement.
    pub(crate) fn book(
        &mut self,
        ids: &mut Ids,
        occasion: &MovementSubject<'_>,
        reason: Reason,
        amount_fen: i64,
    ) {
        self.book_due(ids, occasion.at_ms);
        self.book_on(FundAccount::Basic, ids, occasion, reason, amount_fen);
    }

    /// The same for any account.
    pub(crate) fn book_on(
        &mut self,
        account: FundAccount,
        ids: &mut Ids,
        occasion: &MovementSubject<'_>,
        reason: Reason,
        amount_fen: i64,
    ) {
        if amount_fen == 0 {
            return;
        }
        let balance_fen = self.balance_of(account).saturating_add(amount_fen);
        if account == FundAccount::Basic {
            self.balance_fen = balance_fen;
        }
        self.movements.push(Movement {
            account,
            at_ms: occasion.at_ms,
            business_id: occasion.business_id.to_owned(),
            flow_id: ids.flow_id(occasion.at_ms),
            reason,
            amount_fen,
            balance_fen,
            voucher: occasion.voucher.to_owned(),
        });
    }

    fn balance_of(&self, account: FundAccount) -> i64 {
        if account == FundAccount::Basic {
            return self.balance_fen;
        }
        let mut backwards = self.movements.iter().rev();
        backwards
            .find(|movement| movement.account == account)
            .map_or(0, |movement| movement.balance_fen)
    }

    /// Moves `amount_fen` when the occasion comes.
    pub(crate) fn book_later(
        &mut self,
        occasion: &MovementSubject<'_>,
        reason: Reason,
        amount_fen: i64,
    ) {
        self.later
            .entry(occasion.at_ms)
            .or_default()
            .push(PendingMovement {
                business_id: occasion.business_id.to_owned(),
                reason,
                amount_fen,
                voucher: occasion.voucher.to_owned(),
            });
    }

    /// Books what was put off until now or before.
    pub(crate) fn book_due(&mut self, ids: &mut Ids, now_ms: i64) {
        while let Some((at_ms, due)) = self.later.pop_first() {
            if at_ms > now_ms {
                self.later.insert(at_ms, due);
                return;
            }
            for later in due {
                let occasion = MovementSubject {
                    at_ms,
                    business_id: &later.business_id,
                    voucher: &later.voucher,
                };
                let basic = FundAccount::Basic;
                self.book_on(basic, ids, &occasion, later.reason, later.amount_fen);
            }
        }
    }

    fn extent(&self) -> Extent {
        let later = self.later.iter().map(|(at_ms, due)| (*at_ms, due.len()));
        Extent {
            movements: self.movements.len(),
            later: later.collect(),
        }
    }

    /// What changed since the last time, if anything.
    pub(crate) fn take_changes(&mut self) -> Option<LedgerChanges> {
        let now = self.extent();
        let before = std::mem::replace(&mut self.written, now);
        if before == self.written {
            return None;
        }
        let booked = before.later.iter().filter(|(at_ms, written)| {
            let left = self.later.get(at_ms);
            left.is_none_or(|left| left.len() < **written)
        });
        let booked: Vec<i64> = booked.map(|(at_ms, _)| *at_ms).collect();
        let later = self.later.iter().filter_map(|(at_ms, due)| {
            let known = before.later.get(at_ms).copied().unwrap_or(0);
            let known = if booked.contains(at_ms) { 0 } else { known };
            let new = due.get(known..).filter(|new| !new.is_empty())?;
            Some((*at_ms, new.to_vec()))
        });
        let later = later.collect();
        Some(LedgerChanges {
            balance_fen: self.balance_fen,
            kept: before.movements,
            movements: self
                .movements
                .get(before.movements..)
                .unwrap_or_default()
                .to_vec(),
            booked,
            later,
        })
    }

    /// All of it is written as it is now.
    pub(crate) fn forget_changes(&mut self) {
        self.written = self.extent();
    }

    /// Does what was done. `None` if the changes do not fit this ledger.
    pub(crate) fn apply(&mut self, changes: LedgerChanges) -> Option<()> {
        if changes.kept > self.movements.len() {
            return None;
        }
        self.balance_fen = changes.balance_fen;
        self.movements.truncate(changes.kept);
        self.movements.extend(changes.movements);
        for at_ms in changes.booked {
            self.later.remove(&at_ms);
        }
        for (at_ms, due) in changes.later {
            self.later.entry(at_ms).or_default().extend(due);
        }
        Some(())
    }

    /// The next moment at which something is booked that was put off.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.later.keys().next().copied()
    }

    /// Brings movements that were booked into the past to their places, and all balances to what
    /// they then were.
    pub(crate) fn put_in_order(&mut self) {
        // Any of them may have another place or balance.
        self.written.movements = 0;
        self.movements.sort_by_key(|movement| movement.at_ms);
        for account in [
            FundAccount::Basic,
            FundAccount::Operation,
            FundAccount::Fees,
        ] {
            let those = |movement: &&mut Movement| movement.account == account;
            let moved_fen: i64 = self
                .movements
                .iter_mut()
                .filter(those)
                .map(|movement| movement.amount_fen)
                .sum();
            let mut balance_fen = match account {
                FundAccount::Basic => self.balance_fen.saturating_sub(moved_fen),
                FundAccount::Operation | FundAccount::Fees => 0,
            };
            for movement in self.movements.iter_mut().filter(those) {
                balance_fen = balance_fen.saturating_add(movement.amount_fen);
                movement.balance_fen = balance_fen;
            }
        }
    }
}

/// WeChat Pay's fee on `amount_fen`, rounded half up to a fen.
pub(crate) fn fee_fen(amount_fen: i64) -> i64 {
    share(amount_fen, FEE_RATE, 10_000)
}

/// `amount * part / whole`, rounded half up; 0 if `whole` is 0. Amounts are not negative.
pub(crate) fn share(amount_fen: i64, part: i128, whole: i128) -> i64 {
    i128::from(amount_fen)
        .saturating_mul(part)
        .saturating_mul(2)
        .saturating_add(whole)
        .checked_div(whole.saturating_mul(2))
        .and_then(|fen| i64::try_from(fen).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up() {
        assert_eq!(fee_fen(1200), 7);
        assert_eq!(fee_fen(300), 2);
        assert_eq!(fee_fen(1), 0);
        assert_eq!(share(1, 1, 2), 1);
        assert_eq!(
            share(9_999_999_999, 9_999_999_999, 9_999_999_999),
            9_999_999_999
        );
        assert_eq!(share(5, 1, 0), 0);
    }

    fn occasion(at_ms: i64) -> MovementSubject<'static> {
        MovementSubject {
            at_ms,
            business_id: "4200",
            voucher: "ORDER-1001",
        }
    }

    fn booked(ledger: &Ledger) -> Vec<(i64, i64)> {
        let movements = ledger.movements.iter();
        movements
            .map(|movement| (movement.at_ms, movement.balance_fen))
            .collect()
    }

    #[test]
    fn a_postponed_movement_is_booked_at_its_time_and_before_later_ones() {
        let (mut ledger, mut ids) = (Ledger::default(), Ids::new(1));
        ledger.book_later(&occasion(50), Reason::Payment, 100);
        ledger.book_later(&occasion(90), Reason::Payment, 7);
        assert_eq!(ledger.next_due_ms(), Some(50));
        ledger.book(&mut ids, &occasion(60), Reason::Refund, -30);
        assert_eq!(
            booked(&ledger),
            [(50, FIRST_BALANCE_FEN + 100), (60, FIRST_BALANCE_FEN + 70)]
        );
        assert_eq!(ledger.next_due_ms(), Some(90));
        ledger.book_due(&mut ids, 89);
        assert_eq!(ledger.movements.len(), 2);
        ledger.book_due(&mut ids, 90);
        assert_eq!(ledger.balance_fen, FIRST_BALANCE_FEN + 77);
        assert_eq!(ledger.next_due_ms(), None);
    }

    #[test]
    fn a_movement_in_the_past_lifts_the_balances_after_it_on_its_own_account() {
        let (mut ledger, mut ids) = (Ledger::default(), Ids::new(1));
        ledger.book(&mut ids, &occasion(10), Reason::Payment, 100);
        ledger.book(&mut ids, &occasion(30), Reason::Payment, 1);
        let fees = FundAccount::Fees;
        ledger.book_on(fees, &mut ids, &occasion(40), Reason::Adjustment, 5);
        ledger.book(&mut ids, &occasion(20), Reason::Payment, 1000);
        ledger.put_in_order();
        assert_eq!(
            booked(&ledger),
            [
                (10, FIRST_BALANCE_FEN + 100),
                (20, FIRST_BALANCE_FEN + 1100),
                (30, FIRST_BALANCE_FEN + 1101),
                (40, 5),
            ]
        );
        assert_eq!(ledger.balance_fen, FIRST_BALANCE_FEN + 1101);
    }
}
