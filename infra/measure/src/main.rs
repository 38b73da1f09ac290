//! `cargo measure callback | coldstart | warm | reconcile | availability`: the benchmarks of the
//! bundle, each against a yardstick in the same run.
//!
//! What a machine does in a microsecond says little on another machine, or on this one an hour
//! later. So each benchmark runs its yardstick beside the thing measured, in turns: two SDKs of
//! other languages, a program that does nothing, the cryptographic library alone. What is held to a
//! limit is the ratio.
//!
//! Progress goes to standard error; the table, and as its last line all figures as one JSON object,
//! to standard output. A missed limit is printed as such and is not an error, since figures are for
//! people to read; a callback that was lost is one. See `README.md` here.

#![expect(
    clippy::print_stdout,
    reason = "a program for people: its tables are its output"
)]

mod availability;
mod aws;
mod callback;
mod clock;
mod coldstart;
mod collector;
mod deployment;
mod event;
mod failure;
mod http;
mod paths;
mod peers;
mod process;
mod progress;
mod reconcile;
mod report;
mod runtime_api;
mod stats;
mod warm;
mod wechat;

use std::process::ExitCode;

use report::Report;

const USAGE: &str = "\
usage: cargo measure <benchmark>

  callback   open a payment notice: verify, decrypt, parse; beside the SDKs wechatpayv3 (Python) and
             wechatpay-axios-plugin (Node). Signing and verifying beside aws-lc-rs alone.
  coldstart  start each function on a Runtime API of our own, beside a program that does nothing:
             time to the first request for an event, memory, package size, first invocation.
  warm       5,000 events for create-order and receive-callback: CPU for an invocation, beside
             receive-callback written in Python and in Node.
  reconcile [--rows N,...]
             a day's trade bill against the books, beside gunzip and SHA-1 of the same file alone, and beside
             DuckDB and polars doing the same job on one thread; with 100,000, 1 and 10 million rows.
  availability [--minutes N] [--orders-per-minute N] [--without FAULT] [--release | --bins DIR]
             a day of orders in N minutes (6) on the bundle of `cargo local`, with WeChat Pay failing, a host dead, the
             engine restarted and AWS throttled; once more with breaker and failover switched off. Fails if a callback
             is lost. --release builds the functions as they are deployed.

Each ends with one line of JSON; --json, as the last word, prints nothing else. Figures of two runs compare only by their ratios.";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let prints = match words.pop_if(|word| word == "--json") {
        Some(_) => Report::print_json,
        None => Report::print,
    };
    let measured = match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["callback"] => callback::measure(),
        ["coldstart"] => coldstart::measure(),
        ["warm"] => warm::measure(),
        ["reconcile"] => reconcile::measure(&reconcile::SIZES),
        ["reconcile", "--rows", sizes] => match reconcile::sizes(sizes) {
            Some(sizes) => reconcile::measure(&sizes),
            None => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        ["availability", words @ ..] => match availability::Options::read(words) {
            Some(options) => availability::measure(&options),
            None => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        // What `reconcile` runs, each in a process of its own.
        ["reconcile-part", part, arguments @ ..] => {
            return reconcile::part(part, arguments);
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match measured.and_then(|report: Report| {
        prints(&report)?;
        report.must_hold()
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("measure: {failure}");
            ExitCode::FAILURE
        }
    }
}
