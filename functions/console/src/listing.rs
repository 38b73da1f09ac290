//! Reads a day's differences in bounded steps: each is counted as it is read, and only as many are
//! kept as a page shows. So a Lambda function of 256 MB can show days of any size.

use flows::problem::ErrorChain;
use futures_util::{StreamExt, TryStreamExt, stream};
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        day_runs::DayRuns,
        difference::{Difference, DifferenceKind, DifferenceState},
        run::Run,
    },
};
use stores::reconciliation::{DifferenceCount, ReconciliationError, ReconciliationTable};
use tracing::warn;

use crate::{
    breakdown::Breakdown,
    csv,
    day_listing::{DayListing, FILE_MAX},
    input::{Filter, ListQuery, STATES},
};

/// How many are read at a time; DynamoDB gives a megabyte at most.
const PAGE: i32 = 500;
/// How often one request reads on for a page: thirty thousand differences, within the time that it
/// has. A day with more has a cause that is not found one by one.
const DAY_READS_MAX: usize = 60;
/// How often one request reads on for a file.
const FILE_READS_MAX: usize = 60;
/// How often one request reads on for a rare kind or state. Its caller goes on from there.
const READS_MAX: usize = 10;
/// Maximum number of a run's differences that its sums treat one by one.
const GAPS_MAX: usize = 50_000;
/// How many days are counted at once, and how many megabytes of each are read.
const DAYS_AT_ONCE: usize = 6;
const COUNT_PAGES_MAX: usize = 20;

/// A piece of the list that a program asked for.
pub(crate) struct ListPage {
    pub(crate) items: Vec<Difference>,
    /// Behind which id to go on, if there may be more.
    pub(crate) next: Option<String>,
}

/// How far one request reads.
#[derive(Clone, Copy)]
struct Reads {
    /// How many differences are read at a time.
    page: i32,
    /// How often it reads on.
    at_most: usize,
}

impl Reads {
    /// A day's page and its numbers in the API.
    const OF_A_DAY: Self = Self {
        page: PAGE,
        at_most: DAY_READS_MAX,
    };
}

/// A day's differences, counted, and of those that are wanted as many as a page shows. `run` is the
/// run that the day is shown by.
pub(crate) async fn day(
    table: &ReconciliationTable,
    date: BillDate,
    run: Option<&Run>,
    filter: Filter,
) -> Result<DayListing, ReconciliationError> {
    day_within(table, date, run, filter, Reads::OF_A_DAY).await
}

async fn day_within(
    table: &ReconciliationTable,
    date: BillDate,
    run: Option<&Run>,
    filter: Filter,
    reads: Reads,
) -> Result<DayListing, ReconciliationError> {
    let mut day = DayListing::default();
    if let Some(run) = run {
        let gaps = table.gaps(run, GAPS_MAX).await?;
        day.breakdown = Breakdown::begin(run, gaps);
        left_to_next_day(table, run, reads, &mut day.breakdown).await?;
    }
    let mut after = None;
    for _ in 0..reads.at_most {
        let page = table
            .readable_differences(date, after.as_deref(), reads.page)
            .await?;
        log_unreadable(date, &page.unreadable);
        day.unreadable = day.unreadable.saturating_add(page.unreadable.len());
        for one in page.items {
            day.count(&one);
            day.breakdown.take(&one);
            if filter.kind.is_none() {
                day.hold(one, filter);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    day.is_cut = after.is_some();
    if day.unreadable > 0 {
        day.breakdown.misses_one();
    }
    if let Some(kind) = filter.kind {
        of_kind(table, date, kind, filter, reads, &mut day).await?;
    }
    Ok(day)
}

fn log_unreadable(date: BillDate, unreadable: &[ReconciliationError]) {
    for error in unreadable {
        warn!(%date, error = %ErrorChain(error), "a day is shown without a difference that cannot be read");
    }
}

/// The results of trades that the run left to the next day's bill: those that are absent there too
/// are differences of that day. A run that left none costs no call.
async fn left_to_next_day(
    table: &ReconciliationTable,
    run: &Run,
    reads: Reads,
    breakdown: &mut Breakdown,
) -> Result<(), ReconciliationError> {
    if !run.has_left_any() {
        return Ok(());
    }
    let Some(left) = table.left(run, GAPS_MAX).await? else {
        breakdown.is_unknown();
        return Ok(());
    };
    breakdown.leave(left);
    let date = run.date.plus_days(1);
    let absent_there = DifferenceKind::ALL.into_iter();
    for kind in absent_there.filter(|kind| kind.only_here().is_some()) {
        let mut many = Vec::new();
        let read = each_of_kind(table, date, kind, reads, |one| {
            if one.aggregate.is_some() {
                many.push(one);
            } else {
                breakdown.take_of_next_day(&one);
            }
        });
        let read = read.await?;
        if !read.is_all {
            breakdown.is_unknown();
        }
        if !read.is_readable {
            breakdown.misses_one_of_next_day();
        }
        // A trade that is listed individually is not part of an aggregate.
        breakdown.take_aggregates_of_next_day(&many);
    }
    Ok(())
}

/// Reads the requested ones of a kind, however many others the day has: ids start with the kind, so
/// they are stored together.
async fn of_kind(
    table: &ReconciliationTable,
    date: BillDate,
    kind: DifferenceKind,
    filter: Filter,
    reads: Reads,
    day: &mut DayListing,
) -> Result<(), ReconciliationError> {
    day.forget_count(kind);
    each_of_kind(table, date, kind, reads, |one| {
        day.count(&one);
        day.hold(one, filter);
    })
    .await?;
    Ok(())
}

/// How much of a kind was read.
#[derive(Clone, Copy)]
struct KindRead {
    /// Whether there are no more than were counted.
    is_all: bool,
    /// Whether each item can be read, those beside the kind's too: its kind is not known.
    is_readable: bool,
}

/// Reads those of a kind.
async fn each_of_kind(
    table: &ReconciliationTable,
    date: BillDate,
    kind: DifferenceKind,
    reads: Reads,
    mut each: impl FnMut(Difference),
) -> Result<KindRead, ReconciliationError> {
    let (mut after, mut is_readable) = (Some(of_kind_from(kind)), true);
    let read = |is_all, is_readable| KindRead {
        is_all,
        is_readable,
    };
    for _ in 0..reads.at_most {
        let page = table
            .readable_differences(date, after.as_deref(), reads.page)
            .await?;
        log_unreadable(date, &page.unreadable);
        is_readable = is_readable && page.unreadable.is_empty();
        let found = page.items.len();
        let of_kind = page.items.into_iter().take_while(|one| one.kind == kind);
        let mut count = 0_usize;
        for one in of_kind {
            count = count.saturating_add(1);
            each(one);
        }
        if count < found || page.next.is_none() {
            return Ok(read(true, is_readable));
        }
        after = page.next;
    }
    Ok(read(false, is_readable))
}

/// The file with the differences that are wanted; `None` where they are more than one holds.
pub(crate) async fn file(
    table: &ReconciliationTable,
    date: BillDate,
    filter: Filter,
) -> Result<Option<String>, ReconciliationError> {
    let (mut file, mut count) = (csv::CsvFile::begin(), 0_usize);
    // Ids of a kind share its name as their prefix.
    let mut after = filter.kind.map(of_kind_from);
    for _ in 0..FILE_READS_MAX {
        let page = table.differences(date, after.as_deref(), PAGE).await?;
        for one in page.items.iter().filter(|one| filter.takes(one)) {
            count = count.saturating_add(1);
            if count > FILE_MAX || !file.push(one) {
                return Ok(None);
            }
        }
        let is_over = match filter.kind {
            Some(kind) => page.items.last().is_some_and(|last| last.kind != kind),
            None => false,
        };
        if is_over || page.next.is_none() {
            return Ok(Some(file.finish()));
        }
        after = page.next;
    }
    Ok(None)
}

/// The prefix of the ids of a kind.
fn of_kind_from(kind: DifferenceKind) -> String {
    kind.name().replace('_', "-")
}

/// At most this many of the wanted differences, from where the last piece ended.
pub(crate) async fn piece(
    table: &ReconciliationTable,
    date: BillDate,
    asked: &ListQuery,
) -> Result<ListPage, ReconciliationError> {
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
    Ok(ListPage { items, next })
}

/// For each day the number of differences that need an operator. They are counted in the table,
/// several days at a time; days without a difference cost no call.
pub(crate) async fn needing_of_each(
    table: &ReconciliationTable,
    runs: &[(BillDate, DayRuns)],
) -> Result<Vec<(BillDate, DifferenceCount)>, ReconciliationError> {
    let needing: Vec<DifferenceState> = STATES
        .into_iter()
        .filter(|state| state.needs_action())
        .collect();
    let with_some: Vec<BillDate> = runs
        .iter()
        .filter(|(_, runs)| runs.has_found_any())
        .map(|(date, _)| *date)
        .collect();
    stream::iter(with_some)
        .map(|date| {
            let needing = &needing;
            async move { Ok((date, table.count_in(date, needing, COUNT_PAGES_MAX).await?)) }
        })
        .buffered(DAYS_AT_ONCE)
        .try_collect()
        .await
}

#[cfg(test)]
mod tests;
