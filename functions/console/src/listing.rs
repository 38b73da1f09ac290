//! Reading a day's differences, a bounded number at a time.

use adapters::reconciliation::{ReconciliationError, ReconciliationTable};
use futures_util::future::try_join_all;
use payments::reconcile::{
    difference::Difference,
    run::{BillDate, Run},
};

use crate::asked::{Filter, ListAsked};

/// The most differences of a day that a page counts or a file holds. A day with more has a cause that is not found one by one.
const DAY_MAX: usize = 10_000;
/// How many are read at a time.
const PAGE: i32 = 500;
/// How often one request reads on for a rare kind or state. Its caller goes on from there.
const READS_MAX: usize = 10;

/// The differences of a day.
pub(crate) struct Day {
    /// In the order of their ids, which begin with the kind.
    pub(crate) items: Vec<Difference>,
    /// Whether there are more than are read.
    pub(crate) is_cut: bool,
}

/// A piece of the list that a program asked for.
pub(crate) struct Piece {
    pub(crate) items: Vec<Difference>,
    /// Behind which id to go on, if there may be more.
    pub(crate) next: Option<String>,
}

/// All differences of a day, up to a number that no page or file can hold anyway.
pub(crate) async fn day(
    table: &ReconciliationTable,
    date: BillDate,
) -> Result<Day, ReconciliationError> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = table.differences(date, after.as_deref(), PAGE).await?;
        items.extend(page.items);
        let is_cut = items.len() >= DAY_MAX && page.next.is_some();
        if is_cut || page.next.is_none() {
            return Ok(Day { items, is_cut });
        }
        after = page.next;
    }
}

/// So many of the differences that are wanted, from where the last piece ended.
pub(crate) async fn piece(
    table: &ReconciliationTable,
    date: BillDate,
    asked: &ListAsked,
) -> Result<Piece, ReconciliationError> {
    let (mut items, mut next) = (Vec::new(), asked.after.clone());
    for _ in 0..READS_MAX {
        let page = table.differences(date, next.as_deref(), PAGE).await?;
        next = page.next;
        let wanted = page.items.into_iter();
        items.extend(wanted.filter(|difference| asked.filter.takes(difference)));
        if items.len() > asked.limit {
            items.truncate(asked.limit);
            next = items.last().map(|last: &Difference| last.id.clone());
        }
        if next.is_none() || items.len() == asked.limit {
            break;
        }
    }
    Ok(Piece { items, next })
}

/// How many of a day's differences need somebody.
pub(crate) fn needing(items: &[Difference]) -> usize {
    let needing = items.iter().filter(|one| one.state.needs_somebody());
    needing.count()
}

/// For each run, how many of its day's differences need somebody. Days without a difference cost no call.
pub(crate) async fn needing_of_each(
    table: &ReconciliationTable,
    runs: &[Run],
) -> Result<Vec<(BillDate, usize)>, ReconciliationError> {
    let with_some = runs
        .iter()
        .filter(|run| run.differences().values().any(|count| *count > 0));
    try_join_all(with_some.map(async |run| {
        let found = day(table, run.date).await?;
        Ok((run.date, needing(&found.items)))
    }))
    .await
}

impl Day {
    /// Only those that are wanted.
    pub(crate) fn filtered(self, filter: Filter) -> Self {
        Self {
            items: self
                .items
                .into_iter()
                .filter(|difference| filter.takes(difference))
                .collect(),
            ..self
        }
    }
}
