//! The texts about a day and its runs.

use payments::{
    model::bill_date::{BILLS_LAST_DAYS, BillDate},
    reconcile::{
        day_runs::{self, DayRuns},
        difference::DifferenceState,
        lateness,
        run::{FundSide, FundState, Run, RunState},
    },
};
use wechatpay::UnixSeconds;

use super::{Tone, sentence};
use crate::{daily_run::DailyRun, day_listing::DayListing, input::RunForm, money::count};

/// The texts about a day's run.
pub(crate) struct RunText {
    pub(crate) tone: Tone,
    pub(crate) headline: &'static str,
    /// The error that the run recorded.
    pub(crate) trouble: Option<String>,
    /// What it means, or what to do next.
    pub(crate) detail: String,
}

impl RunText {
    fn new(tone: Tone, headline: &'static str, detail: impl Into<String>) -> Self {
        Self {
            tone,
            headline,
            trouble: None,
            detail: detail.into(),
        }
    }
}

/// Those of these days whose run is missing. The last day counts as missing if its run has not
/// begun 15 minutes after its time, and from 13:00 on if it is not done.
pub(crate) fn missing_days(
    days: &[BillDate],
    runs: &[(BillDate, DayRuns)],
    (daily_run, repairs): (DailyRun, bool),
    now: UnixSeconds,
) -> Vec<BillDate> {
    let late = lateness::last_late(now);
    let mut missing = day_runs::missing_days(runs, days, late, repairs);
    let yesterday = lateness::yesterday(now);
    if late < yesterday && days.contains(&yesterday) && daily_run.is_overdue(yesterday, now) {
        let mut of_day = runs.iter().filter(|(date, _)| *date == yesterday);
        let has_come = of_day.any(|(_, runs)| has_come(runs, repairs));
        missing.extend((!has_come).then_some(yesterday));
    }
    missing
}

/// Whether a day has a real run, or, if the daily run is a preview (`RECONCILE_REPAIRS` is
/// `false`), any.
fn has_come(runs: &DayRuns, repairs: bool) -> bool {
    let run = if repairs { runs.run() } else { runs.shown() };
    run.is_some()
}

/// The words for a day whose record cannot be read.
pub(crate) fn unreadable_run() -> RunText {
    RunText::new(
        Tone::Bad,
        "The day’s record cannot be read",
        "The result of its run is not known, and no run of the day can begin. Its differences below are as recorded. Tell the people who run the system: the log of the function console names the item.",
    )
}

/// A day's run in words, with what is left of what it found. `later_are_done` says whether the
/// later days to whose bills trades were left have been reconciled.
pub(crate) fn run(
    date: BillDate,
    run: Option<&Run>,
    found: &DayListing,
    later_are_done: bool,
    daily_run: DailyRun,
    now: UnixSeconds,
) -> RunText {
    let Some(run) = run else {
        let today = BillDate::of(now);
        return if date < today.plus_days(-BILLS_LAST_DAYS) {
            RunText::new(
                Tone::Quiet,
                "Not reconciled",
                "This day was not compared with a bill, and WeChat Pay no longer keeps its bill.",
            )
        } else if daily_run.is_overdue(date, now) {
            RunText::new(
                Tone::Bad,
                "Not reconciled",
                format!(
                    "This day was not compared with its bill, although the daily run was due at {daily_run} on the next day. Run it now, and let on-call find out why the daily run did not start."
                ),
            )
        } else {
            RunText::new(
                Tone::Quiet,
                "Not reconciled",
                format!(
                    "This day was not compared with its bill yet. The daily run does that at {daily_run} on the next day, once WeChat Pay has made the bill."
                ),
            )
        };
    };
    let bill_is_late = now >= lateness::late_at(date);
    let words = match run.state {
        // Its message has been received as often as the queue lets it, a day long.
        RunState::Waiting if is_silent(now.since(run.updated_at), true) => RunText::new(
            Tone::Bad,
            "The bill is no longer requested",
            "The run waited for WeChat Pay’s bill, and has recorded nothing for longer than it pauses. Run the day again, and let on-call see why it ended (runbook reconciliation.md).",
        ),
        RunState::Waiting if run.waits_for_usable_bill => RunText::new(
            Tone::Wait,
            "The bill is unusable, and is fetched again",
            "WeChat Pay’s bill came, and cannot be used. It is fetched four times in all, half an hour apart; there is nothing to do until then.",
        ),
        RunState::Waiting if bill_is_late => RunText::new(
            Tone::Bad,
            "WeChat Pay’s bill is late",
            "WeChat Pay makes a day’s bill by 10:00 of the next day, and it is past 13:00. The run still requests it by itself; ask WeChat Pay for it too.",
        ),
        RunState::Waiting => RunText::new(
            Tone::Wait,
            "Waiting for WeChat Pay’s bill",
            if run.trouble.is_some() {
                "The run comes back by itself; there is nothing to do."
            } else {
                "WeChat Pay makes a day’s bill by 10:00 of the next day. The run comes back by itself; there is nothing to do."
            },
        ),
        RunState::Running if is_stuck(run, now) && found.unreadable > 0 => RunText::new(
            Tone::Bad,
            "Stuck",
            format!(
                "It recorded nothing for longer than a run may be silent. {}",
                unreadable(found.unreadable)
            ),
        ),
        RunState::Running if is_stuck(run, now) => RunText::new(
            Tone::Bad,
            "Stuck",
            "It recorded nothing for longer than a run may be silent. Run it again; if that run gets stuck too, tell on-call (runbook reconciliation.md), who check the log of reconcile and the dead letters of its queue.",
        ),
        RunState::Running => {
            let parts = format!(
                "{} of {} parts of the day are done. What is shown is not final",
                run.parts_done.len(),
                run.parts
            );
            let next = if run.trouble.is_some() {
                "the run tries again by itself, after a pause of half an hour at most. There is nothing to do unless it stays so for an hour."
            } else {
                "load the page again in a minute."
            };
            RunText::new(Tone::Wait, "Running", format!("{parts}; {next}"))
        }
        RunState::Failed if found.unreadable > 0 => RunText::new(
            Tone::Bad,
            "Failed",
            format!(
                "The run ended without a result. {}",
                unreadable(found.unreadable)
            ),
        ),
        RunState::Failed => RunText::new(
            Tone::Bad,
            "Failed",
            "The run ended without a result. An unusable bill is fetched again by itself, four times, half an hour apart. In any other case, and after that, run the day again; if it fails again, tell on-call (runbook reconciliation.md), who check the log of reconcile.",
        ),
        RunState::Done => {
            let words = done_run(run, found, later_are_done);
            return match &run.funds {
                Some(funds) => {
                    let silent_s = now.since(run.updated_at);
                    with_funds(words, funds, silent_s, found.unreadable == 0)
                }
                None => words,
            };
        }
    };
    RunText {
        trouble: run.trouble.as_deref().map(sentence),
        ..words
    }
}

/// The consequence of unreadable differences of the day. A run of the day reads all of them, so no
/// run can finish before they are repaired.
fn unreadable(differences: usize) -> String {
    let unread = match differences {
        1 => "One difference cannot be read, so it is not known whether it is open.".to_owned(),
        more => {
            let more = count(u64::try_from(more).unwrap_or(u64::MAX));
            format!("{more} differences cannot be read, so it is not known whether they are open.")
        }
    };
    format!(
        "{unread} Tell the people who run the system: no run of the day can finish before that is repaired."
    )
}

/// The text about a run whose trade side is done, with the state of its fund side. `can_be_run`
/// says whether a run could finish. The trades are compared then, which does not mean that they
/// agree: some may have open differences.
fn with_funds(words: RunText, funds: &FundSide, silent_s: i64, can_be_run: bool) -> RunText {
    let (tone, headline, of_funds) = match funds.state {
        FundState::Done => return words,
        FundState::Failed => (
            Tone::Bad,
            "Trades are checked, the check of account movements failed",
            "The trades were compared with their bill, and that result stands. The account’s movements were not compared with the trades. When the cause is removed, run the day again.",
        ),
        FundState::Pending | FundState::Waiting | FundState::Running
            if is_silent(silent_s, funds.trouble.is_some()) =>
        {
            (
                Tone::Bad,
                "Trades are checked, the check of account movements is stuck",
                if can_be_run {
                    "That check recorded nothing for longer than it may be silent. Run the day again; if that run gets stuck too, tell on-call (runbook reconciliation.md), who check the log of reconcile and the dead letters of its queue."
                } else {
                    "That check recorded nothing for longer than it may be silent."
                },
            )
        }
        FundState::Pending | FundState::Running if funds.trouble.is_none() => (
            Tone::Wait,
            "Trades are checked, the check of account movements runs",
            "The account’s movements are being compared with the trades: load the page again in a minute.",
        ),
        FundState::Pending | FundState::Running | FundState::Waiting => (
            Tone::Wait,
            "Trades are checked, the check of account movements waits",
            "The account’s movements are not compared with the trades yet. The run resumes by itself, after a pause of half an hour at most.",
        ),
    };
    RunText {
        tone: match words.tone {
            Tone::Good | Tone::Wait | Tone::Quiet => tone,
            Tone::Bad => Tone::Bad,
        },
        headline,
        trouble: funds.trouble.as_deref().map(sentence),
        detail: format!("{of_funds} {}", words.detail),
    }
}

/// The state of a fund side as a word, and its style.
pub(crate) const fn fund_state(state: FundState) -> (&'static str, Tone) {
    match state {
        FundState::Pending => ("After the trades", Tone::Quiet),
        FundState::Waiting => ("Waiting", Tone::Wait),
        FundState::Running => ("Running", Tone::Wait),
        FundState::Done => ("Done", Tone::Good),
        FundState::Failed => ("Failed", Tone::Bad),
    }
}

/// The state of a run as a word.
pub(crate) const fn run_state(state: RunState) -> &'static str {
    match state {
        RunState::Waiting => "waiting for the bill",
        RunState::Running => "running",
        RunState::Done => "done",
        RunState::Failed => "failed",
    }
}

fn done_run(run: &Run, found: &DayListing, later_are_done: bool) -> RunText {
    let of = |states: [DifferenceState; 2]| states.map(|state| found.in_state(state)).iter().sum();
    let under_way: usize = of([DifferenceState::Approved, DifferenceState::OnItsWay]);
    let waiting: usize = of([DifferenceState::Open, DifferenceState::Proposed]);
    let is_open = is_left_open(run, later_are_done);
    let words = if waiting > 0 {
        let mut detail = match waiting {
            1 => "One difference still needs attention.".to_owned(),
            more => format!("{more} differences still need attention."),
        };
        if found.unreadable > 0 {
            detail = format!("{detail} {}", unreadable(found.unreadable));
        }
        RunText::new(Tone::Bad, "Done, with open differences", detail)
    } else if found.unreadable > 0 {
        RunText::new(
            Tone::Bad,
            "Done, and some differences cannot be read",
            unreadable(found.unreadable),
        )
    } else if found.breakdown.is_open_with_next_day() {
        RunText::new(
            Tone::Bad,
            "Done, with open differences",
            "Trades that were left to the next day’s bill are not in that bill either. They are among that day’s differences, and need attention.",
        )
    } else if found.breakdown.is_unreadable_next_day() {
        RunText::new(
            Tone::Bad,
            "Done, and a difference of the next day cannot be read",
            "It may be about a trade that was left to that day’s bill, so it is not known whether that trade is open. Tell the people who run the system: the log of the function console names it.",
        )
    } else if under_way > 0 {
        RunText::new(
            Tone::Wait,
            "Done, decisions are being carried out",
            "Everything is decided, and what was approved is being carried out. A refund is repaired once its money has arrived.",
        )
    } else if found.len() > 0 {
        let (tone, headline) = if is_open {
            (Tone::Wait, "Done so far")
        } else {
            (Tone::Good, "Done")
        };
        let detail = "Every difference that was found is repaired, explained or decided.";
        RunText::new(tone, headline, detail)
    } else if is_open {
        RunText::new(
            Tone::Wait,
            "Both sides agree so far",
            "WeChat Pay’s bills and our books agree on everything that can be compared so far.",
        )
    } else {
        RunText::new(
            Tone::Good,
            "Both sides agree",
            "WeChat Pay’s bills and our books agree on every trade of this day.",
        )
    };
    let (bills, page) = match left_for_days(run) {
        1 => ("the next day’s bills".to_owned(), "that day’s page"),
        days => (
            format!("the bills of the next {days} days"),
            "those days’ pages",
        ),
    };
    let left = match (run.carried(), is_open) {
        (0, _) => return words,
        (1, true) => format!("One trade will be compared with {bills}."),
        (more, true) => format!("{} trades will be compared with {bills}.", count(more)),
        (1, false) => {
            format!("One trade was left to {bills}: its result is on {page}.")
        }
        (more, false) => format!(
            "{} trades were left to {bills}: their results are on {page}.",
            count(more)
        ),
    };
    RunText {
        detail: format!("{} {left}", words.detail),
        ..words
    }
}

/// Whether some of the day's trades wait for the run of a later day.
pub(crate) fn is_left_open(run: &Run, later_are_done: bool) -> bool {
    run.carried() > 0 && !later_are_done
}

/// How many days the day's trades may wait: trades near midnight one day, the account's movements
/// as many days as the contract says.
pub(crate) fn left_for_days(run: &Run) -> u8 {
    let funds = run.funds.as_ref().filter(|funds| funds.carried() > 0);
    funds.map_or(1, |funds| funds.settlement_days.max(1))
}

/// Whether a run in progress has been silent for too long: longer than a Lambda function can run,
/// and, after a failed try, longer than the pause before the next try as well.
pub(crate) fn is_stuck(run: &Run, now: UnixSeconds) -> bool {
    is_silent(now.since(run.updated_at), run.trouble.is_some())
}

/// Whether these seconds without a write are too many for a side of a run.
const fn is_silent(silent_s: i64, has_trouble: bool) -> bool {
    let pause_s = if has_trouble { 1_800 } else { 0 };
    silent_s > pause_s + 900
}

/// What the page says after a run was requested, until it has begun.
pub(crate) const fn started(asked: RunForm) -> &'static str {
    if asked.dry_run {
        "A preview is requested: it lists differences and changes nothing else."
    } else {
        "A run is requested."
    }
}

#[cfg(test)]
mod tests;
