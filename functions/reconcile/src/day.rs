//! A day's reconciliation: our books of the day into memory -> the bill past them, in one pass from WeChat Pay into evidence ->
//! each candidate confirmed -> the movements of the account -> differences written down -> what can be repaired is repaired -> the
//! day's record.
//!
//! Everything that is written is the same whichever run writes it, so a day may be run twice, by two at once, or be killed
//! anywhere and run again. A day whose books do not fit into one run's memory is split by order number into parts that go through
//! the queue; whoever ends the last part closes the day.

use std::collections::{BTreeMap, BTreeSet};

use adapters::{queues::ReconcileWork, reconciliation::Saved};
use flows::{problem::Chain, trace::Trace};
use payments::{
    journal::Cause,
    reconcile::{
        books::DayBooks,
        difference::{Difference, Kind},
        run::{BillDate, BillName, PartDone, Run, RunState},
    },
};
use tracing::{info, warn};

use crate::{
    bills,
    confirm::{self, Finding},
    desk::Desk,
    error::DayError,
    funds, metrics,
    our_books::{self, Loaded},
    part::Part,
    repair,
};

/// What is to be done about a day.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    pub(crate) date: BillDate,
    /// The run's id: the same each time its message comes.
    pub(crate) run_id: String,
    /// Only look.
    pub(crate) dry_run: bool,
}

/// So often the day's record is read and written anew because others write it too.
const TRIES: u32 = 12;

/// Reconciles a day, or begins to where it has to be split.
///
/// # Errors
/// [`DayError`]. The day's record says so too.
pub(crate) async fn reconcile(desk: &Desk, day: &Day, trace: &Trace) -> Result<(), DayError> {
    let Some(run) = begin(desk, day).await? else {
        info!(date = %day.date, run_id = day.run_id, "the day is done: the message came twice");
        return Ok(());
    };
    info!(date = %day.date, run_id = day.run_id, dry_run = day.dry_run, "reconciling the day");
    let done = whole(desk, &run, trace).await;
    note_trouble(desk, day.date, &day.run_id, done).await
}

/// Reconciles one part of a day that was split.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn reconcile_part(
    desk: &Desk,
    date: BillDate,
    run_id: &str,
    part: u8,
    trace: &Trace,
) -> Result<(), DayError> {
    let run = current(desk, date, run_id).await?;
    if run.parts_done.contains_key(&part) {
        return close_if_whole(desk, &run).await;
    }
    let part = Part {
        number: part,
        of: run.parts,
    };
    let done = async {
        let books = our_books::load(desk, date, part).await?;
        Box::pin(one_part(desk, &run, part, books, trace)).await
    }
    .await;
    note_trouble(desk, date, run_id, done).await
}

/// Makes the run the day's latest. `None` when it is done already.
async fn begin(desk: &Desk, day: &Day) -> Result<Option<Run>, DayError> {
    for _ in 0..TRIES {
        let now = desk.clock.now();
        let run = match desk.reconciliations.run(day.date).await? {
            None => Run::begun(day.date, &day.run_id, day.dry_run, now),
            Some(run) if run.id == day.run_id && run.state == RunState::Done => return Ok(None),
            // Its message came again: the parts that are done stay done.
            Some(run) if run.id == day.run_id => Run {
                state: RunState::Running,
                version: run.version.saturating_add(1),
                updated_at: now,
                ..run
            },
            Some(run) => Run {
                version: run.version.saturating_add(1),
                bills: run.bills,
                ..Run::begun(day.date, &day.run_id, day.dry_run, now)
            },
        };
        if desk.reconciliations.save_run(&run).await? == Saved::Yes {
            return Ok(Some(run));
        }
    }
    Err(DayError::Passing(
        "the day's record kept changing while the run was to begin".into(),
    ))
}

/// The whole day in one go, or, where the books are too many, its split.
async fn whole(desk: &Desk, run: &Run, trace: &Trace) -> Result<(), DayError> {
    match our_books::load_if_they_fit(desk, run.date).await? {
        Loaded::Books(books) => Box::pin(one_part(desk, run, Part::WHOLE, *books, trace)).await,
        Loaded::TooMany => {
            // The bill is fetched once, for all parts.
            let facts = bills::fetch(desk, run).await?;
            let parts = Part::count_for(facts.rows);
            let run = save(desk, run.date, &run.id, |run| {
                run.parts = parts;
                run.bills.insert(BillName::Trade, facts.clone());
            })
            .await?;
            for part in 0..parts {
                let message = ReconcileWork::PartV1 {
                    date: run.date,
                    run_id: run.id.clone(),
                    part,
                };
                desk.work
                    .send_reconcile(&message, 0, &trace.traceparent())
                    .await?;
            }
            info!(date = %run.date, parts, rows = facts.rows, "the day is split");
            Ok(())
        }
    }
}

/// The bill past our books; what that finds is confirmed, written down and repaired; then the part is done.
async fn one_part(
    desk: &Desk,
    run: &Run,
    part: Part,
    books: DayBooks,
    trace: &Trace,
) -> Result<(), DayError> {
    let mut moves = funds::expected(desk, run, part).await?;
    let trades = bills::trades(desk, run, part, books, &mut moves).await?;
    let cause = Cause::Reconciliation(run.id.clone());
    let run = &save(desk, run.date, &run.id, |run| {
        run.bills.extend(trades.bills());
    })
    .await?;
    let matched = trades.matched;
    let mut finding = Finding::new(run, desk.clock.now());
    if let (true, Some(what)) = (part.is_first(), &trades.summary_differs) {
        finding.summary(BillName::Trade, what);
    }
    confirm::rows(desk, &matched.candidates, &mut finding).await?;
    confirm::repeated(&matched.repeated, &mut finding);
    confirm::off_rate(&matched.off_rate, &mut finding);
    let carried = desk.reconciliations.carried(run.date).await?;
    confirm::absent(desk, part, &matched.books, &carried, &mut finding).await?;
    confirm::carried(desk, part, &carried, &mut finding).await?;
    let moved = funds::judge(desk, run, part, moves, &mut finding).await?;

    let found = write_down(desk, &finding).await?;
    for carried in &finding.carried {
        desk.reconciliations.carry(carried).await?;
    }
    agree_again(desk, run, part, &found).await?;
    let found = if run.dry_run {
        found
    } else {
        repair::all(desk, found, &run.id, &cause, trace).await?
    };
    let done = PartDone {
        there: matched.totals,
        here: matched.books.totals(),
        differences: count(&found),
        carried: u64::try_from(finding.carried.len())
            .unwrap_or(u64::MAX)
            .saturating_add(moved.carried),
    };
    let run = save(desk, run.date, &run.id, |run| {
        run.bills.extend(moved.bills.clone());
        run.parts_done.insert(part.number, done.clone());
    })
    .await?;
    close_if_whole(desk, &run).await
}

/// Writes differences down; what is known already stays as it stands. All as they stand then.
async fn write_down(desk: &Desk, finding: &Finding) -> Result<Vec<Difference>, DayError> {
    use adapters::reconciliation::Found;
    let mut found = Vec::with_capacity(finding.differences.len());
    for difference in finding.differences.values() {
        found.push(match desk.reconciliations.find(difference).await? {
            Found::New => difference.clone(),
            Found::Known(known) => *known,
        });
    }
    Ok(found)
}

/// What earlier runs found different and this one does not: both sides agree by now.
async fn agree_again(
    desk: &Desk,
    run: &Run,
    part: Part,
    found: &[Difference],
) -> Result<(), DayError> {
    let found: BTreeSet<&str> = found
        .iter()
        .map(|difference| difference.id.as_str())
        .collect();
    for difference in all_differences(desk, run.date).await? {
        let gone = part.has_difference(&difference) && !found.contains(difference.id.as_str());
        if gone && difference.state.needs_somebody() && !repair::is_under_way(&difference) {
            let why = "a later run finds that both sides agree";
            let repaired = difference.repaired(&run.id, why, desk.clock.now());
            // Somebody decided meanwhile: the next run looks again.
            let _: Saved = desk.reconciliations.save_difference(&repaired).await?;
        }
    }
    Ok(())
}

/// All differences of a day.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn all_differences(
    desk: &Desk,
    date: BillDate,
) -> Result<Vec<Difference>, DayError> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = desk
            .reconciliations
            .differences(date, after.as_deref(), PAGE)
            .await?;
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// Differences that are read at a time.
const PAGE: i32 = 100;

fn count(differences: &[Difference]) -> BTreeMap<Kind, u32> {
    let mut counts = BTreeMap::new();
    for difference in differences {
        let count: &mut u32 = counts.entry(difference.kind).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The last part closes the day and tells the metrics how it stands.
async fn close_if_whole(desk: &Desk, run: &Run) -> Result<(), DayError> {
    if !run.is_whole() {
        return Ok(());
    }
    let run = save(desk, run.date, &run.id, |run| {
        run.state = RunState::Done;
        run.trouble = None;
    })
    .await?;
    let all = all_differences(desk, run.date).await?;
    let open = all.iter().filter(|one| one.state.needs_somebody()).count();
    let open = u64::try_from(open).unwrap_or(u64::MAX);
    metrics::day_done(desk, &run, open);
    info!(
        date = %run.date,
        run_id = run.id,
        open,
        differences = ?run.differences(),
        carried = run.carried(),
        "day reconciled"
    );
    Ok(())
}

/// The day's record, as long as this run is its latest.
async fn current(desk: &Desk, date: BillDate, run_id: &str) -> Result<Run, DayError> {
    let run = desk.reconciliations.run(date).await?;
    run.filter(|run| run.id == run_id)
        .ok_or(DayError::Superseded)
}

/// Changes the day's record, as long as this run is its latest.
async fn save(
    desk: &Desk,
    date: BillDate,
    run_id: &str,
    change: impl Fn(&mut Run),
) -> Result<Run, DayError> {
    for _ in 0..TRIES {
        let mut run = current(desk, date, run_id).await?;
        run.version = run.version.saturating_add(1);
        run.updated_at = desk.clock.now();
        change(&mut run);
        if desk.reconciliations.save_run(&run).await? == Saved::Yes {
            return Ok(run);
        }
    }
    Err(DayError::Passing(
        "the day's record kept changing while a part was to be noted".into(),
    ))
}

/// Writes into the day's record why it is not done, for the people who look at it.
async fn note_trouble(
    desk: &Desk,
    date: BillDate,
    run_id: &str,
    done: Result<(), DayError>,
) -> Result<(), DayError> {
    let Err(error) = done else {
        return Ok(());
    };
    let state = match &error {
        DayError::NotReady => RunState::Waiting,
        DayError::Bill(_) | DayError::TooMany(_) | DayError::Damaged(_) => RunState::Failed,
        DayError::Passing(_) => RunState::Running,
        DayError::Superseded => return Err(error),
    };
    let trouble = Chain(&error).to_string();
    let noted = save(desk, date, run_id, |run| {
        run.state = state;
        run.trouble = Some(trouble.clone());
    })
    .await;
    if let Err(unnoted) = noted {
        warn!(%date, run_id, error = %Chain(&unnoted), "the day's record does not say why it is not done");
    }
    if state == RunState::Failed {
        metrics::day_failed(desk);
    }
    Err(error)
}
