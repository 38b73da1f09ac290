//! Names and sentences that pages and the CSV file share.

use payments::model::bill_date::BillName;

use crate::breakdown::GapStatus;

mod difference;
pub(crate) mod map;
pub(crate) mod order;
mod run;
mod time;

pub(crate) use difference::{
    about_refund, button, decided_alone, done, next, proposed, stage, stands, state,
    state_of_several, wanted, what_to_do,
};
pub(crate) use run::{
    fund_state, is_left_open, is_stuck, left_for_days, missing_days, run, run_state, started,
    unreadable_run,
};
pub(crate) use time::{Month, day_and_month, long_day, moment};

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

/// Our text as a sentence; texts of others may already end with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}
