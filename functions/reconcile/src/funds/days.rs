//! The days whose bills the fund side of a run needs.

use matching::funds::FundDay;
use payments::{
    model::bill_date::BillDate,
    reconcile::run::{FundSide, Run},
};

/// The run's own day, and as many before it as settlement takes by the contract.
#[derive(Clone, Copy)]
pub(super) struct BillDays {
    date: BillDate,
    before: i64,
}

impl BillDays {
    pub(super) fn of(run: &Run, funds: &FundSide) -> Self {
        Self {
            date: run.date,
            before: i64::from(funds.settlement_days),
        }
    }

    /// All of them, earliest first.
    pub(super) fn all(self) -> impl Iterator<Item = (BillDate, FundDay)> {
        let Self { date, before } = self;
        (0..=before).rev().map(move |days| {
            let day = match days {
                0 => FundDay::Same,
                _ if days == before => FundDay::Due,
                _ => FundDay::Between,
            };
            (date.plus_days(-days), day)
        })
    }

    /// The earliest of them, whose trades are settled by the end of the run's day.
    pub(super) fn due(self) -> BillDate {
        self.date.plus_days(-self.before)
    }
}
