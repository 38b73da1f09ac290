//! The day before a run's day: its trade bill may have trades that our books have on the day
//! itself.

use std::collections::BTreeSet;

use flows::problem::ErrorChain;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        classify::NEAR_MIDNIGHT_S,
        run::{BillFacts, Run},
    },
};
use tracing::warn;

use crate::{
    app::App,
    bills::BillReader,
    day_part::DayPart,
    error::DayError,
    last_minutes::LastMinutes,
    trade_identity::{kind_of, number_of},
};

/// Reads the trade bill of the day before.
#[derive(Clone, Copy)]
pub(crate) struct DayBefore<'a> {
    bills: BillReader<'a>,
    date: BillDate,
}

impl<'a> DayBefore<'a> {
    /// The day before this run's.
    pub(crate) fn of(app: &'a App, run: &'a Run) -> Self {
        Self {
            bills: BillReader::new(app, run),
            date: run.date.plus_days(-1),
        }
    }

    /// Fetches the bill for all parts. If that fails, each part tries for itself.
    ///
    /// # Errors
    /// [`DayError`], if it may pass.
    pub(crate) async fn fetch(self) -> Result<Option<BillFacts>, DayError> {
        if !self.bills.can_be_read(self.date).await? {
            return Ok(None);
        }
        or_without(self.bills.fetch_trade(self.date).await).map(Result::ok)
    }

    /// Its last trades, as far as they are of the part.
    ///
    /// # Errors
    /// [`DayError`], if it may pass.
    pub(crate) async fn last_minutes(self, part: DayPart) -> Result<LastMinutes, DayError> {
        let mut last = LastMinutes::default();
        // For days long ago WeChat Pay no longer provides bills.
        if !self.bills.can_be_read(self.date).await? {
            return Ok(last);
        }
        let last_from = last_minutes_from(self.date);
        let read = self
            .bills
            .read_trade(self.date, |rows| {
                for row in rows {
                    if row.at() >= last_from.as_str() && part.has(row.out_trade_no()) {
                        let kind = kind_of(row.kind);
                        let number = number_of(kind, row.transaction_id(), row.out_refund_no());
                        last.numbers.insert(number);
                    }
                }
            })
            .await;
        if let Err(why) = or_without(read)? {
            last = LastMinutes {
                numbers: BTreeSet::new(),
                unread: Some(why),
            };
        }
        Ok(last)
    }
}

/// The result of reading the previous day's bill. A temporary failure is waited for. After any
/// other the day is reconciled without that bill, and this is why it could not be read.
fn or_without<T>(read: Result<T, DayError>) -> Result<Result<T, String>, DayError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(error @ (DayError::Passing(_) | DayError::Superseded)) => Err(error),
        Err(
            error @ (DayError::NotReady { .. }
            | DayError::Bill(_)
            | DayError::BillAgain(_)
            | DayError::Damaged(_)),
        ) => {
            let why = ErrorChain(&error).to_string();
            warn!(
                error = why,
                "the trade bill of the day before is not available"
            );
            Ok(Err(why))
        }
    }
}

/// When the last minutes of a day begin, as bills write times: `2026-08-01 23:50:00`. Such texts
/// are in the order of their times.
fn last_minutes_from(date: BillDate) -> String {
    let minutes = NEAR_MIDNIGHT_S / 60;
    format!("{date} 23:{:02}:00", 60_i64.saturating_sub(minutes))
}
