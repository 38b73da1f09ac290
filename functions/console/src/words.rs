//! Names and sentences that pages and the CSV file share.

use payments::reconcile::{
    difference::{Decision, Difference, Kind, PERSONS, Remedy, State},
    run::{BillDate, BillName, Run, RunState},
};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::asked::RunAsked;

/// How something looks at a glance.
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

/// A kind's heading.
pub(crate) const fn kind_title(kind: Kind) -> &'static str {
    match kind {
        Kind::PaidThereUnpaidHere => "Paid at WeChat Pay, unpaid in our books",
        Kind::PaidHereAbsentThere => "Paid in our books, not in the bill",
        Kind::AmountDiffers => "Payment with another amount",
        Kind::StatusDiffers => "Payment that did not succeed",
        Kind::IdentityDiffers => "Payment to another appid or merchant, or in another currency",
        Kind::UnknownOrderThere => "Payment of an unknown order",
        Kind::DuplicatePayment => "Second payment of an order",
        Kind::RefundThereUnknownHere => "Refund that our books do not have",
        Kind::RefundHereAbsentThere => "Refund that the bill does not have",
        Kind::RefundAmountDiffers => "Refund with another amount",
        Kind::RefundStateDiffers => "Refund in another state",
        Kind::FeeOffTheRate => "Fee off the agreed rate",
        Kind::FundFlowWithoutTrade => "Account movement without a trade",
        Kind::TradeWithoutFundFlow => "Trade without an account movement",
        Kind::SummaryDiffers => "The bill's own sum is wrong",
    }
}

/// A state's name on its chip, and its look.
pub(crate) const fn state(state: State) -> (&'static str, Tone) {
    match state {
        State::Open => ("Open", Tone::Bad),
        State::Proposed => ("Refund proposed", Tone::Wait),
        State::Approved => ("Refund approved", Tone::Wait),
        State::Repaired => ("Repaired", Tone::Good),
        State::Rejected => ("Refund rejected", Tone::Quiet),
        State::Explained => ("Explained", Tone::Good),
    }
}

/// What a decision's button says.
pub(crate) const fn button(decision: Decision) -> &'static str {
    match decision {
        Decision::Propose => "Propose the refund",
        Decision::Approve => "Approve the refund",
        Decision::Reject => "Reject the refund",
        Decision::Explain => "Explain and close",
    }
}

/// What the page says after a decision; nothing once the difference stands elsewhere than the decision led to.
pub(crate) fn done(decision: Decision, difference: &Difference) -> Option<&'static str> {
    let led_to = match decision {
        Decision::Propose => (
            State::Proposed,
            "The refund is proposed. A second, different person has to approve it.",
        ),
        Decision::Approve if difference.state == State::Proposed => {
            // After a run proposed anew nobody stands behind it.
            if difference.behind_the_proposal().is_empty() {
                return None;
            }
            (
                State::Proposed,
                "One approval is kept. A second, different person has to approve the refund too.",
            )
        }
        Decision::Approve => (
            State::Approved,
            "The refund is approved by two persons, and on its way.",
        ),
        Decision::Reject => (State::Rejected, "The refund is rejected. No money moves."),
        Decision::Explain => (State::Explained, "The difference is explained and closed."),
    };
    (led_to.0 == difference.state).then_some(led_to.1)
}

/// What the page says after a run was asked for, until one has begun.
pub(crate) const fn started(asked: RunAsked) -> &'static str {
    if asked.dry_run {
        "A preview is on its way: it looks for differences and changes nothing else."
    } else {
        "A run is on its way."
    }
}

/// Who has to do something next.
pub(crate) fn next(difference: &Difference) -> String {
    match difference.state {
        State::Open => match difference.kind.remedy() {
            Remedy::Settle(_) => "The next run; a person if it stays open".to_owned(),
            Remedy::Refund(_) => "A person: propose the refund, or explain".to_owned(),
            Remedy::Person => "A person: look, then explain".to_owned(),
        },
        State::Proposed => {
            let behind = difference.behind_the_proposal();
            match behind.as_slice() {
                [] => format!("{PERSONS} persons: approve or reject"),
                [first, ..] => format!("A person other than {first}: approve or reject"),
            }
        }
        State::Approved => "The system: the refund is on its way".to_owned(),
        State::Rejected => "Nobody, unless it is proposed anew".to_owned(),
        State::Repaired | State::Explained => "Nobody".to_owned(),
    }
}

/// What is told of a day's run: its look, a headline, and what it means or what to do next.
pub(crate) struct RunWords {
    pub(crate) tone: Tone,
    pub(crate) headline: &'static str,
    pub(crate) detail: String,
}

/// A day's run in words, with what is left of what it found.
pub(crate) fn run(run: Option<&Run>, found: &[Difference], now: UnixSeconds) -> RunWords {
    let Some(run) = run else {
        return RunWords {
            tone: Tone::Quiet,
            headline: "Not reconciled",
            detail: "No run has looked at this day. The daily run does so on the next day, once WeChat Pay has made its bill."
                .to_owned(),
        };
    };
    let under_way = found.iter().filter(|one| one.state == State::Approved);
    let under_way = under_way.count();
    let waiting = found.iter().filter(|one| one.state.needs_somebody());
    let waiting = waiting.count().saturating_sub(under_way);
    let trouble = || run.trouble.clone().unwrap_or_default();
    match run.state {
        RunState::Waiting => RunWords {
            tone: Tone::Wait,
            headline: "Waiting for WeChat Pay’s bill",
            detail: or(
                trouble(),
                "WeChat Pay makes a day’s bill by 10:00 of the next day. The run comes back by itself; there is nothing to do.",
            ),
        },
        RunState::Running if is_stuck(run, now) => RunWords {
            tone: Tone::Bad,
            headline: "Stuck",
            detail: "It wrote nothing for a quarter of an hour, longer than a run may be silent. Run it again; if that sticks too, look into the log of the function reconcile and the dead letters of its queue."
                .to_owned(),
        },
        RunState::Running => RunWords {
            tone: Tone::Wait,
            headline: "Running",
            detail: format!(
                "{} of {} parts of the day are done. What is shown is not final; load the page anew in a minute.",
                run.parts_done.len(),
                run.parts
            ),
        },
        RunState::Failed => RunWords {
            tone: Tone::Bad,
            headline: "Failed",
            detail: or(
                trouble(),
                "The run ended without a verdict. Run it again; if it fails again, look into the log of the function reconcile.",
            ),
        },
        RunState::Done if waiting > 0 => RunWords {
            tone: Tone::Bad,
            headline: "Done, with open differences",
            detail: match waiting {
                1 => "One difference still needs somebody.".to_owned(),
                more => format!("{more} differences still need somebody."),
            },
        },
        RunState::Done if under_way > 0 => RunWords {
            tone: Tone::Wait,
            headline: "Done, refunds are on their way",
            detail: "Everything is decided. What is approved is being given back.".to_owned(),
        },
        RunState::Done if !found.is_empty() => RunWords {
            tone: Tone::Good,
            headline: "Done",
            detail: "Every difference that was found is repaired, explained or decided.".to_owned(),
        },
        RunState::Done => RunWords {
            tone: Tone::Good,
            headline: "Both sides agree",
            detail: "WeChat Pay’s bills and our books say the same of every trade of this day."
                .to_owned(),
        },
    }
}

/// Whether a run that is under way is silent for longer than a Lambda function may run.
pub(crate) fn is_stuck(run: &Run, now: UnixSeconds) -> bool {
    now.0.saturating_sub(run.updated_at.0) > 900
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

fn or(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use payments::reconcile::difference::About;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

    fn date() -> BillDate {
        BillDate::parse("2026-08-01").unwrap()
    }

    fn found_by(run: &str, kind: Kind) -> Difference {
        let about = About {
            transaction_id: Some("4200001".to_owned()),
            ..About::default()
        };
        Difference::found(date(), kind, about, None, None, run, NOW)
    }

    #[test]
    fn what_is_said_after_a_decision_is_so_as_the_difference_stands() {
        let open = found_by("run-1", Kind::DuplicatePayment);
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
        for (decision, one) in [
            (Decision::Approve, &open),
            (Decision::Approve, &by_run),
            (Decision::Approve, &rejected),
            (Decision::Approve, &repaired),
            (Decision::Propose, &open),
            (Decision::Propose, &approved),
            (Decision::Reject, &once),
            (Decision::Explain, &repaired),
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
