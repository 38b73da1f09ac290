//! Candidates -> each order read consistently -> what differs.

mod records;
mod trades;

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use matching::{books::ParkedLine, matcher::Matched, totals::OTHERS};
use payments::reconcile::{
    carried::CarriedTrade,
    classify::{
        Classification, about_row, classify_row, counted_fen, identity_of_row, side_of_row,
    },
    difference::DifferenceKind,
};
use stores::order_table::day_index::DayLine;

use crate::{
    app::App,
    day_index::{DayIndex, book_line},
    day_part::DayPart,
    error::DayError,
    finding::Findings,
    last_minutes::LastMinutes,
    trade_identity::{about_trade, kind_of, number_of, number_of_trade},
};
use records::{AbsentTrade, Records};
use trades::{product_of, trade_of, trade_of_parked};

/// How many orders are read at once.
const SIDE_BY_SIDE: usize = 16;

/// One run reads at most this many lines again that the bill lacks; the rest are only counted.
const LINES_MAX: usize = 100_000;

/// Confirms what a part's bill and books do not agree about, and gathers what differs.
pub(crate) struct Confirmer<'a> {
    app: &'a App,
    records: Records<'a>,
    part: DayPart,
    matched: &'a Matched,
    finding: Findings,
}

impl<'a> Confirmer<'a> {
    /// Adds to what was found already.
    pub(crate) const fn new(
        app: &'a App,
        part: DayPart,
        matched: &'a Matched,
        finding: Findings,
    ) -> Self {
        let records = Records::new(app, finding.date);
        Self {
            app,
            records,
            part,
            matched,
            finding,
        }
    }

    /// All that was found.
    pub(crate) fn finish(self) -> Findings {
        self.finding
    }

    /// Confirms rows of the bill, and adds what it says itself: rows that it has twice, and fees
    /// off their own rate.
    pub(crate) async fn rows(&mut self) -> Result<(), DayError> {
        self.candidates().await?;
        let matched = self.matched;
        let unchecked = matched.candidates.more;
        self.finding.more(DifferenceKind::UncheckedRows, unchecked);
        // A row that the bill has twice is a candidate as well, and counted as that.
        self.finding.repeated(&matched.repeated.kept);
        self.finding.off_rate(&matched.off_rate.kept);
        let off_rate = matched.off_rate.more;
        self.finding.more(DifferenceKind::FeeOffTheRate, off_rate);
        Ok(())
    }

    /// Confirms rows that the books did not agree with. The effect on the sums of rows that the
    /// bill has twice is in [`Findings::repeated`].
    async fn candidates(&mut self) -> Result<(), DayError> {
        let matched = self.matched;
        let repeated = matched.repeated.kept.iter();
        let repeated: BTreeSet<u64> = repeated.map(|row| row.line).collect();
        let (records, books, mchid) = (self.records, &matched.books, self.app.mchid.as_str());
        let mut classified = stream::iter(&matched.candidates.kept)
            .map(|row| async move {
                let read = records.of_row(row).await?;
                let counted_fen = counted_fen(row, &read, books);
                Ok::<_, DayError>((row, counted_fen, classify_row(row, mchid, &read)))
            })
            .buffered(SIDE_BY_SIDE);
        while let Some((row, counted_fen, classification)) = classified.try_next().await? {
            let number = number_of(kind_of(row.kind), &row.transaction_id, &row.out_refund_no);
            let gap =
                self.finding
                    .gap_of_row(row, &number, counted_fen, repeated.contains(&row.line));
            self.finding.named.insert(number);
            match classification {
                Classification::Differs(kind, here) => {
                    let there = if kind == DifferenceKind::IdentityDiffers {
                        identity_of_row(row)
                    } else {
                        side_of_row(row)
                    };
                    let sides = (Some(there), here);
                    self.finding
                        .add_with_gap(kind, about_row(row), sides, (&row.trade_type, gap));
                }
                Classification::Agrees => {}
            }
        }
        Ok(())
    }

    /// Lines of our books and parked payments that no row named. `before` is what the previous
    /// day's bill had in its last minutes.
    pub(crate) async fn absent(&mut self, before: &LastMinutes) -> Result<(), DayError> {
        let (records, index) = (self.records, DayIndex::new(self.app, self.finding.date));
        let books = &self.matched.books;
        let mut room = LINES_MAX;
        for shard in self
            .part
            .shards()
            .filter(|shard| books.unseen_in(*shard) > 0)
        {
            let mut from = None;
            loop {
                let (_, page) = index.page(shard, from).await?;
                let unseen = page.lines.iter().filter(|line| {
                    book_line(line).is_some_and(|entered| books.is_unseen(&entered))
                });
                let unseen: Vec<&DayLine> = unseen.collect();
                let confirmed = room.min(unseen.len());
                room = room.saturating_sub(confirmed);
                for line in unseen.iter().skip(confirmed) {
                    if let Some((trade, kind)) = trade_of(line) {
                        self.finding
                            .absent_unread(trade, product_of(line), kind, before);
                    }
                }
                let mut classified = stream::iter(unseen.into_iter().take(confirmed))
                    .map(|line| records.absent_line(line))
                    .buffered(SIDE_BY_SIDE);
                while let Some(classified) = classified.try_next().await? {
                    if let Some(absent) = classified {
                        let AbsentTrade {
                            trade,
                            product,
                            classified,
                        } = absent;
                        self.finding.absent(trade, product, classified, before);
                    }
                }
                match page.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        self.absent_parked(room, before).await
    }

    /// Parked payments that no row names: WeChat Pay reported them, so the day's bill must have
    /// them like booked payments. Up to `room` of them are read again.
    async fn absent_parked(&mut self, room: usize, before: &LastMinutes) -> Result<(), DayError> {
        let product_of = |parked: &ParkedLine<'_>| parked.trade_type.unwrap_or(OTHERS);
        for parked in self.matched.books.unseen_parked().skip(room) {
            let kind = DifferenceKind::PaidHereAbsentThere;
            self.finding
                .absent_unread(trade_of_parked(&parked), product_of(&parked), kind, before);
        }
        let records = self.records;
        let mut classified = stream::iter(self.matched.books.unseen_parked().take(room))
            .map(|parked| async move {
                let classified = records
                    .parked_payment(parked.order_no, parked.transaction_id)
                    .await?;
                Ok::<_, DayError>((parked, classified))
            })
            .buffered(SIDE_BY_SIDE);
        while let Some((parked, classified)) = classified.try_next().await? {
            if let Some(classified) = classified {
                let trade = trade_of_parked(&parked);
                self.finding
                    .absent(trade, product_of(&parked), classified, before);
            }
        }
        Ok(())
    }

    /// Trades that the day before left open: they are in this day's bill or in none.
    pub(crate) async fn carried(&mut self, carried: &[CarriedTrade]) -> Result<(), DayError> {
        for carried in carried {
            if !self.part.has(&carried.trade.order_no) {
                continue;
            }
            let trade = &carried.trade;
            if !self.finding.named.contains(&number_of_trade(trade)) {
                // It may be among the rows that were only counted: it waits for a run that examines
                // them.
                if self.finding.has_unchecked_rows() {
                    continue;
                }
                let classified = self.records.still_absent(trade).await?;
                if let Some((kind, here)) = classified {
                    self.finding.add(kind, about_trade(trade), None, Some(here));
                }
            }
            if !carried.settled {
                self.app
                    .reconciliations
                    .settle_carried(carried.date, &carried.id)
                    .await?;
            }
        }
        Ok(())
    }
}
