//! The day's reconciliation: news that never came and a payment too many are found in WeChat Pay's
//! bills, and put right.
//!
//! It is today's bill, which only a simulator has before the day is over. The merchant's finance
//! staff are two persons here, who say who they are; on AWS the console goes by their tokens.

use std::collections::BTreeMap;
use std::time::Instant;

use http::{Method, Request, header};
use hyper::body::Bytes;
use serde_json::{Value, json};
use wechatpay::{UnixSeconds, time::beijing_day};
use wechatpay_simulator::{Fault, PayOptions, Rule};

use super::{
    NEWS_WITHIN, POLL_EVERY, Scenario, ScenarioContext, ScenarioStep, elapsed_ms, json, number,
    text,
};
use crate::failure::Failure;
use crate::product::Product;

/// Runs a day's end, and reports each step as soon as it is done.
///
/// # Errors
/// The first step that went wrong, with the end of the log of the function that should have done
/// it.
pub(crate) async fn run(
    stage: &ScenarioContext<'_>,
    product: Product,
    api_url: &str,
    on_step: fn(&ScenarioStep),
) -> Result<Vec<ScenarioStep>, Failure> {
    wait_out_day_end(stage).await;
    let now_ms = stage.clock.now_ms();
    let staff = Staff {
        stage,
        api_url,
        date: beijing_day(stage.clock.now()),
    };
    let mut scenario = Scenario::new(stage, product, on_step);
    let twice = format!("play-twice-{now_ms}");
    scenario.create("create_order_4", &twice).await?;
    scenario.pay_twice(&twice).await?;
    let lost = format!("play-lost-{now_ms}");
    scenario.create("create_order_5", &lost).await?;
    scenario.pay_in_silence(&lost)?;

    stage.simulator.allow_bills_of_today(true);
    scenario
        .reconcile(&staff, true, &[(&lost, "open"), (&twice, "open")])
        .await?;
    scenario
        .reconcile(&staff, false, &[(&lost, "repaired"), (&twice, "proposed")])
        .await?;
    scenario.read_paid(&lost).await?;
    scenario.two_persons_approve(&staff, &twice).await?;
    scenario.await_second_refund(&staff, &twice).await?;
    Ok(scenario.steps)
}

/// What the payments of this scenario take at most: a bill has those of one Beijing day.
const PAYMENTS_TAKE_S: i64 = 30;

/// Waits for the next Beijing day when this one ends before the payments are made.
async fn wait_out_day_end(stage: &ScenarioContext<'_>) {
    let mut left_s = day_end_within_s(stage.clock.now());
    if let Some(left_s) = left_s {
        eprintln!(
            "      in {left_s} s it is midnight in Beijing: the next day is waited for, since a bill has one day's payments"
        );
    }
    while left_s.is_some() {
        tokio::time::sleep(POLL_EVERY).await;
        left_s = day_end_within_s(stage.clock.now());
    }
}

/// The seconds until the Beijing day ends, if the payments may take longer.
fn day_end_within_s(now: UnixSeconds) -> Option<i64> {
    let today = beijing_day(now);
    (1..=PAYMENTS_TAKE_S).find(|s| beijing_day(now.plus_s(*s)) != today)
}

/// Finance staff at the console's API.
struct Staff<'a> {
    stage: &'a ScenarioContext<'a>,
    api_url: &'a str,
    /// The day, in Beijing.
    date: String,
}

impl Staff<'_> {
    /// What is under the day.
    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None, "").await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        person: &str,
    ) -> Result<Value, Failure> {
        let url = format!("{}/v1/reconciliations/{}{path}", self.api_url, self.date);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, format!("console_you={person}"))
            .body(Bytes::from(
                body.map(|body| body.to_string()).unwrap_or_default(),
            ))
            .map_err(|error| {
                Failure::because("a request to the console cannot be built", &error)
            })?;
        let answer = self
            .stage
            .http
            .send(request)
            .await
            .map_err(|error| Failure::because("the console did not answer", &error))?;
        let status = answer.status();
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        if !status.is_success() {
            return Err(Failure::new(format!(
                "{url} was answered with {status}: {body}"
            )));
        }
        serde_json::from_str(&body)
            .map_err(|error| Failure::because("the console answered no JSON", &error))
    }

    /// The difference about an order, if the day has one.
    async fn difference(&self, order_no: &str) -> Result<Option<Value>, Failure> {
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/differences?limit=100{after}")).await?;
            let found = page.get("differences").and_then(Value::as_array);
            let found = found
                .into_iter()
                .flatten()
                .find(|one| text(one, "/about/order_no") == order_no);
            if let Some(found) = found {
                return Ok(Some(found.clone()));
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(None),
            }
        }
    }
}

impl Scenario<'_> {
    /// The payer pays, the order is booked, and then the payer pays again without a callback.
    async fn pay_twice(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let simulator = self.stage.simulator;
        let paid = simulator.pay(order_no, &PayOptions::default());
        paid.map_err(|error| Failure::because("the payer could not pay", &error))?;
        self.await_state(order_no, "paid", "process-payment")
            .await?;
        let ms = elapsed_ms(begin);
        let again = self.in_silence(|| simulator.pay_again(order_no, &PayOptions::default()))?;
        again.map_err(|error| Failure::because("the payer could not pay twice", &error))?;
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", "paid".to_owned()),
            ("second_payment", "its callback is lost".to_owned()),
        ]);
        self.done("paid_twice", ids, ms);
        Ok(())
    }

    /// The payer pays, without a callback.
    fn pay_in_silence(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let simulator = self.stage.simulator;
        let paid = self.in_silence(|| simulator.pay(order_no, &PayOptions::default()))?;
        paid.map_err(|error| Failure::because("the payer could not pay", &error))?;
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("payment", "its callback is lost".to_owned()),
        ]);
        self.done("news_lost", ids, elapsed_ms(begin));
        Ok(())
    }

    /// Callbacks of what is done here are lost.
    fn in_silence<T>(&self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        let simulator = self.stage.simulator;
        let fault = simulator
            .add_fault(Rule::always(Fault::LostCallback))
            .map_err(|error| Failure::because("the simulator cannot lose a callback", &error))?;
        let done = work();
        simulator.clear_faults(Some(fault));
        Ok(done)
    }

    /// Runs the day, and checks whether it found what it should.
    async fn reconcile(
        &mut self,
        staff: &Staff<'_>,
        dry_run: bool,
        expected: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let started = staff
            .send(Method::POST, "", Some(json!({"dry_run": dry_run})), "")
            .await?;
        let run_id = text(&started, "/run_id");
        let day = loop {
            let day = staff.get("").await;
            // A preview never replaces a real run: it is stored beside it.
            let is_of = |day: &Value, run: &str| text(day, &format!("{run}/run_id")) == run_id;
            let (is_this, state) = match &day {
                Ok(day) if is_of(day, "") => (true, text(day, "/state")),
                Ok(day) if is_of(day, "/latest_preview") => {
                    (true, text(day, "/latest_preview/state"))
                }
                Ok(_) | Err(_) => (false, String::new()),
            };
            if is_this && state == "done" {
                break day?;
            }
            if (is_this && state == "failed") || begin.elapsed() > NEWS_WITHIN {
                let failure = Failure::new(format!("the day was not reconciled: {day:?}"));
                return Err(self.with_log(failure, "reconcile").await);
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let ms = elapsed_ms(begin);
        let mut ids = BTreeMap::from([
            ("date", staff.date.clone()),
            ("bill_rows", number(&day, "/bills/0/rows")),
        ]);
        for (order_no, state) in expected {
            let found = staff.difference(order_no).await?;
            let found_state = found.as_ref().map(|found| text(found, "/state"));
            if found_state.as_deref() != Some(*state) {
                let failure = Failure::new(format!(
                    "the day has for order {order_no} {found:?}, not a difference that is {state}"
                ));
                return Err(self.with_log(failure, "reconcile").await);
            }
            let kind = found.as_ref().map(|found| text(found, "/kind"));
            match kind.as_deref() {
                Some("paid_there_unpaid_here") => {
                    ids.insert("paid_there_unpaid_here", (*state).to_owned());
                }
                Some("duplicate_payment") => {
                    ids.insert("duplicate_payment", (*state).to_owned());
                }
                other => {
                    return Err(Failure::new(format!(
                        "order {order_no} has a difference of another kind: {other:?}"
                    )));
                }
            }
        }
        self.done(
            if dry_run {
                "day_previewed"
            } else {
                "day_reconciled"
            },
            ids,
            ms,
        );
        Ok(())
    }

    /// The order whose news was lost is paid for the merchant too.
    async fn read_paid(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let order = self.await_state(order_no, "paid", "reconcile").await?;
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", text(&order, "/state")),
        ]);
        self.done("news_found", ids, elapsed_ms(begin));
        Ok(())
    }

    /// One person alone cannot give money back; two can.
    async fn two_persons_approve(
        &mut self,
        staff: &Staff<'_>,
        order_no: &str,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        for person in ["li", "wang"] {
            let found = staff.difference(order_no).await?.unwrap_or_default();
            let decision = json!({
                "decision": "approve",
                "why": "the payer paid twice",
                "version": found.get("version"),
            });
            let path = format!("/differences/{}/decisions", text(&found, "/id"));
            staff
                .send(Method::POST, &path, Some(decision), person)
                .await?;
        }
        let ids = BTreeMap::from([
            ("persons", "li, wang".to_owned()),
            ("page", format!("{}/console/{}", staff.api_url, staff.date)),
        ]);
        self.done("refund_approved", ids, elapsed_ms(begin));
        Ok(())
    }

    /// The second payment goes back, by the path of every refund, and the day says that it is put
    /// right.
    async fn await_second_refund(
        &mut self,
        staff: &Staff<'_>,
        order_no: &str,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let (refund, difference) = loop {
            let answer = self.stage.caller.refunds(order_no).await?;
            let refund = json(&answer)?.pointer("/refunds/0").cloned();
            let refund = refund.unwrap_or_default();
            let difference = staff.difference(order_no).await?.unwrap_or_default();
            let states = (text(&refund, "/state"), text(&difference, "/state"));
            if (states.0.as_str(), states.1.as_str()) == ("succeeded", "repaired") {
                break (refund, difference);
            }
            if begin.elapsed() > NEWS_WITHIN {
                let there = self.stage.simulator.refunds_of(order_no);
                let failure = Failure::new(format!(
                    "the second payment of {order_no} did not go back: the merchant reads {refund}, finance {difference}, \
                     and WeChat Pay has {there:?}"
                ));
                return Err(self.with_log(failure, "reconcile").await);
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("out_refund_no", text(&refund, "/out_refund_no")),
            ("amount_fen", number(&refund, "/amount_fen")),
            ("state", text(&refund, "/state")),
            ("difference", text(&difference, "/state")),
        ]);
        self.done("second_refunded", ids, elapsed_ms(begin));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_near_midnight_in_beijing_wait_for_the_next_day() {
        let at = |text: &str| wechatpay::time::parse_rfc3339(text).expect("a time");
        for (now, left_s) in [
            ("2026-08-01T12:00:00+08:00", None),
            ("2026-08-01T23:59:29+08:00", None),
            ("2026-08-01T23:59:30+08:00", Some(30)),
            ("2026-08-01T15:59:59Z", Some(1)),
            ("2026-08-02T00:00:00+08:00", None),
        ] {
            assert_eq!(day_end_within_s(at(now)), left_s, "{now}");
        }
    }
}
