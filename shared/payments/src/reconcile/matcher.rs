//! Lays the rows of a trade bill against the books of the day.

use std::slice;

use wechatpay::bill::{TradeKind, TradeRow};

use crate::reconcile::{
    bill_line::BillLine,
    books::{BATCH, DayBooks, Found, Probe},
    fee::LastRate,
    short::same,
    totals::{Tally, Totals},
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
    /// Rows that say again what a row before them said. They are among the candidates as well.
    pub repeated: Vec<BillLine>,
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
    repeated: Vec<BillLine>,
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
            repeated: Vec::new(),
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
    pub fn take(&mut self, row: &TradeRow<'_>) -> Result<(), TooManyDifferences> {
        self.take_batch(slice::from_ref(row))
    }

    /// Takes the next rows. Each is somewhere else in the books, so that a processor would wait for the memory at each: with
    /// some rows at a time ([`feed_batches`](wechatpay::bill::TradeBillReader::feed_batches)) it waits for all of them
    /// together.
    ///
    /// # Errors
    /// As [`Matcher::take`].
    pub fn take_batch(&mut self, rows: &[TradeRow<'_>]) -> Result<(), TooManyDifferences> {
        for rows in rows.chunks(BATCH) {
            let mut probes = [None; BATCH];
            for (probe, row) in probes.iter_mut().zip(rows) {
                *probe = self.probe(row);
            }
            let ids = probes.iter().map(|probe| probe.map(|Probe { id, .. }| id));
            self.books.touch(ids);
            for (probe, row) in probes.iter().zip(rows) {
                self.judge(row, probe.as_ref())?;
            }
        }
        Ok(())
    }

    /// Ends the pass.
    pub fn finish(self) -> Matched {
        Matched {
            books: self.books,
            candidates: self.candidates,
            repeated: self.repeated,
            off_rate: self.off_rate,
            totals: self.tally.totals(),
            rows: self.rows,
        }
    }

    /// What a row is looked up by; `None` when the books cannot have it.
    #[inline]
    fn probe(&self, row: &TradeRow<'_>) -> Option<Probe> {
        match row.kind {
            TradeKind::Payment => self.books.payment(
                row.transaction_id(),
                row.out_trade_no(),
                row.appid(),
                row.total_fen,
            ),
            TradeKind::Refund => self.books.refund(
                row.out_refund_no(),
                row.out_trade_no(),
                row.transaction_id(),
                row.requested_refund_fen,
                row.refund_id(),
            ),
            TradeKind::Revoked => None,
        }
    }

    #[inline]
    fn judge(
        &mut self,
        row: &TradeRow<'_>,
        probe: Option<&Probe>,
    ) -> Result<(), TooManyDifferences> {
        self.count(row);
        let found = probe.map_or(Found::Unknown, |probe| self.books.look_up(probe));
        let fits = match found {
            Found::Unknown | Found::Different => false,
            Found::Again => {
                self.has_room()?;
                self.repeated.push(row.into());
                false
            }
            Found::Same(None) => true,
            Found::Same(Some(state)) => state.can_follow(row.refund_state()),
        };
        if !fits || !same(row.mchid(), &self.mchid) || row.currency() != CURRENCY {
            self.has_room()?;
            self.candidates.push(row.into());
        }
        if !self.last_rate.is_kept_by(row) {
            self.has_room()?;
            self.off_rate.push(row.into());
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self, row: &TradeRow<'_>) {
        self.rows = self.rows.saturating_add(1);
        let Some(sums) = self.tally.of(row.trade_type()) else {
            return;
        };
        let fee = row.fee.units();
        match row.kind {
            TradeKind::Payment => sums.pay(row.total_fen, row.settlement_fen, fee),
            TradeKind::Refund => sums.refund(row.requested_refund_fen, row.refund_fen, fee),
            // Which of its amounts say what, the manual leaves open: a person looks at each.
            TradeKind::Revoked => {}
        }
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
