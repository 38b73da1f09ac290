//! `console`: shows finance staff what a day's bills and our books agree and differ in, and takes
//! their decisions.
//!
//! The same data has three forms: pages for people ([`pages`]), JSON for programs ([`json`]) and
//! CSV for spreadsheets ([`csv`]). Control flow: [`handler`]. The caller: [`person`]. Only
//! [`payments::reconcile::difference`] decides which decisions are allowed; nothing here moves
//! money or reads a bill.
//!
//! The pages need no JavaScript, no inline style and nothing from elsewhere, and their headers
//! forbid all of it.

pub mod answer;
pub mod app;
mod breakdown;
mod csv;
pub mod daily_run;
mod day_listing;
pub mod handler;
mod input;
mod json;
mod listing;
mod money;
mod pages;
mod person;
mod route;
mod runs;
pub mod settings;
mod text;
