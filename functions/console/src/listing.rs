//! Reading a day's differences, a bounded number at a time.

use adapters::reconciliation::{ReconciliationError, ReconciliationTable};
use futures_util::future::try_join_all;
use payments::reconcile::{day_runs::DayRuns, difference::Difference, run::BillDate};

use crate::asked::{Filter, ListAsked};

/// The most differences of a day that a page counts or a file holds. A day with more has a cause that is not found one by one.
const DAY_MAX: usize = 10_000;
/// How many are read at a time.
const PAGE: i32 = 500;
/// How often one request reads on for a page or a file: a hundred thousand differences, within the time that it has.
const DAY_READS_MAX: usize = 200;
/// How often one request reads on for a rare kind or state. Its caller goes on from there.
const READS_MAX: usize = 10;

/// Differences of a day: all, or those that are wanted.
#[derive(Default)]
pub(crate) struct Day {
    /// In the order of their ids, which begin with the kind.
    pub(crate) items: Vec<Difference>,
    /// Whether there are more of them than are held.
    pub(crate) is_cut: bool,
}

/// A piece of the list that a program asked for.
pub(crate) struct Piece {
    pub(crate) items: Vec<Difference>,
    /// Behind which id to go on, if there may be more.
    pub(crate) next: Option<String>,
}

/// The wanted differences of a day, up to a number that no page or file can hold anyway.
pub(crate) async fn day(
    table: &ReconciliationTable,
    date: BillDate,
    filter: Filter,
) -> Result<Day, ReconciliationError> {
    let (mut day, mut after) = (Day::default(), None);
    for _ in 0..DAY_READS_MAX {
        let page = table.differences(date, after.as_deref(), PAGE).await?;
        day.take(page.items, filter);
        if day.is_cut || page.next.is_none() {
            return Ok(day);
        }
        after = page.next;
    }
    day.is_cut = true;
    Ok(day)
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

/// For each day, how many of its differences need somebody. Days without a difference cost no call.
pub(crate) async fn needing_of_each(
    table: &ReconciliationTable,
    runs: &[(BillDate, DayRuns)],
) -> Result<Vec<(BillDate, usize)>, ReconciliationError> {
    let with_some = runs.iter().filter(|(_, runs)| runs.has_found_any());
    try_join_all(with_some.map(async |(date, _)| {
        let found = day(table, *date, Filter::default()).await?;
        Ok((*date, needing(&found.items)))
    }))
    .await
}

impl Day {
    /// Keeps what is wanted of a piece of the day. Only that counts towards what can be held.
    fn take(&mut self, read: Vec<Difference>, filter: Filter) {
        let wanted = read.into_iter();
        self.items
            .extend(wanted.filter(|difference| filter.takes(difference)));
        if self.items.len() > DAY_MAX {
            self.items.truncate(DAY_MAX);
            self.is_cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use payments::reconcile::difference::{About, Kind};
    use wechatpay::UnixSeconds;

    use super::*;

    fn found(kind: Kind, count: usize) -> Vec<Difference> {
        let date = BillDate::parse("2026-08-01").unwrap();
        let one = |line| {
            let about = About {
                line: Some(line),
                ..About::default()
            };
            Difference::found(date, kind, about, None, None, "r", UnixSeconds(0))
        };
        (0..u64::try_from(count).unwrap()).map(one).collect()
    }

    #[test]
    fn what_nobody_asked_for_takes_no_room() {
        let of = |kind| Filter {
            kind: Some(kind),
            ..Filter::default()
        };
        let read = |filter: Filter| {
            let mut day = Day::default();
            day.take(found(Kind::AmountDiffers, DAY_MAX), filter);
            assert!(!day.is_cut, "as many as can be held are not too many");
            day.take(found(Kind::StatusDiffers, 3), filter);
            (day.items.len(), day.is_cut)
        };
        assert_eq!(read(Filter::default()), (DAY_MAX, true));
        assert_eq!(read(of(Kind::StatusDiffers)), (3, false));
        assert_eq!(read(of(Kind::AmountDiffers)), (DAY_MAX, false));
    }
}
