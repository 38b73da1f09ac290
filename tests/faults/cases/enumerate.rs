//! Every crash point, enumerated: each flow is run once unharmed and its calls are counted; then
//! it is run again for every call and everything that can happen to that call.

use std::time::Instant;

use crate::{
    cases::{
        case::{self, CaseResult},
        script::{Record, Slot, StrikeOne, take},
        workers,
    },
    engine::call::{Call, Strike},
    flows::Flow,
    previous::Turns,
    report::Report,
};

/// One flow with one call struck.
struct Case {
    at: usize,
    call: Call,
    strike: Strike,
}

/// Runs a flow without faults. Returns its calls and its result.
pub(crate) fn record(flow: &Flow, turns: Turns) -> (Vec<Call>, CaseResult) {
    let calls = Slot::default();
    let outcome = case::flow(flow, turns, Box::new(Record(Slot::clone(&calls))));
    (take(&calls), outcome)
}

/// Runs a flow with the call at this position struck. Gives the call, too.
pub(crate) fn strike(
    flow: &Flow,
    turns: Turns,
    at: usize,
    strike: Strike,
) -> (Option<Call>, CaseResult) {
    let struck = Slot::default();
    let script = StrikeOne::new(at, strike, Slot::clone(&struck));
    let outcome = case::flow(flow, turns, Box::new(script));
    (take(&struck), outcome)
}

/// Runs a flow with every call struck in every way; or only one of `each` so many cases, spread
/// over all of them.
pub(crate) fn every_point(
    flow: &Flow,
    turns: Turns,
    each: usize,
    threads: usize,
    report: &mut Report,
) {
    let (began, before) = (Instant::now(), report.violations());
    let mut calls = Vec::new();
    workers::each(
        1,
        &[flow],
        |flow| record(flow, turns),
        |_, (recorded, outcome)| {
            let replay = format!("--flow {} --unharmed{}", flow.name, turns.option());
            report.case(&format!("{} unharmed", flow.name), &outcome, &replay);
            calls = recorded;
            true
        },
    );
    let cases: Vec<Case> = points(&calls)
        .flat_map(|(at, call)| {
            Strike::at(call).map(move |strike| Case {
                at,
                call: call.clone(),
                strike,
            })
        })
        .step_by(each)
        .collect();
    if report.wants_more() {
        workers::each(
            threads,
            &cases,
            |case| strike(flow, turns, case.at, case.strike),
            |position, (struck, outcome)| {
                print(
                    (flow, turns),
                    &cases[position],
                    struck.as_ref(),
                    &outcome,
                    report,
                );
                report.wants_more()
            },
        );
    }
    report.flow(calls.len());
    report.print(&format!(
        "flow {}: {} calls, {} cases, {} violations ({:.1} s)",
        flow.name,
        calls.len(),
        cases.len() + 1,
        report.violations() - before,
        began.elapsed().as_secs_f64()
    ));
}

/// The calls that are struck. An index is read in many parts, of which most hold nothing: between
/// them nothing changes, so of such reads in a row only the first is struck, and each that
/// something follows from.
fn points(calls: &[Call]) -> impl Iterator<Item = (usize, &Call)> {
    calls.iter().enumerate().filter(|(at, call)| {
        let in_a_row = |other: Option<&Call>| other == Some(call) && call.reads_index;
        let before = at.checked_sub(1).and_then(|before| calls.get(before));
        !in_a_row(before) || !in_a_row(calls.get(at + 1))
    })
}

fn print(
    (flow, turns): (&Flow, Turns),
    case: &Case,
    struck: Option<&Call>,
    outcome: &CaseResult,
    report: &mut Report,
) {
    let Case { at, call, strike } = case;
    let name = format!("{} call {at} ({call}) {strike}", flow.name);
    let replay = format!(
        "--flow {} --call {at} --fault {strike}{}",
        flow.name,
        turns.option()
    );
    if struck == Some(call) {
        report.strike(*strike);
        report.case(&name, outcome, &replay);
    } else {
        report.harness_fault(&format!(
            "{name}: struck {struck:?} instead | cargo faults {replay}"
        ));
    }
}
