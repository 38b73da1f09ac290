//! The third side: compares payments and refunds in the trade bill with the movements of the
//! balance.
//!
//! For each payment the balance rises by the settled amount less the fee; for each refund it falls
//! by the returned amount less the returned fee. A merchant is settled some days after a trade
//! (contract). So a run compares the trade rows of its day and of that many days before with the
//! movements of the same days. The earliest of these days is due: a trade of it without its
//! movement is a difference. Later trades are not decided yet.
//!
//! The table keeps the missing amount of each expected movement. That is enough: in a second pass
//! over the trade bill [`FundBooks::funding`] returns for each row what moved.

use serde::{Deserialize, Serialize};

use wechatpay::bill::{Direction, Fee, FundRow, TradeKind, TradeRow};

use crate::{
    fingerprint::Prints,
    fund_line::FundLine,
    matcher::{Bounded, Overflow},
    table::{Slot, Table},
};

/// One fen in the unit of fees, 1/100000 yuan.
const FEN: i64 = Fee::CENT.units();

/// 业务类型 of movements that belong to a payment or a refund (shared/wechatpay/PROTOCOL.md, 8.5).
/// The set is open; all others, such as withdrawals, transfers and profit sharing, have no row in
/// the trade bill.
const OF_TRADES: [&str; 5] = [
    "交易",
    "扣除交易手续费",
    "退款",
    "退款关闭",
    "退还交易手续费",
];

/// Which of a run's days a row is from. Movements of earlier days were decided by earlier runs, so
/// one without a trade is not reported again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FundDay {
    /// The earliest: its trades are settled by the end of the run's day.
    Due,
    /// One between that and the run's own.
    Between,
    /// The day of the run.
    Same,
}

/// How the money of a trade bill row moved. Amounts are in 1/100000 yuan, negative if money left
/// the merchant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FundMatch {
    /// As expected, to less than a fen; or nothing moved and nothing should.
    AsExpected,
    /// Nothing moved yet.
    Missing {
        /// The expected sum.
        expected: i64,
    },
    /// Something else moved.
    Off {
        /// The expected sum.
        expected: i64,
        /// The sum of the movements.
        moved: i64,
    },
}

/// Movements that belong to no payment and no refund.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherMovements {
    /// How many went to the merchant.
    pub count_in: u64,
    /// Their sum, in fen.
    pub in_fen: i64,
    /// How many went from the merchant.
    pub count_out: u64,
    /// Their sum, in fen.
    pub out_fen: i64,
}

impl OtherMovements {
    fn add(&mut self, flow: Direction, fen: i64) {
        let (count, sum) = match flow {
            Direction::In => (&mut self.count_in, &mut self.in_fen),
            Direction::Out => (&mut self.count_out, &mut self.out_fen),
        };
        *count = count.saturating_add(1);
        *sum = sum.saturating_add(fen);
    }
}

/// An expected movement: its missing amount, in 1/100000 yuan, and its marks in the lower 8 bits.
#[derive(Clone, Copy, Debug, Default)]
struct ExpectedMovement {
    id: u64,
    rest: i64,
}

const TAKEN: i64 = 1;
const MOVED: i64 = 1 << 1;
const DUE: i64 = 1 << 2;
/// No movement is required.
const OPTIONAL: i64 = 1 << 3;
/// Any movement is accepted: reversals.
const ANY: i64 = 1 << 4;
const SAME: i64 = 1 << 5;
const MARKS: i64 = 0xff;
/// The largest missing amount in the bits above the marks: 180 billion yuan.
const LIMIT: i64 = (1 << 54) - 1;

impl Slot for ExpectedMovement {
    fn is_free(&self) -> bool {
        self.rest & TAKEN == 0
    }

    fn id(&self) -> u64 {
        self.id
    }
}

impl ExpectedMovement {
    fn new(id: u64, missing: i64, marks: i64) -> Self {
        Self {
            id,
            rest: (missing.clamp(-LIMIT, LIMIT) << 8) | marks | TAKEN,
        }
    }

    const fn missing(self) -> i64 {
        self.rest >> 8
    }

    const fn has(self, mark: i64) -> bool {
        self.rest & mark != 0
    }

    fn moved(self, by: i64) -> Self {
        let missing = self.missing().saturating_sub(by);
        Self::new(self.id, missing, (self.rest & MARKS) | MOVED)
    }

    /// Less than a fen off: fees are charged in whole fen, and their rounding is not documented.
    const fn is_met(self) -> bool {
        self.missing().abs() < FEN || self.has(ANY)
    }
}

/// Expected and actual movements of money.
#[derive(Debug)]
pub struct FundBooks {
    prints: Box<Prints>,
    table: Table<ExpectedMovement>,
    without_trade: Bounded<FundLine>,
    of_trades: OtherMovements,
    others: OtherMovements,
}

/// Result of matching movements with trades.
#[derive(Debug)]
pub struct FundMatches {
    /// The books for [`FundBooks::funding`] in a second pass over the trade bill.
    pub books: FundBooks,
    /// Movements of the run's own day whose payment or refund no row names.
    pub without_trade: Vec<FundLine>,
    /// Those of them beyond what was kept.
    pub without_trade_more: Overflow,
    /// Rows of the due day without any movement.
    pub missing_due: u64,
    /// Rows of the run's own day without any movement; they are settled later.
    pub missing: u64,
    /// Rows of the due day with a different movement. Refunds that have failed since and came back
    /// whole are counted too: [`FundBooks::funding`] recognises them.
    pub off_due: u64,
    /// Rows of the run's own day with a different movement so far; the rest may move later.
    pub off: u64,
    /// All that moved for payments and refunds on the run's own day.
    pub of_trades: OtherMovements,
    /// All other movements on the run's own day.
    pub others: OtherMovements,
}

impl FundBooks {
    /// Empty books with room for this many rows; they grow. `key` must be random and new for each
    /// run. Up to `room` movements without a trade are kept; more are only counted.
    pub fn with_capacity(rows: usize, key: [u64; 2], room: usize) -> Self {
        Self {
            prints: Box::new(Prints::new(key)),
            table: Table::with_capacity(rows),
            without_trade: Bounded::with_room(room),
            of_trades: OtherMovements::default(),
            others: OtherMovements::default(),
        }
    }

    /// Records the expected movement of a trade bill row. A repeated number changes nothing, unless
    /// the row reverses the payment.
    pub fn expect(&mut self, row: &TradeRow<'_>, day: FundDay) {
        let Some(id) = self.id_of(row) else {
            return; // too long for a number of WeChat Pay: the matcher has it among its candidates
        };
        let expected = expected(row);
        let mut marks = match day {
            FundDay::Due => DUE,
            FundDay::Between => 0,
            FundDay::Same => SAME,
        };
        if expected == 0 {
            marks |= OPTIONAL;
        }
        if row.kind == TradeKind::Revoked {
            marks |= ANY | OPTIONAL;
        }
        let new = ExpectedMovement::new(id, expected, marks);
        if let Some(there) = self.table.insert(new)
            && row.kind == TradeKind::Revoked
        {
            there.rest |= ANY | OPTIONAL;
        }
    }

    /// Takes the next movement, after all rows of the trade bills.
    pub fn take(&mut self, row: &FundRow<'_>, day: FundDay) {
        let of_trade = OF_TRADES.contains(&row.business_type());
        if day == FundDay::Same {
            let moved = if of_trade {
                &mut self.of_trades
            } else {
                &mut self.others
            };
            moved.add(row.direction, row.amount_fen);
        }
        if !of_trade {
            return;
        }
        let by_fen = match row.direction {
            Direction::In => row.amount_fen,
            Direction::Out => row.amount_fen.saturating_neg(),
        };
        let expected = self
            .prints
            .payment(row.business_id())
            .and_then(|id| self.table.get_mut(id));
        if let Some(expected) = expected {
            *expected = expected.moved(by_fen.saturating_mul(FEN));
            return;
        }
        if day == FundDay::Same {
            self.without_trade.push(by_fen, || row.into());
        }
    }

    /// How many movements without a trade are kept so far.
    pub fn strays(&self) -> usize {
        self.without_trade.kept.len()
    }

    /// Ends the pass over the movements.
    pub fn finish(mut self) -> FundMatches {
        let (mut missing_due, mut missing) = (0_u64, 0_u64);
        let (mut off_due, mut off) = (0_u64, 0_u64);
        for expected in self.table.iter() {
            let (of_due, of_same) = match (expected.has(MOVED), expected.is_met()) {
                (true, true) => continue,
                (true, false) => (&mut off_due, &mut off),
                (false, _) if expected.has(OPTIONAL) => continue,
                (false, _) => (&mut missing_due, &mut missing),
            };
            if expected.has(DUE) {
                *of_due = of_due.saturating_add(1);
            } else if expected.has(SAME) {
                *of_same = of_same.saturating_add(1);
            }
        }
        FundMatches {
            without_trade: std::mem::take(&mut self.without_trade.kept),
            without_trade_more: self.without_trade.more,
            missing_due,
            missing,
            off_due,
            off,
            of_trades: self.of_trades,
            others: self.others,
            books: self,
        }
    }

    /// How the money of a trade bill row moved. A row without an expected movement counts as
    /// correct.
    pub fn funding(&self, row: &TradeRow<'_>) -> FundMatch {
        let Some(slot) = self.id_of(row).and_then(|id| self.table.get(id)) else {
            return FundMatch::AsExpected;
        };
        let expected = expected(row);
        if slot.has(MOVED) {
            let moved = expected.saturating_sub(slot.missing());
            // A refund in progress may have failed since: then its money came back whole.
            let came_back = row.kind == TradeKind::Refund
                && row.refund_state() != "SUCCESS"
                && moved.abs() < FEN;
            if slot.is_met() || came_back {
                FundMatch::AsExpected
            } else {
                FundMatch::Off { expected, moved }
            }
        } else if slot.has(OPTIONAL) {
            FundMatch::AsExpected
        } else {
            FundMatch::Missing { expected }
        }
    }

    /// The key of a row's movements: WeChat Pay's number of the payment or of the refund. Both are
    /// from one series, so one key space is enough.
    fn id_of(&self, row: &TradeRow<'_>) -> Option<u64> {
        match row.kind {
            TradeKind::Payment | TradeKind::Revoked => self.prints.payment(row.transaction_id()),
            TradeKind::Refund => self.prints.payment(row.refund_id()),
        }
    }
}

/// The total movement of a row, in 1/100000 yuan.
fn expected(row: &TradeRow<'_>) -> i64 {
    let units = |fen: i64| fen.saturating_mul(FEN);
    match row.kind {
        TradeKind::Payment if row.settlement_fen <= 0 => 0,
        TradeKind::Payment => units(row.settlement_fen).saturating_sub(row.fee.units()),
        TradeKind::Refund if row.refund_state() == "FAIL" => 0,
        // The fee of a refund is negative: it is returned.
        TradeKind::Refund => units(row.refund_fen)
            .saturating_neg()
            .saturating_sub(row.fee.units()),
        TradeKind::Revoked => 0,
    }
}
