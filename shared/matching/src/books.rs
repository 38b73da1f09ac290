//! Our books of a day as a table of fingerprints: 16 bytes a slot, so that a million lines fit into
//! a function's memory and a bill of any size can be streamed.
//!
//! An entry only shows whether a bill row agrees with its line. The full line stays in the orders
//! table, where each candidate for a difference is read again consistently.

mod entry;
mod line;
mod refund_state;

use std::collections::BTreeMap;

use wechatpay::UnixSeconds;

use crate::fingerprint::{PartialSum, Prints};
use crate::table::Table;
use crate::totals::{OTHERS, Sums, Tally, Totals};
use entry::{BookEntry, HAS_REFUND_ID, MARKS, SEEN, SHARD_AT, STATE, STATE_AT, TAKEN, TWICE};

pub(crate) use entry::{BookMatch, Probe};
pub use line::{BookLine, ParkedLine};
pub use refund_state::BookedRefund;

/// Maximum number of lines that are inserted or looked up together.
pub(crate) const BATCH: usize = 64;

/// Result of [`DayBooks::insert`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    New,
    /// The same line was inserted already: an index that is read in pages may return a line twice.
    Again,
    /// Another line with the same number was inserted already. Any row with this number becomes a
    /// candidate.
    Twice,
    /// A number is longer than WeChat Pay allows; the line is not inserted.
    TooLong,
}

#[derive(Debug)]
pub struct DayBooks {
    prints: Box<Prints>,
    table: Table<BookEntry>,
    twice: u64,
    unseen: Box<[u64; 256]>,
    tally: Tally,
    /// Parked payments, by WeChat Pay's number of the payment: there are few of them.
    parked: BTreeMap<String, UnbookedPayment>,
    /// Refunds whose row of the bill says how they are counted: there are few of them.
    apart: BTreeMap<u64, RefundApart>,
}

/// A refund that earlier versions wrote without its product, which its bill row has; or a failed
/// refund, which counts unless its row says that it had failed already.
#[derive(Clone, Debug, Default)]
struct RefundApart {
    sums: Sums,
    trade_type: Option<&'static str>,
}

/// A payment in the books that is not its order's booked one.
#[derive(Clone, Debug)]
struct UnbookedPayment {
    order_no: String,
    at: UnixSeconds,
    sums: Sums,
    /// Its product in the bill, once a row has named it.
    in_bill: Option<String>,
    /// The product of its order.
    trade_type: Option<&'static str>,
}

impl DayBooks {
    /// Empty books with room for `lines`; they grow when there are more, which takes twice the
    /// memory for a moment. `key` must be random and new for each run.
    pub fn with_capacity(lines: usize, key: [u64; 2]) -> Self {
        Self {
            prints: Box::new(Prints::new(key)),
            table: Table::with_capacity(lines),
            twice: 0,
            unseen: Box::new([0; 256]),
            tally: Tally::default(),
            parked: BTreeMap::new(),
            apart: BTreeMap::new(),
        }
    }

    /// Inserts a line. `shard` is the part of the index that it was read from
    /// (`payments::model::next_check::shard_of`).
    pub fn insert(&mut self, line: &BookLine<'_>, shard: u8) -> Inserted {
        let Some((id, rest)) = self.line_of(line) else {
            return Inserted::TooLong;
        };
        self.enter(line, id, rest, shard)
    }

    /// Inserts some lines of one part of the index, such as a page of it, and calls `each` with the
    /// result of each. Like rows of a bill
    /// ([`Matcher::take_batch`](crate::matcher::Matcher::take_batch)), lines are inserted faster
    /// together.
    pub fn insert_batch(
        &mut self,
        lines: &[BookLine<'_>],
        shard: u8,
        mut each: impl FnMut(&BookLine<'_>, Inserted),
    ) {
        for lines in lines.chunks(BATCH) {
            let mut entries = [None; BATCH];
            for (entry, line) in entries.iter_mut().zip(lines) {
                *entry = self.line_of(line);
            }
            self.touch(entries.iter().map(|entry| entry.map(|(id, _)| id)));
            for (entry, line) in entries.iter().zip(lines) {
                let inserted = match entry {
                    Some((id, rest)) => self.enter(line, *id, *rest, shard),
                    None => Inserted::TooLong,
                };
                each(line, inserted);
            }
        }
    }

    fn enter(&mut self, line: &BookLine<'_>, id: u64, rest: u64, shard: u8) -> Inserted {
        let rest = rest | u64::from(shard) << SHARD_AT;
        if let Some(there) = self.table.insert(BookEntry { id, rest }) {
            if (there.rest ^ rest) & !(SEEN | TWICE) == 0 {
                return Inserted::Again;
            }
            there.rest |= TWICE;
            self.twice = self.twice.saturating_add(1);
            self.count(line, id);
            return Inserted::Twice;
        }
        if let Some(unseen) = self.unseen.get_mut(usize::from(shard)) {
            *unseen = unseen.saturating_add(1);
        }
        self.count(line, id);
        Inserted::New
    }

    /// Lines that no row has named so far.
    pub fn unseen(&self) -> u64 {
        self.unseen.iter().sum()
    }

    /// Those of them that were read from one part of the index.
    pub fn unseen_in(&self, shard: u8) -> u64 {
        self.unseen
            .get(usize::from(shard))
            .copied()
            .unwrap_or_default()
    }

    /// Whether no row has named this line: used in a second pass through the index, part by part.
    /// False for a line that was never inserted.
    pub fn is_unseen(&self, line: &BookLine<'_>) -> bool {
        self.id_of(line).is_some_and(|id| self.is_unseen_id(id))
    }

    /// Calls `each` for those of some lines that no row has named.
    pub fn unseen_among<'a>(&self, lines: &[BookLine<'a>], mut each: impl FnMut(&BookLine<'a>)) {
        for lines in lines.chunks(BATCH) {
            let mut ids = [None; BATCH];
            for (id, line) in ids.iter_mut().zip(lines) {
                *id = self.id_of(line);
            }
            self.touch(ids.iter().copied());
            for (id, line) in ids.iter().zip(lines) {
                if id.is_some_and(|id| self.is_unseen_id(id)) {
                    each(line);
                }
            }
        }
    }

    fn is_unseen_id(&self, id: u64) -> bool {
        let line = self.table.get(id);
        line.is_some_and(|line| line.rest & SEEN == 0)
    }

    fn id_of(&self, line: &BookLine<'_>) -> Option<u64> {
        match line {
            BookLine::Payment { transaction_id, .. } => self.prints.payment(transaction_id),
            BookLine::Refund { out_refund_no, .. } => self.prints.refund(out_refund_no),
        }
    }

    /// Number of inserted lines; lines with the same number count once.
    pub fn lines(&self) -> u64 {
        u64::try_from(self.table.len()).unwrap_or(u64::MAX)
    }

    /// Lines beyond the first of a number.
    pub fn twice(&self) -> u64 {
        self.twice
    }

    /// Counts a parked payment, once however often it is passed. It has no line: each bill row that
    /// names it is examined.
    pub fn count_parked(&mut self, line: &ParkedLine<'_>) {
        let id = line.transaction_id.to_owned();
        let known = self.parked.entry(id).or_insert_with(|| {
            let mut sums = Sums::default();
            sums.pay(line.amount_fen, 0, 0);
            UnbookedPayment {
                order_no: line.order_no.to_owned(),
                at: line.at,
                sums,
                in_bill: None,
                trade_type: None,
            }
        });
        known.trade_type = known.trade_type.or(line.trade_type);
    }

    /// Parked payments that no bill row reports as paid.
    pub fn unseen_parked(&self) -> impl Iterator<Item = ParkedLine<'_>> {
        let unseen = self.parked.iter();
        let unseen = unseen.filter(|(_, parked)| parked.in_bill.is_none());
        unseen.map(|(transaction_id, parked)| ParkedLine {
            transaction_id,
            order_no: &parked.order_no,
            amount_fen: parked.sums.payments_fen,
            at: parked.at,
            trade_type: parked.trade_type,
        })
    }

    /// Records the bill's product of a payment if that payment is parked: it is then counted under
    /// the same name as in the bill.
    pub(crate) fn name_parked(&mut self, transaction_id: &str, trade_type: &str) {
        if self.parked.is_empty() {
            return;
        }
        if let Some(parked) = self.parked.get_mut(transaction_id) {
            parked.in_bill = Some(trade_type.to_owned());
        }
    }

    /// Records the bill's product of a refund if ours has none: it is then counted under the same
    /// name as in the bill.
    #[inline]
    pub(crate) fn name_refund(&mut self, probe: &Probe, trade_type: &str) {
        if self.apart.is_empty() {
            return;
        }
        let apart = self.apart.get(&probe.id);
        if apart.is_some_and(|refund| refund.trade_type.is_none())
            && let Some(refund) = self.apart.remove(&probe.id)
            && let Some(sums) = self.tally.of(trade_type)
        {
            sums.add(&refund.sums);
        }
    }

    /// Removes a refund from the sums if it had failed when the bill was made, as the bill says
    /// too: no money was returned.
    #[cold]
    pub(crate) fn take_out_failed(&mut self, probe: &Probe) {
        self.apart.remove(&probe.id);
    }

    /// Whether a payment with this number is counted here and no bill row says that it succeeded.
    pub fn is_unseen_payment(&self, transaction_id: &str) -> bool {
        let id = self.prints.payment(transaction_id);
        let parked = self.parked.get(transaction_id);
        id.is_some_and(|id| self.is_unseen_id(id))
            || parked.is_some_and(|parked| parked.in_bill.is_none())
    }

    /// The amount counted for a parked payment, in fen; `None` if there is none with this number.
    pub fn parked_fen(&self, transaction_id: &str) -> Option<i64> {
        let parked = self.parked.get(transaction_id)?;
        Some(parked.sums.payments_fen)
    }

    /// Whether a payment with this number is among the lines.
    pub fn has_payment(&self, transaction_id: &str) -> bool {
        let id = self.prints.payment(transaction_id);
        id.is_some_and(|id| self.table.get(id).is_some())
    }

    /// Whether a refund with this number is among the lines.
    pub fn has_refund(&self, out_refund_no: &str) -> bool {
        let id = self.prints.refund(out_refund_no);
        id.is_some_and(|id| self.table.get(id).is_some())
    }

    /// Totals of the lines and parked payments, by product.
    pub fn totals(&self) -> Totals {
        let mut totals = self.tally.totals();
        for parked in self.parked.values() {
            let name = parked.in_bill.as_deref().or(parked.trade_type);
            totals.of(name.unwrap_or(OTHERS)).add(&parked.sums);
        }
        for refund in self.apart.values() {
            let name = refund.trade_type.unwrap_or(OTHERS);
            totals.of(name).add(&refund.sums);
        }
        totals
    }

    /// Brings the lines of some numbers into the cache, all at once.
    #[inline]
    pub(crate) fn touch(&self, ids: impl Iterator<Item = Option<u64>>) {
        let mut homes = [0; BATCH];
        for (home, id) in homes.iter_mut().zip(ids) {
            *home = id.map_or(0, |id| self.table.home(id));
        }
        self.table.touch(&homes);
    }

    /// Looks a row up and marks its line as seen.
    #[inline]
    pub(crate) fn look_up(&mut self, probe: &Probe) -> BookMatch {
        let Some(line) = self.table.get_mut(probe.id) else {
            return BookMatch::Unknown;
        };
        let agree = if line.rest & HAS_REFUND_ID == 0 {
            probe.agree
        } else {
            probe.agree.and(probe.refund_id)
        };
        let same = (self.prints.cut(agree) ^ line.rest) & !MARKS == 0;
        let fresh = line.rest & (SEEN | TWICE) == 0;
        let again = same && line.rest & (SEEN | TWICE) == SEEN;
        if line.rest & SEEN == 0 {
            line.rest |= SEEN;
            if let Some(unseen) = self.unseen.get_mut(line.shard()) {
                *unseen = unseen.saturating_sub(1);
            }
        }
        if same && fresh {
            BookMatch::Same(BookedRefund::coded((line.rest & STATE) >> STATE_AT))
        } else if again {
            BookMatch::Again
        } else {
            BookMatch::Different
        }
    }

    /// The keys of a payment row; `None` if one of its texts is longer than any of ours.
    #[inline]
    pub(crate) fn payment(
        &self,
        transaction_id: &str,
        order_no: &str,
        appid: &str,
        amount_fen: i64,
    ) -> Option<Probe> {
        let agree = self.prints.of_payment(order_no, appid, amount_fen)?;
        let id = self.prints.payment(transaction_id)?;
        Some(Probe::new(id, agree, PartialSum::default()))
    }

    /// The keys of a refund row.
    #[inline]
    pub(crate) fn refund(
        &self,
        out_refund_no: &str,
        order_no: &str,
        transaction_id: &str,
        amount_fen: i64,
        refund_id: &str,
    ) -> Option<Probe> {
        let agree = self
            .prints
            .of_refund(order_no, transaction_id, amount_fen)?;
        let id = self.prints.refund(out_refund_no)?;
        Some(Probe::new(id, agree, self.prints.refund_id(refund_id)?))
    }

    fn line_of(&self, line: &BookLine<'_>) -> Option<(u64, u64)> {
        match *line {
            BookLine::Payment {
                transaction_id,
                order_no,
                amount_fen,
                appid,
                trade_type: _,
            } => {
                let probe = self.payment(transaction_id, order_no, appid, amount_fen)?;
                Some((probe.id, (self.prints.cut(probe.agree) & !MARKS) | TAKEN))
            }
            BookLine::Refund {
                out_refund_no,
                refund_id,
                transaction_id,
                order_no,
                amount_fen,
                state,
                trade_type: _,
            } => {
                let probe = self.refund(
                    out_refund_no,
                    order_no,
                    transaction_id,
                    amount_fen,
                    refund_id.unwrap_or_default(),
                )?;
                let (agree, mark) = match refund_id {
                    Some(_) => (probe.agree.and(probe.refund_id), HAS_REFUND_ID),
                    None => (probe.agree, 0),
                };
                let marks = TAKEN | mark | state.code() << STATE_AT;
                Some((probe.id, (self.prints.cut(agree) & !MARKS) | marks))
            }
        }
    }

    fn count(&mut self, line: &BookLine<'_>, id: u64) {
        match *line {
            BookLine::Payment {
                amount_fen,
                trade_type,
                ..
            } => {
                if let Some(sums) = self.tally.of(trade_type) {
                    sums.pay(amount_fen, 0, 0);
                }
            }
            BookLine::Refund {
                amount_fen,
                trade_type,
                state,
                ..
            } => {
                let sums = match trade_type {
                    Some(trade_type) if state != BookedRefund::Closed => self.tally.of(trade_type),
                    Some(_) | None => {
                        let apart = self.apart.entry(id).or_default();
                        apart.trade_type = apart.trade_type.or(trade_type);
                        Some(&mut apart.sums)
                    }
                };
                if let Some(sums) = sums {
                    sums.refund(amount_fen, 0, 0);
                }
            }
        }
    }
}
