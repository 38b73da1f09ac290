//! `reconcile`: finds what got lost and settles it by the path that all news takes. Once a minute
//! it looks at orders and refunds that have no final state and whose time has come (`sweep`); each
//! five minutes it sees whether WeChat Pay's certificates are to be asked for (`certificates`);
//! once a day, or when a person asks, it holds WeChat Pay's bills of a day against the books
//! (`day`).
//!
//! The way of a day: [`handler`] takes its message, `day` has the control flow of its trade side
//! and `funds` of its fund side, `record` says whose the day is, `our_books` reads our side,
//! `bills` WeChat Pay's, `confirm` says what really differs, `finding` gathers it, `differences`
//! writes it down, `repair` and `apply` are what is done about it.

pub mod app;
mod apply;
mod bills;
mod certificates;
mod confirm;
mod day;
mod day_part;
mod differences;
mod error;
mod finding;
mod funds;
pub mod handler;
mod last_minutes;
mod load_books;
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
pub use sweep::report::Report;
