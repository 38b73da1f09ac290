//! A day of bills, and the bills that WeChat Pay makes of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use wechatpay::{UnixSeconds, time};

/// A day in Beijing time, in the form of `bill_date`: `2026-08-01`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BillDate {
    /// 00:00 in Beijing.
    starts_at: UnixSeconds,
}

/// A text that is no day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be a day like 2026-08-01")]
pub struct NotADay;

/// A day's seconds. Beijing has no daylight saving.
const DAY_S: i64 = 86_400;

/// WeChat Pay gives bills of the last three months (page 4012791866); the shortest three months
/// have 89 days.
pub const BILLS_LAST_DAYS: i64 = 89;

impl BillDate {
    /// Reads a day.
    ///
    /// # Errors
    /// [`NotADay`] for everything but an existing day in this very form.
    pub fn parse(text: &str) -> Result<Self, NotADay> {
        let starts_at =
            time::parse_rfc3339(&format!("{text}T00:00:00+08:00")).map_err(|_| NotADay)?;
        let date = Self { starts_at };
        if date.to_string() == text {
            Ok(date)
        } else {
            Err(NotADay)
        }
    }

    /// The day of a moment.
    pub fn of(at: UnixSeconds) -> Self {
        let offset_s = 8 * 3600;
        let into_the_day = at.0.saturating_add(offset_s).rem_euclid(DAY_S);
        Self {
            starts_at: at.plus_s(into_the_day.saturating_neg()),
        }
    }

    /// The day this many days later; earlier if negative.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self {
            starts_at: self.starts_at.plus_s(days.saturating_mul(DAY_S)),
        }
    }

    /// Its first second.
    pub fn starts_at(self) -> UnixSeconds {
        self.starts_at
    }

    /// The first second after it.
    pub fn ends_at(self) -> UnixSeconds {
        self.plus_days(1).starts_at
    }
}

impl fmt::Display for BillDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time::beijing_day(self.starts_at))
    }
}

impl TryFrom<String> for BillDate {
    type Error = NotADay;

    fn try_from(text: String) -> Result<Self, NotADay> {
        Self::parse(&text)
    }
}

impl From<BillDate> for String {
    fn from(date: BillDate) -> Self {
        date.to_string()
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillName {
    /// All payments and refunds of the day.
    Trade,
    /// The movements of the basic account.
    FundBasic,
    /// The movements of the operation account.
    FundOperation,
    /// The movements of the fees account.
    FundFees,
}

impl BillName {
    /// The bills of the account's movements.
    pub const FUNDS: [Self; 3] = [Self::FundBasic, Self::FundOperation, Self::FundFees];

    /// All of a day's bills.
    pub const ALL: [Self; 4] = [
        Self::Trade,
        Self::FundBasic,
        Self::FundOperation,
        Self::FundFees,
    ];

    /// The name in the API, and of the stored file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::FundBasic => "fund_basic",
            Self::FundOperation => "fund_operation",
            Self::FundFees => "fund_fees",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_beijings() {
        let date = BillDate::parse("2026-08-01").unwrap();
        assert_eq!(date.to_string(), "2026-08-01");
        assert_eq!(BillDate::of(date.starts_at()), date);
        assert_eq!(BillDate::of(UnixSeconds(date.ends_at().0 - 1)), date);
        assert_eq!(BillDate::of(date.ends_at()), date.plus_days(1));
        assert_eq!(date.plus_days(-1).to_string(), "2026-07-31");
        let late_in_london = time::parse_rfc3339("2026-07-31T16:00:00Z").unwrap();
        assert_eq!(BillDate::of(late_in_london), date);
    }

    #[test]
    fn what_is_no_day_is_not_read() {
        for text in [
            "",
            "2026-8-1",
            "2026-02-30",
            "2026-13-01",
            "20260801",
            "2026-08-01 ",
            "2026-08-01T00:00:00+08:00",
        ] {
            assert_eq!(BillDate::parse(text), Err(NotADay), "{text}");
        }
    }
}
