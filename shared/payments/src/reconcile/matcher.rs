//! Lays the rows of a trade bill against the books of the day.

use crate::reconcile::{
    bill_line::{BillLine, LineKind},
    books::{DayBooks, Found},
    fee::{LastRate, is_at_rate},
    totals::{Sums, Tally, Totals},
};

/// The one currency that this merchant is paid in.
const CURRENCY: &str = "CNY";

/// More rows differ than anybody could look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "over {at_most} rows of the bill differ from the books; see whether both are of the same merchant and day, and whether the index of the day was read to its end"
)]
pub struct TooManyDifferences {
    /// How many are kept at most.
    pub at_most: usize,
}

/// What came of a pass over the bill.
#[derive(Debug)]
pub struct Matched {
    /// The books, with marks at all lines that a row named. The others are absent from the bill.
    pub books: DayBooks,
    /// Rows that the books do not know, know otherwise, or that came twice; reversals too. To be confirmed by a consistent
    /// read: the index may lag behind.
    pub candidates: Vec<BillLine>,
    /// Rows whose fee is not the rate that the row itself names. They may be among the candidates as well.
    pub off_rate: Vec<BillLine>,
    /// What the rows come to, by 交易类型.
    pub totals: Totals,
    /// How many rows there were.
    pub rows: u64,
}

/// A pass over the bill, as it goes.
#[derive(Debug)]
pub struct Matcher {
    books: DayBooks,
    mchid: String,
    at_most: usize,
    candidates: Vec<BillLine>,
    off_rate: Vec<BillLine>,
    tally: Tally,
    last_rate: LastRate,
    rows: u64,
}

impl Matcher {
    /// Begins a pass. Rows of another merchant than `mchid` are differences. Of all that differ, `at_most` are kept.
    pub fn new(books: DayBooks, mchid: impl Into<String>, at_most: usize) -> Self {
        Self {
            books,
            mchid: mchid.into(),
            at_most,
            candidates: Vec::new(),
            off_rate: Vec::new(),
            tally: Tally::default(),
            last_rate: LastRate::default(),
            rows: 0,
        }
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// [`TooManyDifferences`] when more would have to be kept than [`Matcher::new`] was told.
    pub fn take(&mut self, row: &BillLine) -> Result<(), TooManyDifferences> {
        self.rows = self.rows.saturating_add(1);
        self.count(row);
        if !self.is_at_its_rate(row) {
            self.has_room()?;
            self.off_rate.push(row.clone());
        }
        if !self.is_same(row) {
            self.has_room()?;
            self.candidates.push(row.clone());
        }
        Ok(())
    }

    /// Ends the pass.
    ///
    /// # Errors
    /// As [`Matcher::take`].
    pub fn finish(self) -> Result<Matched, TooManyDifferences> {
        Ok(Matched {
            books: self.books,
            candidates: self.candidates,
            off_rate: self.off_rate,
            totals: self.tally.totals(),
            rows: self.rows,
        })
    }

    fn is_same(&mut self, row: &BillLine) -> bool {
        let probe = match row.kind {
            LineKind::Payment => self.books.payment(
                &row.transaction_id,
                &row.order_no,
                &row.appid,
                row.total_fen,
            ),
            LineKind::Refund => self.books.refund(
                &row.out_refund_no,
                &row.order_no,
                &row.transaction_id,
                row.requested_refund_fen,
                &row.refund_id,
            ),
            LineKind::Revoked => return false,
        };
        let Some(probe) = probe else {
            return false;
        };
        let ours = row.mchid == self.mchid && row.currency == CURRENCY;
        match self.books.look_up(&probe) {
            Found::Unknown | Found::Different => false,
            Found::Same(None) => ours,
            Found::Same(Some(state)) => ours && state.can_follow(&row.refund_state),
        }
    }

    /// A refund that failed gives no fee back.
    fn is_at_its_rate(&mut self, row: &BillLine) -> bool {
        let base_fen = match row.kind {
            LineKind::Payment => row.settlement_fen,
            LineKind::Refund if row.refund_state == "FAIL" && row.fee == 0 => return true,
            LineKind::Refund => row.refund_fen.saturating_neg(),
            LineKind::Revoked => return true,
        };
        self.last_rate
            .read(&row.rate)
            .is_some_and(|rate| is_at_rate(row.fee, base_fen, rate))
    }

    fn count(&mut self, row: &BillLine) {
        let sums = match row.kind {
            LineKind::Payment => Sums {
                payments: 1,
                payments_fen: row.total_fen,
                settlement_fen: row.settlement_fen,
                fees: row.fee,
                ..Sums::default()
            },
            LineKind::Refund => Sums {
                refunds: 1,
                refunds_fen: row.requested_refund_fen,
                refunds_settlement_fen: row.refund_fen,
                fees: row.fee,
                ..Sums::default()
            },
            LineKind::Revoked => Sums::default(),
        };
        self.tally.add(&row.trade_type, &sums);
    }

    fn has_room(&self) -> Result<(), TooManyDifferences> {
        let kept = self.candidates.len().saturating_add(self.off_rate.len());
        if kept < self.at_most {
            Ok(())
        } else {
            Err(TooManyDifferences {
                at_most: self.at_most,
            })
        }
    }
}
