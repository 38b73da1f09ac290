//! `reconcile`: finds what got lost and settles it the same way as all news. Once a minute it
//! checks orders and refunds without a final state that are due (`sweep`); every five minutes it
//! checks whether WeChat Pay's certificates must be fetched (`certificates`); once a day, or when
//! an operator asks, it compares WeChat Pay's bills of a day with the books (`day`).
//!
//! Modules in the order of a day: [`handler`] takes its message, `day` and `funds` have the control
//! flow of the trade side and the fund side, `record` says which run counts, `day_index` reads our
//! side, `bills` reads WeChat Pay's side, `confirm` decides what really differs, `finding` gathers
//! it, `differences` stores it, `repair` and `apply` act on it.

pub mod app;
mod apply;
mod bills;
mod certificates;
mod confirm;
mod day;
mod day_before;
mod day_index;
mod day_money;
mod day_part;
mod days_missing;
mod days_unread;
mod differences;
mod error;
mod finding;
mod funds;
pub mod handler;
mod last_minutes;
mod metrics;
mod payment_facts;
mod query;
mod query_and_settle;
mod record;
mod repair;
pub mod settings;
mod sweep;
mod track_refunds;
mod trade_identity;

pub use certificates::RefreshOutcome;
pub use sweep::report::SweepReport;
