//! Reads a day's differences in bounded steps: each is counted as it is read, and only as many are
//! kept as a page shows. So a Lambda function of 256 MB can show days of any size.

use std::collections::BTreeMap;

use adapters::reconciliation::{DifferenceCount, ReconciliationError, ReconciliationTable};
use futures_util::{StreamExt, TryStreamExt, stream};
use payments::reconcile::{
    day_runs::DayRuns,
    difference::{Difference, DifferenceKind, DifferenceState},
    run::{BillDate, Run},
};

use crate::{
    breakdown::Breakdown,
    csv,
    input::{Filter, ListQuery, STATES},
};

/// How many of a kind are kept and shown if all kinds are shown.
pub(crate) const OF_EACH_KIND: usize = 50;
/// How many are of a kind that was chosen.
pub(crate) const OF_ONE_KIND: usize = 500;
/// How many are read at a time; DynamoDB gives a megabyte at most.
const PAGE: i32 = 500;
/// How often one request reads on for a page: thirty thousand differences, within the time that it
/// has. A day with more has a cause that is not found one by one.
const DAY_READS_MAX: usize = 60;
/// How often one request reads on for a file.
const FILE_READS_MAX: usize = 60;
/// The most differences that a file holds: of some 460 bytes each, below what an answer may be.
const FILE_MAX: usize = 8_000;
/// How often one request reads further pages for a rare kind or state. The caller continues from
/// there.
const READS_MAX: usize = 10;
/// Maximum number of a run's differences that its sums treat one by one.
const GAPS_MAX: usize = 50_000;
/// How many days are counted at once, and how many megabytes of each are read.
const DAYS_AT_ONCE: usize = 6;
const COUNT_PAGES_MAX: usize = 20;

/// What is known of a day's differences.
#[derive(Debug, Default)]
pub(crate) struct DayListing {
    /// For each kind the number in each state, in the order of [`STATES`].
    counts: BTreeMap<DifferenceKind, [usize; STATES.len()]>,
    /// The first requested ones of each kind: those that need an operator first, in the order of
    /// the bill's rows.
    held: BTreeMap<DifferenceKind, Vec<Difference>>,
    /// Whether there are more than were read.
    pub(crate) is_cut: bool,
    /// The present state of the gap that the run counted.
    pub(crate) breakdown: Breakdown,
}

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
            .differences(date, after.as_deref(), reads.page)
            .await?;
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
    if let Some(kind) = filter.kind {
        of_kind(table, date, kind, filter, reads, &mut day).await?;
    }
    Ok(day)
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
    for kind in [
        DifferenceKind::PaidHereAbsentThere,
        DifferenceKind::RefundHereAbsentThere,
    ] {
        let mut many = Vec::new();
        let is_all = each_of_kind(table, date, kind, reads, |one| {
            if one.aggregate.is_some() {
                many.push(one);
            } else {
                breakdown.take_of_next_day(&one);
            }
        });
        if !is_all.await? {
            breakdown.is_unknown();
        }
        // A trade that is listed individually is not part of an aggregate.
        many.iter().for_each(|one| breakdown.take_of_next_day(one));
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
    day.counts.remove(&kind);
    each_of_kind(table, date, kind, reads, |one| {
        day.count(&one);
        day.hold(one, filter);
    })
    .await?;
    Ok(())
}

/// Reads those of a kind; `false` where there are more than it reads.
async fn each_of_kind(
    table: &ReconciliationTable,
    date: BillDate,
    kind: DifferenceKind,
    reads: Reads,
    mut each: impl FnMut(Difference),
) -> Result<bool, ReconciliationError> {
    let mut after = Some(of_kind_from(kind));
    for _ in 0..reads.at_most {
        let page = table
            .differences(date, after.as_deref(), reads.page)
            .await?;
        let found = page.items.len();
        let of_kind = page.items.into_iter().take_while(|one| one.kind == kind);
        let mut count = 0_usize;
        for one in of_kind {
            count = count.saturating_add(1);
            each(one);
        }
        if count < found || page.next.is_none() {
            return Ok(true);
        }
        after = page.next;
    }
    Ok(false)
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

/// Where the ids of a kind begin.
fn of_kind_from(kind: DifferenceKind) -> String {
    kind.name().replace('_', "-")
}

/// So many of the differences that are wanted, from where the last piece ended.
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
        .filter(|state| state.needs_somebody())
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

impl DayListing {
    fn count(&mut self, one: &Difference) {
        let counts = self.counts.entry(one.kind).or_default();
        let place = STATES.iter().position(|state| *state == one.state);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }

    fn hold(&mut self, one: Difference, filter: Filter) {
        if !filter.takes(&one) {
            return;
        }
        let room = if filter.kind.is_some() {
            OF_ONE_KIND
        } else {
            OF_EACH_KIND
        };
        let rank = |one: &Difference| (!one.state.needs_somebody(), one.about.line);
        let held = self.held.entry(one.kind).or_default();
        let place = held.partition_point(|other| rank(other) <= rank(&one));
        if place < room {
            held.insert(place, one);
            held.truncate(room);
        }
    }

    /// Those of a kind that are kept.
    pub(crate) fn of(&self, kind: DifferenceKind) -> &[Difference] {
        self.held.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// How many a choice has.
    pub(crate) fn count_of(&self, filter: Filter) -> usize {
        let kinds = self
            .counts
            .iter()
            .filter(|(kind, _)| filter.kind.is_none_or(|wanted| wanted == **kind));
        let counts = kinds.flat_map(|(_, counts)| STATES.iter().zip(counts));
        counts
            .filter(|(state, _)| filter.state.is_none_or(|wanted| wanted == **state))
            .map(|(_, count)| count)
            .sum()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count_of(Filter::default())
    }

    /// Whether a file holds all of a choice, as far as is known.
    pub(crate) fn fits_a_file(&self, filter: Filter) -> bool {
        let is_unknown = self.is_cut && filter.kind.is_none();
        !is_unknown && self.count_of(filter) <= FILE_MAX
    }

    /// Number in a state.
    pub(crate) fn in_state(&self, state: DifferenceState) -> usize {
        self.count_of(Filter {
            state: Some(state),
            ..Filter::default()
        })
    }

    /// Number that need an operator.
    pub(crate) fn needing(&self) -> usize {
        STATES
            .into_iter()
            .filter(|state| state.needs_somebody())
            .map(|state| self.in_state(state))
            .sum()
    }

    /// Of each kind that the day has, how many.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (DifferenceKind, usize)> {
        self.counts
            .iter()
            .map(|(kind, counts)| (*kind, counts.iter().sum()))
    }

    /// A day of these differences.
    #[cfg(test)]
    pub(crate) fn with(items: impl IntoIterator<Item = Difference>, filter: Filter) -> Self {
        let mut day = Self::default();
        for one in items {
            day.count(&one);
            day.hold(one, filter);
        }
        day
    }
}

#[cfg(test)]
mod tests;
