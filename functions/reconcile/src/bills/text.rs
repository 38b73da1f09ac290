//! A bill's text -> its rows, counted.

use std::slice;

use wechatpay::bill::{BillError, FundBillReader, FundRow, TradeBillReader, TradeRow};

/// What a bill's text is handed to.
pub(super) trait BillText {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError>;
    /// Ends the text; its number of rows, and what is wrong with it.
    fn finish(self) -> (u64, Result<(), BillError>);
}

/// The text of a trade bill, some rows at a time.
pub(super) struct TradeText<F> {
    reader: TradeBillReader,
    each: F,
    rows: u64,
}

/// The text of a fund bill, row by row.
pub(super) struct FundText<F> {
    reader: FundBillReader,
    each: F,
    rows: u64,
}

impl<F> TradeText<F> {
    pub(super) fn new(each: F) -> Self {
        Self {
            reader: TradeBillReader::new(),
            each,
            rows: 0,
        }
    }
}

impl<F> FundText<F> {
    pub(super) fn new(each: F) -> Self {
        Self {
            reader: FundBillReader::new(),
            each,
            rows: 0,
        }
    }
}

impl<F: FnMut(&[TradeRow<'_>])> BillText for TradeText<F> {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError> {
        let (each, rows) = (&mut self.each, &mut self.rows);
        self.reader
            .feed_batches(text, &mut |some: &[TradeRow<'_>]| {
                *rows = rows.saturating_add(u64::try_from(some.len()).unwrap_or(u64::MAX));
                each(some);
            })
    }

    fn finish(mut self) -> (u64, Result<(), BillError>) {
        let (each, rows) = (&mut self.each, &mut self.rows);
        let read = self.reader.finish(&mut |row: &TradeRow<'_>| {
            *rows = rows.saturating_add(1);
            each(slice::from_ref(row));
        });
        (self.rows, read.map(|_| ()))
    }
}

impl<F: FnMut(&FundRow<'_>)> BillText for FundText<F> {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError> {
        let (each, rows) = (&mut self.each, &mut self.rows);
        self.reader.feed(text, &mut |row: &FundRow<'_>| {
            *rows = rows.saturating_add(1);
            each(row);
        })
    }

    fn finish(mut self) -> (u64, Result<(), BillError>) {
        let (each, rows) = (&mut self.each, &mut self.rows);
        let read = self.reader.finish(&mut |row: &FundRow<'_>| {
            *rows = rows.saturating_add(1);
            each(row);
        });
        (self.rows, read.map(|_| ()))
    }
}
