//! Seeded random runs: several orders, everybody acting at once, messages twice and in the wrong
//! order, clocks that differ, indexes that lag, and up to a few faults. Everything is drawn from
//! the seed, so that the same seed is the same run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_util::future::{FutureExt, LocalBoxFuture, join_all};
use serde_json::{Value, json};
use testbed::environment::{REQUESTS, RESULTS};
use wechatpay_simulator::{
    ConsoleRefund, Damage, Fault as WechatFault, PayOptions, RefundOutcome, Rule,
};

use crate::{
    cases::{
        case::{self, CaseResult},
        scenario::{ConcurrentAnswers, Scenario, Until},
        workers,
    },
    checks,
    checks::secrets::{DESCRIPTION, OPENID},
    engine::{
        call::{Call, CallFault, Strike},
        client::PendingRequest,
        deployment::{Deployment, Poll},
        director::{InOrder, Policy, WaitingCall},
    },
    previous::Turns,
    report::{self, Report},
};

/// By how much the clock of a sandbox may be ahead of the true time or behind, in milliseconds.
const SKEW_MS: i64 = 2_000;
/// How many calls of a run may be struck.
const FAULTS_MAX: usize = 4;

/// Of so many runs one ends with the bills of its days.
const DAYS_ONE_IN: u8 = 10;

/// How often progress is reported.
const PRINT_EACH: usize = 250;
/// So many seeds are run twice, to check that the same seed gives the same run.
const PLAYED_TWICE: u64 = 10;

/// Runs so many seeds from `from` on, each with its turns of releases.
pub(crate) fn run(
    from: u64,
    count: u64,
    turns: fn(u64) -> Turns,
    threads: usize,
    report: &mut Report,
) {
    let (began, before) = (Instant::now(), report.violations());
    let seeds: Vec<u64> = (from..from.saturating_add(count)).collect();
    let mut done = 0;
    workers::each(
        threads,
        &seeds,
        |seed| {
            let outcome = scenario(*seed, turns(*seed));
            let again = *seed < from.saturating_add(PLAYED_TWICE);
            let differs = again && scenario(*seed, turns(*seed)).steps != outcome.steps;
            (outcome, differs)
        },
        |position, (outcome, differs)| {
            let seed = seeds[position];
            if differs {
                report.harness_fault(&format!("seed {seed} was another run the second time"));
            }
            let replay = format!("--seed {seed}{}", turns(seed).option());
            report.case(&format!("seed {seed}"), &outcome, &replay);
            done += 1;
            if done % PRINT_EACH == 0 || done == seeds.len() {
                report.print(&format!(
                    "seeds: {done} of {}, {} violations ({:.1} s, {:.1} a second)",
                    seeds.len(),
                    report.violations() - before,
                    began.elapsed().as_secs_f64(),
                    report::per_second(done, began.elapsed())
                ));
            }
            report.wants_more()
        },
    );
    report.seeds(seeds.len(), began.elapsed());
}

/// Runs one seed.
pub(crate) fn scenario(seed: u64, turns: Turns) -> CaseResult {
    case::run(async move {
        let mut dice = Rng::with_seed(seed);
        let mut scenario = Scenario::new(Deployment::set(seed, turns).await);
        let skews = (0..40).map(|_| dice.i64(-SKEW_MS..=SKEW_MS)).collect();
        scenario.deployment.skew(skews);
        let faults = dice.usize(0..=FAULTS_MAX);
        let chance = Chance {
            dice: dice.fork(),
            // Spread over the run: most have some hundred calls.
            one_in: dice.usize(10..80),
            faults,
            again: None,
        };
        scenario.deployment.director.follow(Box::new(chance));
        let lost = callback_faults(&scenario, &mut dice);
        let orders: Vec<Value> = (0..dice.usize(1..=3))
            .map(|n| order(n, &mut dice))
            .collect();
        for _ in 0..dice.usize(6..=14) {
            moment(&mut scenario, &orders, lost, &mut dice).await;
            checks::at_any_moment(&mut scenario);
            time_passes(&scenario, &mut dice).await;
        }
        scenario.deployment.wechat().clear_faults(None);
        scenario.deployment.director.follow(Box::new(InOrder));
        scenario
            .deployment
            .director
            .print("-- nothing goes wrong from here on");
        scenario.run_until_quiet(Until::Soon).await;
        scenario
            .deployment
            .wechat()
            .set_refund_outcome(RefundOutcome::Success);
        if dice.bool() {
            for order in &orders {
                // One that is closed or was never made cannot be paid.
                drop(
                    scenario
                        .deployment
                        .wechat()
                        .pay(&number(order), &PayOptions::default()),
                );
            }
        }
        scenario.run_until_quiet(Until::TheEnd).await;
        if dice.u8(..DAYS_ONE_IN) == 0 {
            scenario.reconcile_all_days().await;
        }
        checks::at_rest(&mut scenario);
        scenario
    })
}

/// Draws the next call and its fate.
struct Chance {
    dice: Rng,
    one_in: usize,
    faults: usize,
    again: Option<(u64, Call, CallFault, u32)>,
}

impl Policy for Chance {
    fn choose(&mut self, waiting: &[WaitingCall]) -> usize {
        self.dice.usize(..waiting.len())
    }

    fn fate(&mut self, call: &Call, line: u64) -> Option<CallFault> {
        // An index that lags is no fault, and is no rarity.
        if call.reads_index && self.dice.u8(..8) == 0 {
            return Some(CallFault::Stale);
        }
        if let Some((struck_line, struck, fault, left)) = &mut self.again
            && *left > 0
            && *struck_line == line
            && struck == call
        {
            *left -= 1;
            return Some(*fault);
        }
        if self.faults == 0 || self.dice.usize(..self.one_in) > 0 {
            return None;
        }
        self.faults -= 1;
        let strikes: Vec<Strike> = Strike::at(call).collect();
        let strike = self.dice.choice(strikes)?;
        self.again = Some((line, call.clone(), strike.fault, strike.attempts - 1));
        Some(strike.fault)
    }
}

/// What WeChat Pay's callbacks meet on their way. Whether some are lost for good.
fn callback_faults(scenario: &Scenario, dice: &mut Rng) -> bool {
    let faults = [
        WechatFault::ProbeCallback,
        WechatFault::OutOfOrderCallback,
        WechatFault::SlowCallback { delay_ms: 90_000 },
        WechatFault::RenamedCallback,
    ];
    for fault in faults {
        if dice.u8(..4) == 0 {
            scenario.wechat_fault(Rule::times(fault, 1));
        }
    }
    let lost = dice.u8(..4) == 0;
    if lost {
        scenario.wechat_fault(Rule::always(WechatFault::LostCallback).with_probability(0.5));
    }
    lost
}

/// A client's request for an order.
fn order(n: usize, dice: &mut Rng) -> Value {
    let mut body = json!({
        "order_no": format!("ORDER-{n}"),
        "amount_fen": dice.i64(1..1_000),
        "description": DESCRIPTION,
        "expires_in_s": ([300, 7_200, 7_200, 86_400][dice.usize(..4)]),
    });
    match dice.u8(..4) {
        0 => {
            body["product"] = "jsapi".into();
            body["openid"] = OPENID.into();
        }
        1 => {
            body["product"] = "h5".into();
            body["payer_client_ip"] = "203.0.113.7".into();
            body["h5_type"] = "Wap".into();
        }
        _ => body["product"] = "native".into(),
    }
    body
}

/// Some things happen at once.
async fn moment(scenario: &mut Scenario, orders: &[Value], lost: bool, dice: &mut Rng) {
    if dice.u8(..10) == 0 {
        scenario
            .deployment
            .director
            .print("every idle sandbox is gone");
        scenario.deployment.recycle();
    }
    if dice.bool() {
        operator_at_wechat(scenario, &number(any(orders, dice)), lost, dice);
        scenario.deliver().await;
    }
    let deployment = Arc::clone(&scenario.deployment);
    let asked = ConcurrentAnswers::default();
    let (names, acts): (Vec<String>, Vec<LocalBoxFuture<'_, ()>>) = (0..dice.usize(1..=3))
        .map(|_| act(&deployment, any(orders, dice), &asked, dice))
        .unzip();
    deployment.act(names.join(" | "), join_all(acts)).await;
    scenario.take_answers(asked);
}

/// A payer or the merchant's staff act at WeChat Pay, if possible. If callbacks get lost, only
/// actions that a query can find: others are found by the bills alone.
fn operator_at_wechat(scenario: &Scenario, order_no: &str, lost: bool, dice: &mut Rng) {
    let wechat = scenario.deployment.wechat();
    let options = PayOptions::default();
    // A payer has what a client was shown, be it the newest value or not, and nothing else.
    let shown: Vec<String> = scenario
        .deployment
        .shown()
        .into_iter()
        .filter(|shown| shown.order_no == order_no)
        .map(|shown| shown.value)
        .collect();
    let Some(value) = dice.choice(&shown) else {
        return;
    };
    let (what, done) = match dice.u8(..12) {
        0..=6 => ("the payer pays", wechat.pay(value, &options).is_ok()),
        7..=10 if lost => ("the payer pays", wechat.pay(value, &options).is_ok()),
        7 | 8 => (
            "money comes late for",
            wechat.pay_late(order_no, &options).is_ok(),
        ),
        9 => (
            "a second payment comes for",
            wechat.pay_again(order_no, &options).is_ok(),
        ),
        10 => {
            let refund = ConsoleRefund {
                order: order_no.to_owned(),
                refund_fen: dice.i64(1..400),
                notify_url: Some(scenario.deployment.notify_url.clone()),
                ..ConsoleRefund::default()
            };
            (
                "the merchant's staff refund a part of",
                wechat.console_refund(&refund).is_ok(),
            )
        }
        _ => {
            let outcomes = [
                RefundOutcome::Success,
                RefundOutcome::Success,
                RefundOutcome::Closed,
                RefundOutcome::Abnormal,
                RefundOutcome::Refused,
            ];
            let outcome = outcomes[dice.usize(..outcomes.len())];
            wechat.set_refund_outcome(outcome);
            scenario.deployment.director.print(format!(
                "{} refunds come to {outcome:?} from now on",
                scenario.deployment.time()
            ));
            return;
        }
    };
    if done {
        scenario
            .deployment
            .director
            .print(format!("{} {what} {order_no}", scenario.deployment.time()));
    }
}

fn any<'a>(orders: &'a [Value], dice: &mut Rng) -> &'a Value {
    &orders[dice.usize(..orders.len())]
}

fn number(order: &Value) -> String {
    order["order_no"].as_str().expect("a number").to_owned()
}

/// One of the things that happen at once: what it is called, and it.
fn act<'a>(
    deployment: &'a Arc<Deployment>,
    order: &Value,
    asked: &'a ConcurrentAnswers,
    dice: &mut Rng,
) -> (String, LocalBoxFuture<'a, ()>) {
    let order_no = number(order);
    let ask = |request: PendingRequest| {
        let name = format!("{} {}", request.method, request.path);
        (name, asked.ask(deployment, request).boxed_local())
    };
    match dice.u8(..24) {
        0..=5 => {
            let request = PendingRequest::post("/v1/orders", order.clone());
            let request = if dice.u8(..3) == 0 {
                request.with("prefer", "respond-async")
            } else {
                request
            };
            ask(if dice.u8(..4) == 0 {
                request.once()
            } else {
                request
            })
        }
        6 | 7 => ask(PendingRequest::get(format!("/v1/orders/{order_no}")).or("order_not_found")),
        8 => ask(close(&order_no)),
        9..=11 => ask(refund(&order_no, order, dice)),
        12 => ask(decision(&order_no, dice)),
        13..=15 => (
            "the sweep runs".to_owned(),
            deployment.sweep().boxed_local(),
        ),
        16 => {
            let callback = deployment
                .wechat()
                .signed_callback(&order_no, &Damage::None);
            let copy = async move {
                if let Some(callback) = callback {
                    deployment.receive_signed(&callback).await;
                }
            };
            (
                format!("a copy of the callback about {order_no} arrives"),
                copy.boxed_local(),
            )
        }
        _ => {
            let url = [REQUESTS, RESULTS][dice.usize(..2)];
            let how = Poll {
                most: dice.usize(1..=10),
                again: dice.u8(..3) == 0,
                backwards: dice.bool(),
            };
            let name = format!(
                "Lambda polls {}",
                url.rsplit('/').next().unwrap_or_default()
            );
            let poll = async move {
                deployment.poll_as(url, &how).await;
            };
            (name, poll.boxed_local())
        }
    }
}

fn close(order_no: &str) -> PendingRequest {
    PendingRequest::bare_post(format!("/v1/orders/{order_no}/close"))
        .or("order_paid")
        .or("order_not_found")
}

/// A refund of the booked payment, or now and then of a parked one. The same number is always for
/// the same amount.
fn refund(order_no: &str, order: &Value, dice: &mut Rng) -> PendingRequest {
    let n = dice.i64(1..=4);
    let paid_fen = order["amount_fen"].as_i64().unwrap_or_default();
    let amount_fen = if n == 4 {
        paid_fen
    } else {
        (paid_fen * n / 5).max(1)
    };
    let body = json!({"refund_no": format!("R{n}"), "amount_fen": amount_fen});
    let mut request = PendingRequest::post(format!("/v1/orders/{order_no}/refunds"), body);
    for refusal in [
        "order_not_found",
        "order_not_paid",
        "refund_exceeds_payment",
    ] {
        request = request.or(refusal);
    }
    request
}

/// A person decides about a refund, whether or not it needs one.
fn decision(order_no: &str, dice: &mut Rng) -> PendingRequest {
    let (what, body) = match dice.u8(..4) {
        0 => ("retry", json!({})),
        1 => ("release", json!({"who": "Li", "why": "paid back in cash"})),
        2 => (
            "abnormal",
            json!({"to": "merchant", "who": "Li", "why": "card gone"}),
        ),
        _ => ("payer-paid", json!({"who": "Li", "why": "by bank"})),
    };
    let path = format!("/v1/orders/{order_no}/refunds/R{}/{what}", dice.u8(1..=4));
    let mut request = PendingRequest::post(path, body);
    for refusal in [
        "order_not_found",
        "refund_not_found",
        "refund_state",
        "refund_needs_two_persons",
        "wechatpay_refused",
    ] {
        request = request.or(refusal);
    }
    request
}

async fn time_passes(scenario: &Scenario, dice: &mut Rng) {
    let seconds = match dice.u8(..32) {
        0..=15 => 0,
        16..=25 => dice.u64(1..20),
        26..=28 => dice.u64(20..120),
        29 | 30 => dice.u64(120..900),
        _ => dice.u64(900..10_000),
    };
    if seconds > 0 {
        scenario.step_by_step(Duration::from_secs(seconds)).await;
    }
}
