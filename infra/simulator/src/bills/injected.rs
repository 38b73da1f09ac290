//! What the differences of the books do to the rows and summaries of bills.

use std::collections::BTreeMap;

use super::{
    differences::{InjectedDifference, PlantedDifference, SummaryOf},
    rows::TradeRow,
};
use crate::books::Store;

/// What is added to a summary.
#[derive(Default)]
pub(crate) struct Off {
    pub(crate) fen: i64,
    pub(crate) count: i64,
}

/// All differences, by the payment or refund that each is about.
pub(crate) struct InjectedDifferences<'a> {
    all: &'a [InjectedDifference],
    by_id: BTreeMap<&'a str, Vec<&'a PlantedDifference>>,
}

impl<'a> InjectedDifferences<'a> {
    pub(crate) fn of(books: &'a Store) -> Self {
        let all = books.differences.as_slice();
        let mut by_id: BTreeMap<&str, Vec<&PlantedDifference>> = BTreeMap::new();
        for planted in all {
            if let Some(id) = planted.id() {
                by_id.entry(id).or_default().push(&planted.difference);
            }
        }
        Self { all, by_id }
    }

    pub(crate) fn on(&self, id: &str) -> Option<&[&'a PlantedDifference]> {
        self.by_id.get(id).map(Vec::as_slice)
    }

    /// The row as the bill has it; `None` if it is left out.
    pub(crate) fn alter(&self, row: TradeRow<'a>) -> Option<TradeRow<'a>> {
        let id = match &row.refund {
            Some(part) => part.refund.refund_id.as_str(),
            None => row.transaction_id,
        };
        let differences = self.on(id).unwrap_or_default();
        differences
            .iter()
            .try_fold(row, |row, difference| row.with(difference))
    }

    pub(crate) fn summary_off(&self, date: &str, of: SummaryOf) -> Off {
        let on_the_day = self.all.iter().filter(|planted| planted.date == date);
        on_the_day.fold(Off::default(), |mut off, planted| {
            if let PlantedDifference::SummaryOff { bill, fen, count } = planted.difference
                && bill == of
            {
                let fen = fen.unwrap_or(i64::from(count == 0));
                off.fen = off.fen.saturating_add(fen);
                off.count = off.count.saturating_add(count);
            }
            off
        })
    }
}
