//! Names and sentences that pages and the CSV file share.

use payments::{
    model::{
        bill_date::{BILLS_LAST_DAYS, BillDate, BillName},
        decision::{Destination, OperatorDecision, RefundDecision},
    },
    reconcile::{
        day_runs::{self, DayRuns},
        difference::{
            Actor, ApprovedAction, Decision, Difference, DifferenceState, PERSONS, RefundStage,
            Remedy, TrackedRefund,
        },
        lateness,
        run::{FundSide, FundState, Run, RunState},
    },
};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::{breakdown::GapStatus, day_listing::DayListing, input::RunForm, money::count};

/// The visual style of a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tone {
    Good,
    Wait,
    Bad,
    Quiet,
}

impl Tone {
    /// The class in the stylesheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// A state's name on its chip, and its look.
pub(crate) const fn state(state: DifferenceState) -> (&'static str, Tone) {
    match state {
        DifferenceState::Open => ("Open", Tone::Bad),
        DifferenceState::Proposed => ("Refund proposed", Tone::Wait),
        DifferenceState::Approved => ("Refund approved", Tone::Wait),
        DifferenceState::OnItsWay => ("Refund on its way", Tone::Wait),
        DifferenceState::Repaired => ("Repaired", Tone::Good),
        DifferenceState::Rejected => ("Refund rejected", Tone::Quiet),
        DifferenceState::Explained => ("Explained", Tone::Good),
    }
}

/// The same of one difference, of which it is known what is proposed.
pub(crate) const fn stands(difference: &Difference) -> (&'static str, Tone) {
    match (difference.state, &difference.wanted) {
        (DifferenceState::Proposed, ApprovedAction::TakeOn { .. }) => {
            ("Taking on proposed", Tone::Wait)
        }
        (DifferenceState::Approved, ApprovedAction::TakeOn { .. }) => {
            ("Taking on approved", Tone::Wait)
        }
        (DifferenceState::Approved, ApprovedAction::Retry) => ("Refund tried again", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::Release) => ("Refund given up", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::Redirect) => ("Refund redirected", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::PayerPaid) => ("Payer paid", Tone::Wait),
        (DifferenceState::Proposed, ApprovedAction::Release) => ("Giving up proposed", Tone::Wait),
        (DifferenceState::Proposed, ApprovedAction::Redirect) => {
            ("Redirecting proposed", Tone::Wait)
        }
        (DifferenceState::Proposed, ApprovedAction::PayerPaid) => {
            ("Payer paid, to be approved", Tone::Wait)
        }
        (DifferenceState::Proposed, ApprovedAction::Explain) => {
            ("Explanation proposed", Tone::Wait)
        }
        (of, _) => state(of),
    }
}

/// What is carried out once it is approved.
pub(crate) fn wanted(wanted: &ApprovedAction) -> String {
    match wanted {
        ApprovedAction::Refund => "The money goes back to the payer".to_owned(),
        ApprovedAction::TakeOn { client_id } => format!(
            "The order is taken on again as paid, for client {}",
            client_id.as_str()
        ),
        ApprovedAction::Retry => "The refund is sent once more, under its number".to_owned(),
        ApprovedAction::Release => "The refund is given up and its money set free".to_owned(),
        ApprovedAction::Redirect => "The money goes to the merchant’s own account".to_owned(),
        ApprovedAction::PayerPaid => {
            "The payer was paid by other means, so nothing is owed any more".to_owned()
        }
        ApprovedAction::Explain => "The difference is right as it is, and is closed".to_owned(),
    }
}

/// How far the refund is that a difference waits for.
pub(crate) const fn stage(refund: &TrackedRefund) -> &'static str {
    match refund.stage {
        RefundStage::Moving => "on its way",
        RefundStage::Succeeded if refund.to_merchant => "on the merchant’s own account",
        RefundStage::Succeeded => "arrived",
        RefundStage::Abnormal => "abnormal: the payer’s account does not take it",
        RefundStage::Refused => "refused by WeChat Pay",
        RefundStage::Closed => "failed for good",
        RefundStage::Released => "released by a person",
    }
}

/// What a decision's button says.
pub(crate) const fn button(decision: Decision) -> &'static str {
    match decision {
        Decision::Propose => "Propose the refund",
        Decision::ProposePaid => "Propose to take it on as paid",
        Decision::Approve => "Approve",
        Decision::Reject => "Reject",
        Decision::Retry => "Try the refund again",
        Decision::Release => "Release the refund",
        Decision::Redirect => "Send it to the merchant’s account",
        Decision::PayerPaid => "The payer was paid",
        Decision::Explain => "Explain and close",
        Decision::Reopen => "Open it again",
    }
}

/// A person's proposal; `None` for a refund, which is shown like a run's proposal.
pub(crate) const fn proposed(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::ProposePaid => Some("Taking on proposed"),
        Decision::Redirect => Some("Redirecting proposed"),
        Decision::Release => Some("Giving up proposed"),
        Decision::PayerPaid => Some("Payer said to be paid"),
        Decision::Explain => Some("Explanation proposed"),
        Decision::Propose
        | Decision::Approve
        | Decision::Reject
        | Decision::Retry
        | Decision::Reopen => None,
    }
}

/// A person's decision about a refund, for the order's timeline.
pub(crate) fn about_refund(decision: &OperatorDecision) -> &'static str {
    match (decision.what, decision.to) {
        (RefundDecision::Retry, _) => "tried again",
        (RefundDecision::Release, _) => "released",
        (RefundDecision::Redirect, Some(Destination::Merchant)) => {
            "sent to the merchant’s own account"
        }
        (RefundDecision::Redirect, Some(Destination::User)) => {
            "sent to another card of the payer’s"
        }
        (RefundDecision::Redirect, None) => "sent on",
        (RefundDecision::PayerPaid, _) => "the payer was paid by other means",
    }
}

/// The message after a decision; `None` once the difference is in another state than the decision
/// led to.
pub(crate) fn done(decision: Decision, difference: &Difference) -> Option<&'static str> {
    let mut steps = difference.history.iter().rev();
    let last = steps.find_map(|step| step.decision);
    let is_last = last == Some(decision);
    // Each of these led there by its own step alone.
    let leads_anew = match decision {
        Decision::Release | Decision::Redirect | Decision::PayerPaid | Decision::Reopen => true,
        Decision::Propose
        | Decision::ProposePaid
        | Decision::Approve
        | Decision::Reject
        | Decision::Explain
        | Decision::Retry => false,
    };
    if leads_anew && !is_last {
        return None;
    }
    let led_to = match decision {
        Decision::Propose => (
            DifferenceState::Proposed,
            "The refund is proposed. A second, different person has to approve it.",
        ),
        Decision::ProposePaid => (
            DifferenceState::Proposed,
            "It is proposed to take the order on as paid. A second, different person has to approve it.",
        ),
        Decision::Approve if difference.state == DifferenceState::Proposed => {
            // After a run's new proposal there are no approvals.
            if difference.behind_the_proposal().is_empty() {
                return None;
            }
            (
                DifferenceState::Proposed,
                "One approval is kept. A second, different person has to approve too.",
            )
        }
        Decision::Approve if difference.state == DifferenceState::Explained => (
            DifferenceState::Explained,
            "The explanation is approved by two persons, and the difference is closed.",
        ),
        Decision::Approve => (
            DifferenceState::Approved,
            match &difference.wanted {
                ApprovedAction::Refund => "The refund is approved by two persons, and on its way.",
                ApprovedAction::TakeOn { .. } => {
                    "It is approved by two persons, and the order is being taken on."
                }
                ApprovedAction::Redirect => {
                    "It is approved by two persons, and the money is being sent to the merchant’s own account. Pay the payer by other means once it is there."
                }
                ApprovedAction::Release => {
                    "It is approved by two persons, and the refund is being given up, once WeChat Pay says that it has none."
                }
                ApprovedAction::Retry | ApprovedAction::PayerPaid | ApprovedAction::Explain => {
                    "It is approved by two persons, and is being carried out."
                }
            },
        ),
        Decision::Reject
            if difference.state == DifferenceState::Open
                && is_last
                && difference.refund_rejected =>
        {
            (
                DifferenceState::Open,
                "It is rejected, and no run proposes the refund again. For this amount the difference stays open until two persons have explained it.",
            )
        }
        Decision::Reject if difference.state == DifferenceState::Open && is_last => (
            DifferenceState::Open,
            "It is rejected, and the difference is as open as before.",
        ),
        Decision::Reject => (DifferenceState::Rejected, "It is rejected. No money moves."),
        Decision::Retry => (
            DifferenceState::Approved,
            "The refund is being sent once more.",
        ),
        Decision::Release => (
            DifferenceState::Proposed,
            "It is proposed to give the refund up. A second, different person has to approve it.",
        ),
        Decision::Redirect => (
            DifferenceState::Proposed,
            "It is proposed to send the money to the merchant’s own account. A second, different person has to approve it.",
        ),
        Decision::PayerPaid if difference.state == DifferenceState::Proposed => (
            DifferenceState::Proposed,
            "It is kept how the payer was paid. For this amount a second, different person has to approve it.",
        ),
        Decision::PayerPaid if difference.state == DifferenceState::Approved => (
            DifferenceState::Approved,
            "It is being written into the order’s journal how the payer was paid.",
        ),
        Decision::PayerPaid => (
            DifferenceState::Explained,
            "It stands in the order’s journal how the payer was paid, and the difference is closed.",
        ),
        Decision::Explain if difference.wanted == ApprovedAction::Explain => (
            DifferenceState::Proposed,
            "The explanation is kept. For this amount a second, different person has to approve it.",
        ),
        Decision::Explain => (
            DifferenceState::Explained,
            "The difference is explained and closed.",
        ),
        Decision::Reopen => (DifferenceState::Open, "The difference is open again."),
    };
    (led_to.0 == difference.state).then_some(led_to.1)
}

/// What the page says after a run was asked for, until one has begun.
pub(crate) const fn started(asked: RunForm) -> &'static str {
    if asked.dry_run {
        "A preview is on its way: it looks for differences and changes nothing else."
    } else {
        "A run is on its way."
    }
}

/// What a person must do about it in its present state.
pub(crate) fn what_to_do(difference: &Difference) -> &'static str {
    match (difference.state, &difference.refund) {
        (DifferenceState::Open, Some(refund)) => match refund.stage {
            RefundStage::Moving => "nothing: the refund is on its way",
            RefundStage::Abnormal => {
                "send the refund to the merchant’s own account and pay the payer by other means, or name another card of the payer’s in WeChat Pay’s console"
            }
            RefundStage::Refused => {
                "mend what WeChat Pay refuses it for and try the refund again; or release it and pay the payer by other means"
            }
            RefundStage::Closed => "decide anew about the money: the refund failed for good",
            RefundStage::Succeeded => "pay the payer by other means, then say how",
            RefundStage::Released => "explain how the payer was paid",
        },
        (DifferenceState::Open, None) if was_tried(difference) => {
            "read in its history what the run found out; do what that says, then explain it"
        }
        (DifferenceState::Open, None) if difference.refund_rejected => REJECTED,
        (DifferenceState::Open, None) => difference.what_to_do(),
        (DifferenceState::Proposed, _) => match &difference.wanted {
            ApprovedAction::TakeOn { .. } => {
                "make sure that the order is that client’s; approve to take it on as paid, or reject"
            }
            ApprovedAction::Refund | ApprovedAction::Retry => {
                "make sure that the money is not ours to keep; approve its refund, or reject it"
            }
            ApprovedAction::Redirect => {
                "make sure that the payer’s account does not take the money; approve to send it to the merchant’s own account, or reject"
            }
            ApprovedAction::Release => {
                "make sure that the payer is paid by other means; approve to give the refund up, or reject"
            }
            ApprovedAction::PayerPaid => {
                "make sure that the payer was paid as it is said; approve, or reject"
            }
            ApprovedAction::Explain => "make sure that the explanation holds; approve, or reject",
        },
        (DifferenceState::Approved, _) => "nothing: it is being carried out",
        (DifferenceState::OnItsWay, _) => "nothing: it is repaired once the money has arrived",
        (DifferenceState::Rejected, _) => {
            "nothing if the money stays; else propose anew what is to become of it, or explain how it was settled"
        }
        (DifferenceState::Repaired, _) => "nothing: both sides agree, or the money is back",
        (DifferenceState::Explained, _) => {
            "nothing: it is said why it is right as it is; open it again if that does not hold"
        }
    }
}

/// What a person must do about a difference that stays open because its amount, above the limit for
/// one person, is not to be refunded.
const REJECTED: &str = "its refund is rejected, and no run proposes it again: explain why the money stays, or propose anew what is to become of it";

/// Whether a run has tried to repair it and failed. It would fail again. An aggregated difference
/// is counted again by each run, and the next run may repair a part of it.
fn was_tried(difference: &Difference) -> bool {
    if difference.aggregate.is_some() {
        return false;
    }
    let mut latest = difference.history.iter().rev();
    match (latest.next(), latest.next()) {
        (Some(last), Some(before)) => {
            let by_run = matches!(last.who, Actor::Run(_));
            by_run && (before.to, last.to) == (DifferenceState::Open, DifferenceState::Open)
        }
        (_, None) | (None, _) => false,
    }
}

/// Who must act next.
pub(crate) fn next(difference: &Difference) -> String {
    match difference.state {
        DifferenceState::Open => match (&difference.refund, difference.remedy()) {
            (Some(refund), _) => of_refund(refund).to_owned(),
            (None, _) if was_tried(difference) => {
                "A person: look at what the run found out, then explain".to_owned()
            }
            (None, _) if difference.refund_rejected => {
                "A person: explain, or propose anew what is to become of it".to_owned()
            }
            (None, _) if goes_on_by_runs(difference) => "A person: run the day again".to_owned(),
            (None, Remedy::Settle(_)) => "The next run; a person if it stays open".to_owned(),
            (None, Remedy::Refund(_)) => "A person: propose the refund, or explain".to_owned(),
            (None, Remedy::Operator) => "A person: look, then explain".to_owned(),
        },
        DifferenceState::Proposed => {
            let behind = difference.behind_the_proposal();
            match behind.as_slice() {
                [] => format!("{PERSONS} persons: approve or reject"),
                [first, ..] => format!("A person other than {first}: approve or reject"),
            }
        }
        DifferenceState::Approved => match difference.wanted {
            ApprovedAction::Refund => "The system: the refund is being made".to_owned(),
            ApprovedAction::TakeOn { .. }
            | ApprovedAction::Retry
            | ApprovedAction::Release
            | ApprovedAction::Redirect
            | ApprovedAction::PayerPaid
            | ApprovedAction::Explain => "The system: it is being carried out".to_owned(),
        },
        DifferenceState::OnItsWay => "Nobody: the refund is on its way".to_owned(),
        DifferenceState::Rejected => "Nobody, unless it is proposed anew".to_owned(),
        DifferenceState::Repaired | DifferenceState::Explained => "Nobody".to_owned(),
    }
}

/// Whether these are more than one run takes, and each run takes the next ones of them.
fn goes_on_by_runs(difference: &Difference) -> bool {
    difference.aggregate.is_some() && difference.kind.remedy() != Remedy::Operator
}

/// Who acts next about a refund that does not get on.
const fn of_refund(refund: &TrackedRefund) -> &'static str {
    match refund.stage {
        RefundStage::Moving => "Nobody: the refund is on its way",
        RefundStage::Abnormal => "A person: send the refund to the merchant’s account, or explain",
        RefundStage::Refused => "A person: try the refund again, release it, or explain",
        RefundStage::Closed => "A person: propose another refund, or explain",
        RefundStage::Succeeded => "A person: pay the payer, then say how",
        RefundStage::Released => "A person: explain how the payer was paid",
    }
}

/// The texts about a day's run.
pub(crate) struct RunText {
    pub(crate) tone: Tone,
    pub(crate) headline: &'static str,
    /// What the run noted of its trouble.
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

/// When the daily run has begun at the latest, in seconds after the end of its day: it is due at
/// 10:30.
const RUN_BY_S: i64 = 10 * 3600 + 45 * 60;

/// Whether the time of a day's run is over.
pub(crate) fn is_overdue(date: BillDate, now: UnixSeconds) -> bool {
    now >= date.ends_at().plus_s(RUN_BY_S)
}

/// Those of these days whose run is missing. Of the last day that is one that did not come, from
/// 10:45 on; from 13:00 on it is one that is not done.
pub(crate) fn missing_days(
    days: &[BillDate],
    runs: &[(BillDate, DayRuns)],
    repairs: bool,
    now: UnixSeconds,
) -> Vec<BillDate> {
    let late = lateness::last_late(now);
    let mut missing = day_runs::missing_days(runs, days, late, repairs);
    let yesterday = lateness::yesterday(now);
    if late < yesterday && days.contains(&yesterday) && is_overdue(yesterday, now) {
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

/// A day's run in words, with what is left of what it found. `later_are_done` says whether the runs
/// are through to whose days' bills something was left.
pub(crate) fn run(
    date: BillDate,
    run: Option<&Run>,
    found: &DayListing,
    later_are_done: bool,
    now: UnixSeconds,
) -> RunText {
    let Some(run) = run else {
        let today = BillDate::of(now);
        return if date < today.plus_days(-BILLS_LAST_DAYS) {
            RunText::new(
                Tone::Quiet,
                "Not reconciled",
                "No run has looked at this day, and WeChat Pay keeps no bill of it any more.",
            )
        } else if is_overdue(date, now) {
            RunText::new(
                Tone::Bad,
                "Not reconciled",
                "No run has looked at this day, though its time, 10:30 on the next day, is over. Run it now, and let on-call see why the daily run did not come.",
            )
        } else {
            RunText::new(
                Tone::Quiet,
                "Not reconciled",
                "No run has looked at this day. The daily run does so at 10:30 on the next day, once WeChat Pay has made its bill.",
            )
        };
    };
    let bill_is_late = now >= lateness::late_at(date);
    let words = match run.state {
        RunState::Waiting if bill_is_late => RunText::new(
            Tone::Bad,
            "WeChat Pay’s bill is late",
            "WeChat Pay makes a day’s bill by 10:00 of the next day, and it is past 13:00. The run still asks for it by itself; ask WeChat Pay for it too.",
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
        RunState::Running if is_stuck(run, now) => RunText::new(
            Tone::Bad,
            "Stuck",
            "It wrote nothing for longer than a run may be silent. Run it again; if that sticks too, look into the log of the function reconcile and the dead letters of its queue.",
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
                "load the page anew in a minute."
            };
            RunText::new(Tone::Wait, "Running", format!("{parts}; {next}"))
        }
        RunState::Failed => RunText::new(
            Tone::Bad,
            "Failed",
            "The run ended without a verdict. A bill that is of no use is fetched anew by itself, four times, half an hour apart. Else, and after that, run the day again; if it fails again, look into the log of the function reconcile.",
        ),
        RunState::Done => {
            let words = done_run(run, found, later_are_done);
            return match &run.funds {
                Some(funds) => with_funds(words, funds, now.since(run.updated_at)),
                None => words,
            };
        }
    };
    RunText {
        trouble: run.trouble.as_deref().map(sentence),
        ..words
    }
}

/// The text about a run whose trade side is done, with the state of its fund side.
fn with_funds(words: RunText, funds: &FundSide, silent_s: i64) -> RunText {
    let (tone, headline, of_funds) = match funds.state {
        FundState::Done => return words,
        FundState::Failed => (
            Tone::Bad,
            "Trades are judged, the fund side failed",
            "The trades are judged, and that stands. Of the account’s movements nothing is said. When the cause is mended, run the day again.",
        ),
        FundState::Pending | FundState::Waiting | FundState::Running
            if is_silent(silent_s, funds.trouble.is_some()) =>
        {
            (
                Tone::Bad,
                "Trades are judged, the fund side is stuck",
                "The fund side wrote nothing for longer than it may be silent. Run the day again; if that sticks too, look into the log of the function reconcile and the dead letters of its queue.",
            )
        }
        FundState::Pending | FundState::Running if funds.trouble.is_none() => (
            Tone::Wait,
            "Trades are judged, the fund side runs",
            "The account’s movements are being judged: load the page anew in a minute.",
        ),
        FundState::Pending | FundState::Running | FundState::Waiting => (
            Tone::Wait,
            "Trades are judged, the fund side waits",
            "The account’s movements are not judged yet. The run comes back for them by itself, after a pause of half an hour at most.",
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
        let detail = match waiting {
            1 => "One difference still needs somebody.".to_owned(),
            more => format!("{more} differences still need somebody."),
        };
        RunText::new(Tone::Bad, "Done, with open differences", detail)
    } else if found.breakdown.is_open_with_next_day() {
        RunText::new(
            Tone::Bad,
            "Done, with open differences",
            "What was left to the next day’s bill is not in that one either: it is among that day’s differences, and needs somebody.",
        )
    } else if under_way > 0 {
        RunText::new(
            Tone::Wait,
            "Done, refunds are on their way",
            "Everything is decided. What is approved is being given back, and is repaired once the money has arrived.",
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
            "WeChat Pay’s bills and our books say the same of what can be judged by now.",
        )
    } else {
        RunText::new(
            Tone::Good,
            "Both sides agree",
            "WeChat Pay’s bills and our books say the same of every trade of this day.",
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
        (1, true) => format!("One trade is judged with {bills}."),
        (more, true) => format!("{} trades are judged with {bills}.", count(more)),
        (1, false) => {
            format!("One trade was left to {bills}: what came of it is on {page}.")
        }
        (more, false) => format!(
            "{} trades were left to {bills}: what came of them is on {page}.",
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

/// For how many days trades of the day may wait: those near midnight for one, the account's for as
/// many as the contract says.
pub(crate) fn left_for_days(run: &Run) -> u8 {
    let funds = run.funds.as_ref().filter(|funds| funds.carried() > 0);
    funds.map_or(1, |funds| funds.settlement_days.max(1))
}

/// Whether a run that is under way is silent for longer than it may be: a Lambda function's longest
/// time, and before it, where something was in the way, the longest pause before the next try.
pub(crate) fn is_stuck(run: &Run, now: UnixSeconds) -> bool {
    is_silent(now.since(run.updated_at), run.trouble.is_some())
}

/// Whether a side of a run has written nothing for this many seconds, which is too long.
const fn is_silent(silent_s: i64, has_trouble: bool) -> bool {
    let pause_s = if has_trouble { 1_800 } else { 0 };
    silent_s > pause_s + 900
}

/// The state of a part of the gap.
pub(crate) const fn end(end: GapStatus) -> &'static str {
    match end {
        GapStatus::Repaired => "Repaired since",
        GapStatus::Explained => "Explained",
        GapStatus::Rejected => "Rejected",
        GapStatus::OnItsWay => "Decided, on its way",
        GapStatus::Open => "Open",
        GapStatus::OtherDays => "In no difference",
    }
}

/// A bill's name.
pub(crate) const fn bill(bill: BillName) -> &'static str {
    match bill {
        BillName::Trade => "All trades",
        BillName::FundBasic => "Basic account",
        BillName::FundOperation => "Operation account",
        BillName::FundFees => "Fees account",
    }
}

/// A bill in the midst of a sentence.
pub(crate) const fn which_bill(bill: Option<BillName>) -> &'static str {
    match bill {
        Some(BillName::Trade) => "the trade bill",
        Some(BillName::FundBasic) => "the fund bill of the basic account",
        Some(BillName::FundOperation) => "the fund bill of the operation account",
        Some(BillName::FundFees) => "the fund bill of the fees account",
        None => "the bill",
    }
}

/// `2026-08-01 12:00:01`, in Beijing.
pub(crate) fn moment(at: UnixSeconds) -> String {
    let text = format_rfc3339_beijing(at);
    let text = text.split('+').next().unwrap_or_default();
    text.replace('T', " ")
}

/// `Saturday, 1 August 2026`.
pub(crate) fn long_day(date: BillDate) -> String {
    const WEEKDAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    // 1970-01-01 was a Thursday; Beijing is eight hours ahead.
    let days = date
        .starts_at()
        .0
        .saturating_add(8 * 3600)
        .div_euclid(86_400);
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or_default();
    let weekday = WEEKDAYS.get(weekday).copied().unwrap_or_default();
    let text = date.to_string();
    let year = text.split('-').next().unwrap_or_default();
    format!("{weekday}, {} {year}", day_and_month(date, Month::Long))
}

/// How a month is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Month {
    Long,
    Short,
}

/// `1 August` or `1 Aug`.
pub(crate) fn day_and_month(date: BillDate, month: Month) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let text = date.to_string();
    let mut parts = text.split('-').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let (of_year, day) = (number().unwrap_or(1), number().unwrap_or_default());
    let name = MONTHS
        .get(of_year.wrapping_sub(1))
        .copied()
        .unwrap_or_default();
    let name = match month {
        Month::Long => name,
        Month::Short => name.get(..3).unwrap_or(name),
    };
    format!("{day} {name}")
}

/// Our text as a sentence; texts of others may already end with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use payments::reconcile::{
        difference::{Aggregate, DifferenceKind, DifferenceSubject},
        run::PartDone,
    };

    use super::*;
    use crate::input::Filter;

    const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

    fn date() -> BillDate {
        BillDate::parse("2026-08-01").unwrap()
    }

    fn run(
        run: Option<&Run>,
        items: &[Difference],
        later_are_done: bool,
        now: UnixSeconds,
    ) -> RunText {
        let found = DayListing::with(items.iter().cloned(), Filter::default());
        super::run(date(), run, &found, later_are_done, now)
    }

    fn found_by(run: &str, kind: DifferenceKind) -> Difference {
        let about = DifferenceSubject {
            transaction_id: Some("4200001".to_owned()),
            ..DifferenceSubject::default()
        };
        let there = payments::reconcile::difference::SideView {
            amount_fen: Some(100),
            ..Default::default()
        };
        Difference::found(date(), kind, about, Some(there), None, run, NOW)
    }

    fn run_that(state: RunState) -> Run {
        let mut run = Run::begun(date(), "run-1", false, NOW);
        run.state = state;
        if state == RunState::Done {
            run.funds.as_mut().unwrap().state = FundState::Done;
        }
        run
    }

    #[test]
    fn the_fund_side_is_told_beside_trades_that_are_judged_and_never_hides_what_they_came_to() {
        let mut done = run_that(RunState::Done);
        let open = found_by("run-1", DifferenceKind::AmountDiffers);
        for (state, trouble, silent_s, headline, tone) in [
            (
                FundState::Running,
                None,
                0,
                "the fund side runs",
                Tone::Wait,
            ),
            (
                FundState::Pending,
                None,
                901,
                "the fund side is stuck",
                Tone::Bad,
            ),
            (
                FundState::Waiting,
                Some("no bill yet"),
                901,
                "the fund side waits",
                Tone::Wait,
            ),
            (
                FundState::Failed,
                Some("refused"),
                0,
                "the fund side failed",
                Tone::Bad,
            ),
        ] {
            let funds = done.funds.as_mut().unwrap();
            (funds.state, funds.trouble) = (state, trouble.map(str::to_owned));
            let now = UnixSeconds(NOW.0 + silent_s);
            let told = run(Some(&done), &[], true, now);
            assert!(told.headline.ends_with(headline), "{}", told.headline);
            assert_eq!(told.tone, tone, "{headline}");
            assert_eq!(told.trouble, trouble.map(sentence));
            assert!(told.detail.contains("say the same of every trade"));
            let told = run(Some(&done), std::slice::from_ref(&open), true, now);
            assert_eq!(told.tone, Tone::Bad);
            assert!(told.detail.contains("One difference still needs somebody"));
        }
    }

    #[test]
    fn trades_that_are_settled_later_are_left_to_as_many_days() {
        let mut waits = run_that(RunState::Done);
        let funds = waits.funds.as_mut().unwrap();
        funds.settlement_days = 7;
        let part = payments::reconcile::run::FundsDone {
            carried: 2,
            ..Default::default()
        };
        funds.parts_done.insert(0, part);
        let told = run(Some(&waits), &[], false, NOW);
        assert!(
            told.detail
                .contains("2 trades are judged with the bills of the next 7 days"),
            "{}",
            told.detail
        );
    }

    fn left_to_the_next_day(carried: u64) -> Run {
        let mut run = run_that(RunState::Done);
        let part = PartDone {
            carried,
            ..PartDone::default()
        };
        run.parts_done.insert(0, part);
        run
    }

    #[test]
    fn both_sides_agree_only_so_far_while_trades_wait_for_the_next_days_bills() {
        let waits = left_to_the_next_day(3);
        let told = run(Some(&waits), &[], false, NOW);
        assert_eq!(told.tone, Tone::Wait);
        assert_eq!(told.headline, "Both sides agree so far");
        assert!(
            told.detail
                .contains("3 trades are judged with the next day’s bills"),
            "{}",
            told.detail
        );
        assert!(!told.detail.contains("every trade"), "{}", told.detail);

        let judged = run(Some(&waits), &[], true, NOW);
        assert_eq!(judged.tone, Tone::Good);
        assert!(judged.detail.contains("on that day’s page"));
        let whole = run(Some(&left_to_the_next_day(0)), &[], false, NOW);
        assert_eq!(whole.tone, Tone::Good);
        assert!(whole.detail.ends_with("every trade of this day."));

        let explained = found_by("run-1", DifferenceKind::AmountDiffers)
            .decided(Decision::Explain, "li", "a discount", NOW)
            .unwrap();
        let told = run(Some(&left_to_the_next_day(1)), &[explained], false, NOW);
        assert_eq!((told.tone, told.headline), (Tone::Wait, "Done so far"));
        assert!(told.detail.contains("One trade is judged"));
        let open = found_by("run-1", DifferenceKind::AmountDiffers);
        let told = run(Some(&waits), &[open], false, NOW);
        assert_eq!(told.tone, Tone::Bad);
        assert!(told.detail.contains("3 trades"), "{}", told.detail);
    }

    #[test]
    fn a_run_in_trouble_says_what_it_is_and_what_to_do() {
        let trouble = "not now: DynamoDB did not answer";
        for (state, silent_s, headline, advice) in [
            (RunState::Running, 0, "Running", "tries again by itself"),
            (RunState::Running, 2_701, "Stuck", "Run it again"),
            (RunState::Failed, 0, "Failed", "run the day again"),
        ] {
            let mut run = run_that(state);
            run.trouble = Some(trouble.to_owned());
            let told = self::run(Some(&run), &[], false, UnixSeconds(NOW.0 + silent_s));
            assert_eq!(told.headline, headline);
            let expected = Some("Not now: DynamoDB did not answer.");
            assert_eq!(told.trouble.as_deref(), expected, "{headline}");
            assert!(told.detail.contains(advice), "{}", told.detail);
        }
    }

    #[test]
    fn a_run_that_pauses_before_its_next_try_is_not_stuck() {
        let mut run = run_that(RunState::Running);
        let at = |silent_s| UnixSeconds(NOW.0 + silent_s);
        assert!(!is_stuck(&run, at(900)) && is_stuck(&run, at(901)));
        run.trouble = Some("not now".to_owned());
        assert!(!is_stuck(&run, at(2_700)) && is_stuck(&run, at(2_701)));
    }

    #[test]
    fn a_day_without_a_run_is_red_once_its_time_is_over_and_a_bill_that_is_late_too() {
        let end = date().ends_at().0;
        let waits = run_that(RunState::Waiting);
        for (run, hour, minute, tone) in [
            (None, 10, 30, Tone::Quiet),
            (None, 10, 44, Tone::Quiet),
            (None, 10, 45, Tone::Bad),
            (Some(&waits), 12, 59, Tone::Wait),
            (Some(&waits), 13, 0, Tone::Bad),
        ] {
            let now = UnixSeconds(end + hour * 3600 + minute * 60);
            assert_eq!(self::run(run, &[], true, now).tone, tone, "{hour}:{minute}");
        }
    }

    #[test]
    fn a_day_whose_bill_is_gone_does_not_ask_for_a_run() {
        let today = |days| UnixSeconds(date().plus_days(days).starts_at().0);
        let gone = run(None, &[], true, today(BILLS_LAST_DAYS + 1));
        assert_eq!(gone.tone, Tone::Quiet);
        assert!(gone.detail.contains("no bill of it any more"));
        let last = run(None, &[], true, today(BILLS_LAST_DAYS));
        assert_eq!(last.tone, Tone::Bad);
        assert!(last.detail.contains("Run it now"), "{}", last.detail);
    }

    #[test]
    fn where_the_daily_run_only_looks_its_preview_is_the_run_that_has_to_come() {
        let preview = Run::begun(date(), "run-1", true, NOW);
        let previewed = DayRuns::new(None, Some(preview));
        assert!(!has_come(&previewed, true) && has_come(&previewed, false));
        let run = DayRuns::new(Some(run_that(RunState::Done)), None);
        assert!(has_come(&run, true) && has_come(&run, false));
        let none = DayRuns::default();
        assert!(!has_come(&none, true) && !has_come(&none, false));
    }

    #[test]
    fn a_day_is_missing_from_1045_on_without_a_run_and_from_1300_on_until_one_is_done() {
        let day = |back: i64| date().plus_days(-back);
        let run_of = |back, state| {
            let mut run = Run::begun(day(back), "run-1", false, day(back).ends_at());
            run.state = state;
            (day(back), DayRuns::new(Some(run), None))
        };
        let days: Vec<BillDate> = (0..6).rev().map(day).collect();
        let missing = |runs: &[(BillDate, DayRuns)], hour: i64, minute: i64| {
            let now = date().ends_at().0 + hour * 3600 + minute * 60;
            missing_days(&days, runs, true, UnixSeconds(now))
        };
        let mut runs = vec![
            run_of(5, RunState::Done),
            run_of(2, RunState::Failed),
            run_of(1, RunState::Done),
        ];
        let earlier = [day(4), day(3), day(2)];
        assert_eq!(missing(&runs, 10, 44), earlier);
        let all = [day(4), day(3), day(2), day(0)];
        assert_eq!(missing(&runs, 10, 45), all);
        assert_eq!(missing(&runs, 13, 0), all);
        runs.push(run_of(0, RunState::Waiting));
        assert_eq!(missing(&runs, 12, 59), earlier, "its bill may come");
        assert_eq!(missing(&runs, 13, 0), all);
        runs.pop();
        runs.push(run_of(0, RunState::Done));
        assert_eq!(missing(&runs, 13, 0), earlier);
    }

    #[test]
    fn what_more_than_one_run_takes_is_taken_on_by_running_the_day_again() {
        let many = |kind, count| {
            let aggregate = Aggregate {
                count,
                amount_fen: 100,
                examples: Vec::new(),
                part: 0,
            };
            Difference::of_many(date(), kind, aggregate, "run-1", NOW)
        };
        let kind = DifferenceKind::PaidThereUnpaidHere;
        let anew = many(kind, 9).counted_anew(&many(kind, 7), "run-2", NOW);
        for one in [many(kind, 9), anew] {
            assert!(what_to_do(&one).starts_with("run the day again"));
            assert_eq!(next(&one), "A person: run the day again");
        }
        let fees = many(DifferenceKind::FeeOffTheRate, 9);
        assert_eq!(next(&fees), "A person: look, then explain");
    }

    #[test]
    fn what_to_do_and_who_acts_next_follow_where_the_difference_stands() {
        let refund_no = payments::model::ids::RefundNo::parse("second-4200001").unwrap();
        let at = |one: &Difference, stage| {
            let refund_no = refund_no.clone();
            let followed = TrackedRefund {
                refund_no,
                stage,
                to_merchant: false,
            };
            one.told(&followed, "run-2", NOW).unwrap()
        };
        let says = |one: &Difference, what: &str, who: &str| {
            assert!(what_to_do(one).starts_with(what), "{}", what_to_do(one));
            assert!(next(one).starts_with(who), "{}", next(one));
        };
        let twice = found_by("run-1", DifferenceKind::DuplicatePayment);
        says(
            &twice,
            "approve the refund of the second",
            "A person: propose",
        );
        let proposed = twice.proposed("run-1", "twice", NOW);
        says(
            &proposed,
            "make sure that the money is not ours",
            "2 persons",
        );
        let rejected = proposed.decided(Decision::Reject, "li", "no", NOW).unwrap();
        says(&rejected, "nothing if the money stays", "Nobody, unless");
        let large = Difference {
            there: None,
            ..proposed.clone()
        };
        let rejected = large.decided(Decision::Reject, "li", "no", NOW).unwrap();
        says(&rejected, "its refund is rejected", "A person: explain, or");
        let told = done(Decision::Reject, &rejected).unwrap();
        assert!(told.contains("no run proposes the refund again"), "{told}");
        let once = proposed
            .decided(Decision::Approve, "li", "yes", NOW)
            .unwrap();
        let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
        says(&approved, "nothing: it is being carried out", "The system");
        says(
            &at(&approved, RefundStage::Moving),
            "nothing: it is repaired once",
            "Nobody",
        );
        says(
            &at(&approved, RefundStage::Abnormal),
            "send the refund",
            "A person: send",
        );
        says(
            &at(&approved, RefundStage::Refused),
            "mend what",
            "A person: try",
        );
        says(
            &at(&approved, RefundStage::Succeeded),
            "nothing: both sides",
            "Nobody",
        );

        let lost = found_by("run-1", DifferenceKind::PaidThereUnpaidHere);
        says(&lost, "nothing: WeChat Pay is asked", "The next run");
        let noted = lost.noted("run-1", "WeChat Pay says something else", NOW);
        says(&noted, "read in its history", "A person: look");
    }

    #[test]
    fn a_difference_is_not_green_before_its_money_has_arrived() {
        let refund_no = payments::model::ids::RefundNo::parse("second-4200001").unwrap();
        let told = |one: &Difference, stage| {
            let followed = TrackedRefund {
                refund_no: refund_no.clone(),
                stage,
                to_merchant: false,
            };
            one.told(&followed, "run-2", NOW).unwrap()
        };
        let proposed =
            found_by("run-1", DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
        let once = proposed.decided(Decision::Approve, "li", "yes", NOW);
        let approved = once.unwrap().decided(Decision::Approve, "wang", "yes", NOW);
        let moving = told(&approved.unwrap(), RefundStage::Moving);
        let day = |one: &Difference| {
            run(
                Some(&left_to_the_next_day(0)),
                std::slice::from_ref(one),
                true,
                NOW,
            )
        };
        assert_eq!(stands(&moving), ("Refund on its way", Tone::Wait));
        assert_eq!(next(&moving), "Nobody: the refund is on its way");
        assert_eq!(day(&moving).tone, Tone::Wait);

        let abnormal = told(&moving, RefundStage::Abnormal);
        assert_eq!(stands(&abnormal), ("Open", Tone::Bad));
        assert!(next(&abnormal).starts_with("A person: send the refund"));
        assert_eq!(day(&abnormal).tone, Tone::Bad);

        let arrived = told(&abnormal, RefundStage::Succeeded);
        assert_eq!(stands(&arrived), ("Repaired", Tone::Good));
        assert_eq!(day(&arrived).tone, Tone::Good);
    }

    #[test]
    fn what_is_said_after_a_decision_is_so_as_the_difference_stands() {
        let open = found_by("run-1", DifferenceKind::DuplicatePayment);
        let by_run = open.proposed("run-1", "to be given back", NOW);
        let once = by_run
            .decided(Decision::Approve, "li", "twice", NOW)
            .unwrap();
        let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
        let repaired = approved.repaired("run-2", "given back", NOW);
        let rejected = once.decided(Decision::Reject, "wang", "no", NOW).unwrap();
        let says = |decision, one: &Difference| done(decision, one).unwrap_or_default();
        assert!(says(Decision::Approve, &once).contains("One approval is kept"));
        assert!(says(Decision::Approve, &approved).contains("approved by two persons"));
        assert!(says(Decision::Reject, &rejected).contains("rejected"));
        assert!(says(Decision::Propose, &once).contains("proposed"));
        let explained = open.decided(Decision::Explain, "li", "once", NOW).unwrap();
        assert!(says(Decision::Explain, &explained).contains("explained and closed"));
        let reopened = explained.decided(Decision::Reopen, "wang", "not so", NOW);
        assert!(says(Decision::Reopen, &reopened.unwrap()).contains("open again"));
        let large = Difference {
            there: None,
            ..open.clone()
        };
        let explained = large.decided(Decision::Explain, "li", "once", NOW).unwrap();
        assert!(says(Decision::Explain, &explained).contains("a second, different person"));
        assert_eq!(stands(&explained), ("Explanation proposed", Tone::Wait));
        assert_eq!(
            next(&explained),
            "A person other than li: approve or reject"
        );
        let turned_down = explained.decided(Decision::Reject, "wang", "no", NOW);
        assert!(says(Decision::Reject, &turned_down.unwrap()).contains("as open as before"));
        let explained = explained.decided(Decision::Approve, "wang", "yes", NOW);
        assert!(says(Decision::Approve, &explained.unwrap()).contains("approved by two persons"));
        for (decision, one) in [
            (Decision::Approve, &open),
            (Decision::Approve, &by_run),
            (Decision::Approve, &rejected),
            (Decision::Approve, &repaired),
            (Decision::Propose, &open),
            (Decision::Propose, &approved),
            (Decision::Reject, &once),
            (Decision::Explain, &repaired),
            (Decision::Reopen, &repaired),
            (Decision::PayerPaid, &open),
        ] {
            assert_eq!(done(decision, one), None, "{decision:?}, {:?}", one.state);
        }
    }

    #[test]
    fn days_are_told_as_people_say_them() {
        for (date, long, short) in [
            ("2026-08-01", "Saturday, 1 August 2026", "1 Aug"),
            ("2026-11-26", "Thursday, 26 November 2026", "26 Nov"),
            ("2024-02-29", "Thursday, 29 February 2024", "29 Feb"),
        ] {
            let date = BillDate::parse(date).unwrap();
            assert_eq!(long_day(date), long);
            assert_eq!(day_and_month(date, Month::Short), short);
        }
        assert_eq!(moment(UnixSeconds(1_785_556_801)), "2026-08-01 12:00:01");
    }
}
