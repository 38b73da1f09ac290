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
        difference::{Difference, Kind, State, Who},
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
    let run = begin(desk, day).await?;
    if run.state == RunState::Done {
        info!(date = %day.date, run_id = day.run_id, "the day is done: the message came twice");
        // Whoever closed it may have died before it told.
        return close_if_whole(desk, &run).await;
    }
    info!(date = %day.date, run_id = day.run_id, dry_run = day.dry_run, "reconciling the day");
    let done = whole(desk, &run, trace).await;
    note_trouble(desk, day.date, &day.run_id, Part::WHOLE, done).await
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
    note_trouble(desk, date, run_id, part, done).await
}

/// Makes the run the day's latest, unless it is done already.
async fn begin(desk: &Desk, day: &Day) -> Result<Run, DayError> {
    for _ in 0..TRIES {
        let now = desk.clock.now();
        let run = match desk.reconciliations.run(day.date).await? {
            None => Run::begun(day.date, &day.run_id, day.dry_run, now),
            Some(run) if run.id == day.run_id && run.state == RunState::Done => return Ok(run),
            // Its message came again: the parts that are done stay done.
            Some(run) if run.id == day.run_id => Run {
                state: RunState::Running,
                version: run.version.saturating_add(1),
                updated_at: now,
                ..run
            },
            Some(run) => Run {
                version: run.version.saturating_add(1),
                bills: if bills::are_whole(&run) {
                    run.bills
                } else {
                    BTreeMap::new()
                },
                ..Run::begun(day.date, &day.run_id, day.dry_run, now)
            },
        };
        if desk.reconciliations.save_run(&run).await? == Saved::Yes {
            return Ok(run);
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
    let mut before = funds::before(desk, run, part).await?;
    let trades = bills::trades(desk, run, part, books, &mut before.books).await?;
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
    confirm::absent(desk, part, &matched.books, &before.last, &mut finding).await?;
    confirm::carried(desk, part, &carried, &mut finding).await?;
    let moved = funds::judge(desk, run, part, before, &mut finding).await?;

    let found = write_down(desk, run, &finding).await?;
    let mut waits = false;
    for carried in &finding.carried {
        waits |= desk.reconciliations.carry(carried).await?;
    }
    // A preview starts nothing: the trade still waits when the day is run in earnest.
    if waits && !run.dry_run {
        run_the_next_day_again(desk, run, part, trace).await?;
    }
    agree_again(desk, run, part, &found, moved.before).await?;
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

/// Writes differences down. What is known already stays as it stands, but for what was repaired before this run began: that did
/// not last. All as they stand then.
async fn write_down(
    desk: &Desk,
    run: &Run,
    finding: &Finding,
) -> Result<Vec<Difference>, DayError> {
    use adapters::reconciliation::Found;
    let mut found = Vec::with_capacity(finding.differences.len());
    for difference in finding.differences.values() {
        found.push(match desk.reconciliations.find(difference).await? {
            Found::New => difference.clone(),
            Found::Known(known) if was_repaired_before(&known, run) => {
                let why = "a later run finds it again";
                let open = known.reopened(&run.id, why, desk.clock.now());
                repair::written(desk, &known, open).await?
            }
            Found::Known(known) => *known,
        });
    }
    Ok(found)
}

fn was_repaired_before(known: &Difference, run: &Run) -> bool {
    let last = known.history.last();
    known.state == State::Repaired && last.is_some_and(|step| step.at < run.started_at)
}

/// The next day's run, if there is one, may have looked at what was carried to it before this was: it is run again, as it was. For
/// each part that carries something under another id: a run that is done does nothing when its message comes again.
async fn run_the_next_day_again(
    desk: &Desk,
    run: &Run,
    part: Part,
    trace: &Trace,
) -> Result<(), DayError> {
    let next = desk.reconciliations.run(run.date.plus_days(1)).await?;
    let Some(next) = next else {
        return Ok(());
    };
    let message = ReconcileWork::DayV1 {
        date: next.date,
        dry_run: next.dry_run,
        run_id: run.id_of_the_day_after(part.number),
    };
    info!(date = %next.date, "the day after has to judge what was carried to it: it is run again");
    desk.work
        .send_reconcile(&message, 0, &trace.traceparent())
        .await?;
    Ok(())
}

/// What earlier runs found different and this one does not: both sides agree by now.
async fn agree_again(
    desk: &Desk,
    run: &Run,
    part: Part,
    found: &[Difference],
    before_read: bool,
) -> Result<(), DayError> {
    let found: BTreeSet<&str> = found
        .iter()
        .map(|difference| difference.id.as_str())
        .collect();
    // A later run may have found what this one did not; it has the say.
    current(desk, run.date, &run.id).await?;
    for difference in all_differences(desk, run.date).await? {
        // Without the bills of the day before, nothing can be said of its trades' movements.
        let is_judged = before_read || !difference.kind.is_of_movements();
        let gone = is_judged
            && !moved_since(&difference, run)
            && part.has_difference(&difference)
            && !found.contains(difference.id.as_str());
        if gone && difference.state.needs_somebody() && !repair::is_under_way(&difference) {
            let why = "a later run finds that both sides agree";
            let repaired = difference.repaired(&run.id, why, desk.clock.now());
            // Somebody decided meanwhile: the next run looks again.
            let _: Saved = desk.reconciliations.save_difference(&repaired).await?;
        }
    }
    Ok(())
}

/// Whether somebody else has touched a difference since the run began.
fn moved_since(difference: &Difference, run: &Run) -> bool {
    let last = difference.history.last();
    last.is_some_and(|step| step.at > run.started_at && step.who != Who::Run(run.id.clone()))
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

/// The alarm is for what is open of so many days before the present one, whichever day the run is about: that an old day has come
/// to agree says nothing of yesterday.
const OPEN_LAST_DAYS: i64 = 30;

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
    let today = BillDate::of(desk.clock.now());
    let mut dates: BTreeSet<BillDate> = (0..=OPEN_LAST_DAYS)
        .map(|days| today.plus_days(-days))
        .collect();
    dates.insert(run.date);
    let mut open = 0_u64;
    for date in dates {
        let all = all_differences(desk, date).await?;
        let of_day = all.iter().filter(|one| one.state.needs_somebody()).count();
        open = open.saturating_add(u64::try_from(of_day).unwrap_or(u64::MAX));
    }
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
    part: Part,
    done: Result<(), DayError>,
) -> Result<(), DayError> {
    let Err(error) = done else {
        return Ok(());
    };
    let tries = match &error {
        DayError::Bill(_) | DayError::BillAgain(_) => 1,
        DayError::Superseded => return Err(error),
        DayError::NotReady | DayError::TooMany(_) | DayError::Damaged(_) | DayError::Passing(_) => {
            0
        }
    };
    let trouble = Chain(&error).to_string();
    let noted = save(desk, date, run_id, |run| {
        let broken = run.broken.entry(part.number).or_default();
        *broken = broken.saturating_add(tries);
        let state = state_after(&error, *broken);
        // One part that nobody comes back to is enough: the day is not whole any more.
        if run.state != RunState::Failed {
            run.state = state;
        }
        run.trouble = Some(trouble.clone());
    })
    .await;
    let run = match noted {
        Ok(run) => run,
        Err(unnoted) => {
            warn!(%date, run_id, error = %Chain(&unnoted), "the day's record does not say why it is not done");
            return Err(unnoted); // what passes is tried again, and noted then
        }
    };
    if run.state == RunState::Failed {
        metrics::day_failed(desk);
    }
    match (error, run.state) {
        (DayError::Bill(bill), RunState::Waiting) => Err(DayError::BillAgain(bill)),
        (error, _) => Err(error),
    }
}

/// How often a bill that is of no use is fetched, before it is left to a person.
const BROKEN_TRIES: u32 = 4;

/// Where a day stands after an error, with so many bills that were of no use.
fn state_after(error: &DayError, broken: u32) -> RunState {
    match error {
        DayError::NotReady => RunState::Waiting,
        DayError::Bill(_) | DayError::BillAgain(_) if broken < BROKEN_TRIES => RunState::Waiting,
        DayError::Bill(_)
        | DayError::BillAgain(_)
        | DayError::TooMany(_)
        | DayError::Damaged(_) => RunState::Failed,
        DayError::Passing(_) | DayError::Superseded => RunState::Running,
    }
}
