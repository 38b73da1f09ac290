//! Matches the rows of a trade bill with the books of the day.

use std::slice;

use wechatpay::bill::{TradeKind, TradeRow};

use crate::{
    bill_line::{BillLine, FAILED},
    books::{BATCH, BookMatch, DayBooks, Probe},
    fee::LastRate,
    short::eq_short,
    totals::{Tally, Totals},
};

/// The one currency that this merchant is paid in.
pub const CURRENCY: &str = "CNY";

/// Rows or movements that are kept, with the number and sum of those beyond the limit.
#[derive(Debug)]
pub struct Bounded<T> {
    /// The first ones, as many as there was room for.
    pub kept: Vec<T>,
    /// The others.
    pub more: Overflow,
    room: usize,
}

/// How many there were beyond those that are kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Overflow {
    pub count: u64,
    /// Their sum, in fen.
    pub amount_fen: i64,
}

impl Overflow {
    /// One more.
    pub fn add(&mut self, amount_fen: i64) {
        self.count = self.count.saturating_add(1);
        self.amount_fen = self.amount_fen.saturating_add(amount_fen);
    }
}

impl<T> Bounded<T> {
    pub(crate) fn with_room(room: usize) -> Self {
        Self {
            kept: Vec::new(),
            more: Overflow::default(),
            room,
        }
    }

    pub(crate) fn push(&mut self, amount_fen: i64, one: impl FnOnce() -> T) {
        if self.kept.len() < self.room {
            self.kept.push(one());
        } else {
            self.more.add(amount_fen);
        }
    }
}

/// Result of a pass over the bill.
#[derive(Debug)]
pub struct Matched {
    /// The books, with marks at all lines that a row named. The others are absent from the bill.
    pub books: DayBooks,
    /// Rows that are unknown to the books, differ from them, or came twice, and reversals. They
    /// must be confirmed by a consistent read: the index may lag behind.
    pub candidates: Bounded<BillLine>,
    /// Rows that repeat an earlier row. They are also among the candidates.
    pub repeated: Bounded<BillLine>,
    /// Rows whose fee does not match their own rate. They may also be among the candidates, and do
    /// not use up their room.
    pub off_rate: Bounded<BillLine>,
    /// Totals of the rows, by 交易类型, without reversals and refunds that failed.
    pub totals: Totals,
    /// How many rows there were.
    pub rows: u64,
}

/// A pass over the bill in progress.
#[derive(Debug)]
pub struct Matcher {
    books: DayBooks,
    mchid: String,
    candidates: Bounded<BillLine>,
    repeated: Bounded<BillLine>,
    off_rate: Bounded<BillLine>,
    tally: Tally,
    last_rate: LastRate,
    rows: u64,
}

impl Matcher {
    /// Starts a pass. Rows of another merchant than `mchid` are differences. Up to `room`
    /// candidates, repeated rows and rows off the rate are kept each; more are only counted.
    pub fn new(books: DayBooks, mchid: impl Into<String>, room: usize) -> Self {
        Self {
            books,
            mchid: mchid.into(),
            candidates: Bounded::with_room(room),
            repeated: Bounded::with_room(room),
            off_rate: Bounded::with_room(room),
            tally: Tally::default(),
            last_rate: LastRate::default(),
            rows: 0,
        }
    }

    /// Takes the next row.
    pub fn take(&mut self, row: &TradeRow<'_>) {
        self.take_batch(slice::from_ref(row));
    }

    /// Takes the next rows. Each is at another place in the books, so a processor would wait for
    /// the memory at each one: with several rows at a time
    /// ([`feed_batches`](wechatpay::bill::TradeBillReader::feed_batches)) it waits for all of them
    /// together.
    pub fn take_batch(&mut self, rows: &[TradeRow<'_>]) {
        for rows in rows.chunks(BATCH) {
            let mut probes = [None; BATCH];
            for (probe, row) in probes.iter_mut().zip(rows) {
                *probe = self.probe(row);
            }
            let ids = probes.iter().map(|probe| probe.map(|Probe { id, .. }| id));
            self.books.touch(ids);
            for (probe, row) in probes.iter().zip(rows) {
                self.match_row(row, probe.as_ref());
            }
        }
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

    /// The keys of a row; `None` if the books cannot have it.
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
    fn match_row(&mut self, row: &TradeRow<'_>, probe: Option<&Probe>) {
        self.count(row);
        let found = probe.map_or(BookMatch::Unknown, |probe| self.books.look_up(probe));
        let fits = match found {
            BookMatch::Unknown => {
                if row.kind == TradeKind::Payment {
                    self.books
                        .name_parked(row.transaction_id(), row.trade_type());
                }
                false
            }
            BookMatch::Different => false,
            BookMatch::Again => {
                self.repeated.push(amount_fen(row), || row.into());
                false
            }
            BookMatch::Same(None) => true,
            BookMatch::Same(Some(state)) => state.can_follow(row.refund_state()),
        };
        let agrees = fits && eq_short(row.mchid(), &self.mchid) && row.currency() == CURRENCY;
        if !agrees {
            self.candidates.push(amount_fen(row), || row.into());
        }
        if let (TradeKind::Refund, Some(probe)) = (row.kind, probe) {
            if agrees && row.refund_state() == FAILED {
                self.books.take_out_failed(probe);
            } else {
                self.books.name_refund(probe, row.trade_type());
            }
        }
        if !self.last_rate.is_kept_by(row) {
            self.off_rate.push(amount_fen(row), || row.into());
        }
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
            // No money went back by it.
            TradeKind::Refund if row.refund_state() == FAILED => {}
            TradeKind::Refund => sums.refund(row.requested_refund_fen, row.refund_fen, fee),
            // The manual does not define its amounts: a person must check each.
            TradeKind::Revoked => {}
        }
    }
}

/// The amount of a row, in fen.
fn amount_fen(row: &TradeRow<'_>) -> i64 {
    match row.kind {
        TradeKind::Payment | TradeKind::Revoked => row.total_fen,
        TradeKind::Refund => row.requested_refund_fen,
    }
}
