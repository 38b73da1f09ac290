//! Runs with two releases: every flow with a change of release at each of its invocations, in both
//! directions, and with releases drawn at random; with faults; races whose sides have different
//! releases; and random runs.

use std::time::Instant;

use serde_json::json;
use testbed::environment::{REQUESTS, RESULTS, WEBHOOKS, WORK};

use super::Turns;
use crate::{
    cases::{
        case::{self, CaseResult},
        enumerate, interleave,
        scenario::Scenario,
        seeds, workers,
    },
    engine::{deployment::Deployment, director::InOrder, release::Release},
    flows::{self, Flow, RACES},
    options::Options,
    report::Report,
};

/// A flow changes its release after each of so many invocations. In a longer flow they are spread
/// over it.
const CHANGES_MAX: usize = 40;
/// How often a flow is run with the release of each invocation drawn.
const DRAWS: u64 = 12;
/// One of so many strikes of a flow is run, with releases drawn.
const STRUCK_EACH: usize = 97;
/// A race is interleaved at each of one side's calls in steps of this.
const RACE_STRIDE: usize = 5;

/// Runs all flows and races whose names contain `part`.
pub(crate) fn all(part: &str, options: &Options, report: &mut Report) {
    let named = |name: &str| name.contains(part);
    let threads = options.threads;
    if named("later-messages") {
        let outcome = later_messages();
        let replay = format!("later-messages{}", super::option());
        report.case("later-messages", &outcome, &replay);
    }
    for chosen in flows::all().filter(|flow| named(flow.name)) {
        if report.wants_more() {
            flow(chosen, threads, report);
        }
    }
    for race in RACES.iter().filter(|race| named(race.name)) {
        for first in [Release::This, Release::Previous] {
            if report.wants_more() {
                let turns = Turns::Sides(first);
                interleave::every_way(race, turns, Some(RACE_STRIDE), threads, report);
            }
        }
    }
    if named("seeds") && report.wants_more() {
        seeds::run(options.from, options.seeds, Turns::Drawn, threads, report);
    }
}

/// Runs one flow.
pub(crate) fn flow(flow: &Flow, threads: usize, report: &mut Report) {
    let (began, before) = (Instant::now(), report.violations());
    let invocations = unharmed(
        flow,
        Turns::Switched {
            first: Release::Previous,
            after: usize::MAX,
        },
    )
    .invocations;
    let switched = (0..=invocations)
        .step_by(invocations.div_ceil(CHANGES_MAX).max(1))
        .flat_map(|after| {
            [Release::Previous, Release::This].map(|first| Turns::Switched { first, after })
        });
    let drawn = (0..DRAWS).map(Turns::Drawn);
    let all: Vec<Turns> = switched.chain(drawn).collect();
    workers::each(
        threads,
        &all,
        |turns| unharmed(flow, *turns),
        |position, outcome| {
            let turns = all[position];
            let replay = format!("--flow {} --unharmed{}", flow.name, turns.option());
            report.case(&format!("{} {turns}", flow.name), &outcome, &replay);
            report.wants_more()
        },
    );
    report.print(&format!(
        "flow {}: {invocations} invocations, {} ways to take turns, {} violations ({:.1} s)",
        flow.name,
        all.len(),
        report.violations() - before,
        began.elapsed().as_secs_f64()
    ));
    // The other way round for every other flow: which of the two dies, differs.
    let seed = u64::try_from(flow.name.len()).unwrap_or_default();
    if report.wants_more() {
        enumerate::every_point(flow, Turns::Drawn(seed), STRUCK_EACH, threads, report);
    }
}

fn unharmed(flow: &Flow, turns: Turns) -> CaseResult {
    case::flow(flow, turns, Box::new(InOrder))
}

/// Messages of a version that the release before does not know go back to their queues.
fn later_messages() -> CaseResult {
    case::run(async {
        let only_before = Turns::Switched {
            first: Release::Previous,
            after: usize::MAX,
        };
        let mut scenario = Scenario::new(Deployment::set(1, only_before).await);
        let deployment = std::sync::Arc::clone(&scenario.deployment);
        deployment.set_up_webhook().await;
        for (url, body) in [
            (REQUESTS, json!({"v": "issue.v1000", "order_no": "ORDER-1"})),
            (
                REQUESTS,
                json!({"v": "refund.v1000", "order_no": "ORDER-1", "refund_no": "R1"}),
            ),
            (REQUESTS, json!({"v": "later.v1", "order_no": "ORDER-1"})),
            (
                RESULTS,
                json!({"v": "callback.v1000", "headers": {}, "body": ""}),
            ),
            (
                WORK,
                json!({"v": "reconcile-day.v1000", "date": "2026-07-31"}),
            ),
            (WORK, json!({"v": "later.v1", "date": "2026-07-31"})),
            (
                WEBHOOKS,
                json!({"detail-type": "order.later", "source": "wechatpay-on-lambda", "detail": {}}),
            ),
        ] {
            let body = body.to_string();
            let now_ms = deployment.clock.now_ms();
            deployment.cloud.queues().send(url, body.clone(), now_ms);
            let polled = deployment
                .act("the release before polls", deployment.poll(url))
                .await;
            let queues = deployment.cloud.queues();
            let waits = queues
                .waiting()
                .iter()
                .any(|(in_queue, message)| *in_queue == url && message.body == body);
            drop(queues);
            scenario.require(
                "a message of a later release stays in its queue",
                polled == 1 && waits,
                || body.clone(),
            );
            deployment.cloud.queues().purge(url);
        }
        scenario
    })
}
