//! The fault harness: every crash point of every flow, every pair of callers interleaved, and
//! seeded random runs. `cargo faults --help` says how to use it, and `cargo known-bugs` shows that
//! it finds what it should.
//!
//! The code that runs is the code that is deployed: the handlers, the stores, the AWS SDK,
//! reqwest. What they call is in this process, too. Clocks stand still until a test moves them. So
//! a case can be repeated step by step by its name, and a random run by its seed.
//!
//! - [`engine`] is what a case runs on: a deployment with its sandboxes, and what answers and
//!   schedules each of their calls.
//! - [`flows`] are the scenarios: what happens in a case, and how it must end.
//! - [`cases`] run them until nothing is left to do: with each fault at each call, with each order
//!   of two callers, or by a seed.
//! - [`checks`] are the invariants (shared/payments/STATES.md, 11), tested during and after a case.
//! - [`functions`] are the functions of this release; with `--with-previous` those of the release
//!   before run by turns with them ([`previous`]).

#![expect(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a deployment cannot do without ends the case, with what it was; progress is for people"
)]

mod cases;
mod checks;
mod engine;
mod flows;
mod functions;
mod options;
mod previous;
mod report;

use std::process::ExitCode;

use cases::{
    case::{self, CaseResult},
    enumerate, interleave, seeds,
};
use engine::{call::Strike, logs};
use flows::{Flow, RACES, Race};
use options::{Options, Selection};
use previous::Turns;
use report::Report;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            println!("{wrong}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let did = match &options.with_previous {
        // That harness is another program.
        Some(revision) if !cfg!(with_previous) => {
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            previous::build::run(revision.as_deref(), &arguments)
        }
        Some(_) | None => {
            case::keep_panics();
            run(&options)
        }
    };
    match did {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            println!("{wrong}; --list names them");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked for; whether nothing was found.
fn run(options: &Options) -> Result<bool, String> {
    let mut report = Report::new(options.find.clone());
    let threads = options.threads;
    let turns = options.turns.unwrap_or(Turns::This);
    match &options.what {
        Selection::Help => {
            println!("{}", options::USAGE);
            return Ok(true);
        }
        Selection::List => {
            list();
            return Ok(true);
        }
        Selection::Seed(seed) => {
            let turns = options.turns.unwrap_or(match options.with_previous {
                Some(_) => Turns::Drawn(*seed),
                None => Turns::This,
            });
            return Ok(show(|| seeds::scenario(*seed, turns)));
        }
        Selection::Unharmed(name) => {
            let flow = flow(name)?;
            return Ok(show(|| enumerate::record(flow, turns).1));
        }
        Selection::Strike {
            flow: name,
            call,
            strike,
        } => {
            let flow = flow(name)?;
            return Ok(show(|| enumerate::strike(flow, turns, *call, *strike).1));
        }
        Selection::Interleave {
            race: name,
            switches,
        } => {
            let race = race(name)?;
            return Ok(show(|| interleave::scenario(race, turns, *switches).1));
        }
        Selection::Flow(name) if options.with_previous.is_some() => {
            previous::runs::flow(flow(name)?, threads, &mut report);
        }
        Selection::Flow(name) => {
            enumerate::every_point(flow(name)?, turns, 1, threads, &mut report);
        }
        Selection::Race(name) => {
            let race = race(name)?;
            let strides = race.strides().map(|_| 1);
            interleave::every_way(race, turns, strides, threads, &mut report);
        }
        Selection::All(part) if options.with_previous.is_some() => {
            previous::runs::all(part, options, &mut report);
        }
        Selection::All(part) => {
            let named = |name: &str| name.contains(part.as_str());
            for flow in flows::all().filter(|flow| named(flow.name)) {
                let each = if options.long { 1 } else { flow.each() };
                enumerate::every_point(flow, turns, each, threads, &mut report);
            }
            for race in RACES.iter().filter(|race| named(race.name)) {
                let strides = if options.long {
                    race.strides().map(|_| 1)
                } else {
                    race.strides()
                };
                interleave::every_way(race, turns, strides, threads, &mut report);
            }
            if named("seeds") {
                seeds::run(
                    options.from,
                    options.seeds,
                    |_| Turns::This,
                    threads,
                    &mut report,
                );
            }
        }
    }
    Ok(report.close())
}

/// Runs one case and prints its steps, its log and what was found.
fn show(case: impl FnOnce() -> CaseResult) -> bool {
    let (outcome, log) = logs::kept(|| (case(), logs::read()));
    for step in &outcome.steps {
        println!("{step}");
    }
    println!("\n{log}");
    for violation in &outcome.violations {
        println!("VIOLATION {}: {}", violation.check, violation.found);
    }
    println!(
        "{} calls, {} violations",
        outcome.calls,
        outcome.violations.len()
    );
    outcome.violations.is_empty()
}

fn flow(name: &str) -> Result<&'static Flow, String> {
    flows::all()
        .find(|flow| flow.name == name)
        .ok_or_else(|| format!("there is no flow {name}"))
}

fn race(name: &str) -> Result<&'static Race, String> {
    RACES
        .iter()
        .find(|race| race.name == name)
        .ok_or_else(|| format!("there is no race {name}"))
}

fn list() {
    let names = |names: Vec<&str>| names.join("\n  ");
    println!(
        "Flows:\n  {}",
        names(flows::all().map(|flow| flow.name).collect())
    );
    println!(
        "Races:\n  {}",
        names(RACES.iter().map(|race| race.name).collect())
    );
    println!("Faults:\n  {}", names(Strike::names().collect()));
}
