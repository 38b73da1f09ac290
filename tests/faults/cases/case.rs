//! One case: a deployment, a script, a flow or a seed, and what the checks say in the end.

use std::{
    cell::RefCell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{
    cases::scenario::{ConcurrentAnswers, Scenario, Until, Violation},
    checks,
    engine::{
        deployment::Deployment,
        director::{InOrder, Policy, on_side},
        logs,
    },
    flows::{Flow, Race, Step},
    previous::Turns,
};

#[derive(Debug, Default)]
pub(crate) struct CaseResult {
    pub(crate) violations: Vec<Violation>,
    /// Every step, call and fault.
    pub(crate) steps: Vec<String>,
    /// How many calls were made.
    pub(crate) calls: u64,
    /// How many invocations of functions.
    pub(crate) invocations: usize,
}

/// Real time after which a case is held to hang. The slowest takes a second or two.
const HANGS_AFTER: Duration = Duration::from_secs(300);

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says, for the case it happens in. To be called once.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANIC.with(|kept| *kept.borrow_mut() = Some(panic.to_string().replace('\n', " ")));
    }));
}

/// Runs a flow by a script.
pub(crate) fn flow(flow: &Flow, turns: Turns, script: Box<dyn Policy>) -> CaseResult {
    run(async {
        let mut scenario = Scenario::new(Deployment::set(1, turns).await);
        (flow.before)(&mut scenario).await;
        scenario.deployment.recycle(); // every function starts cold: its first calls are crash points, too
        scenario.deployment.director.follow(script);
        (flow.acts)(&mut scenario).await;
        end(&mut scenario, flow.after, flow.ends).await;
        scenario
    })
}

/// Runs a race by a script.
pub(crate) fn race(race: &Race, turns: Turns, script: Box<dyn Policy>) -> CaseResult {
    run(async {
        let mut scenario = Scenario::new(Deployment::set(1, turns).await);
        (race.before)(&mut scenario).await;
        scenario.deployment.director.follow(script);
        let (deployment, asked) = (
            Arc::clone(&scenario.deployment),
            ConcurrentAnswers::default(),
        );
        let [one, other] = race.sides;
        let both = async {
            futures_util::join!(
                on_side(0, one(&deployment, &asked)),
                on_side(1, other(&deployment, &asked))
            )
        };
        deployment.act("both sides at once", both).await;
        scenario.take_answers(asked);
        end(&mut scenario, race.after, race.ends).await;
        scenario
    })
}

/// No more faults from here: run until quiet, then check.
async fn end(scenario: &mut Scenario, after: Step, ends: &[(&str, &str)]) {
    scenario.deployment.director.follow(Box::new(InOrder));
    scenario
        .deployment
        .director
        .print("-- nothing goes wrong from here on");
    checks::at_any_moment(scenario);
    scenario.run_until_quiet(Until::Soon).await;
    after(scenario).await;
    scenario.run_until_quiet(Until::TheEnd).await;
    checks::at_rest(scenario);
    for (name, expected) in ends {
        let state = scenario.state(name);
        let fits = expected.split('|').any(|one| one == state);
        scenario.require("the flow ends as it should", fits, || {
            format!("{name} is {state}, not {expected}")
        });
    }
}

/// Runs a case on its own runtime, whatever its result.
pub(crate) fn run(case: impl Future<Output = Scenario>) -> CaseResult {
    logs::forget();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let scenario = tokio::time::timeout(HANGS_AFTER, case).await.ok()?;
            Some(CaseResult {
                steps: scenario.deployment.director.steps(),
                calls: scenario.deployment.director.calls(),
                invocations: scenario.deployment.rollout.invocations(),
                violations: scenario.violations,
            })
        })
    }));
    let broken = |check, found: String| CaseResult {
        violations: vec![Violation { check, found }],
        ..CaseResult::default()
    };
    match ran {
        Ok(Some(outcome)) => outcome,
        Ok(None) => broken(
            "nothing hangs",
            format!("no end after {} s", HANGS_AFTER.as_secs()),
        ),
        Err(_) => {
            let said = PANIC.with(|kept| kept.borrow_mut().take());
            broken("nothing panics", said.unwrap_or_default())
        }
    }
}
