//! Runs the demo scenarios and prints each step.

pub(crate) mod day;
pub(crate) mod later;
pub(crate) mod payment;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::ApiAnswer;
use local::engine::Engine;
use runtime::clock::Clock;
use serde::Serialize;
use serde_json::Value;
use wechatpay_simulator::Admin;

use crate::caller::ApiCaller;
use crate::failure::Failure;
use crate::http::Http;
use crate::logs;
use crate::product::Product;
use crate::receiver::Receiver;

/// How long each piece of news may take: a callback, a booking, a webhook. The engine's queue
/// poller polls once a second, and WeChat Pay repeats a callback after 15 s.
const NEWS_WITHIN: Duration = Duration::from_secs(60);

/// How often a scenario checks whether something has happened.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// One step that was done.
#[derive(Debug, Serialize)]
pub(crate) struct ScenarioStep {
    pub(crate) name: &'static str,
    pub(crate) product: &'static str,
    pub(crate) ids: BTreeMap<&'static str, String>,
    pub(crate) ms: i64,
}

/// What a scenario needs.
pub(crate) struct ScenarioContext<'a> {
    pub(crate) http: &'a Http,
    pub(crate) caller: &'a ApiCaller,
    pub(crate) simulator: &'a Admin,
    pub(crate) receiver: &'a Receiver,
    pub(crate) engine: &'a Engine,
    pub(crate) clock: &'a Clock,
}

/// Reads an order as the merchant; `None` if the API does not know it.
///
/// # Errors
/// The API does not answer, or refuses.
pub(crate) async fn read_order(
    stage: &ScenarioContext<'_>,
    order_no: &str,
) -> Result<Option<Value>, Failure> {
    let answer = stage.caller.get(order_no).await?;
    match answer.status {
        200 => json(&answer).map(Some),
        404 => Ok(None),
        _ => Err(unexpected("GET of the order", &answer)),
    }
}

/// A running scenario.
struct Scenario<'a> {
    stage: &'a ScenarioContext<'a>,
    product: Product,
    /// When it began (Unix milliseconds).
    since_ms: i64,
    steps: Vec<ScenarioStep>,
    on_step: fn(&ScenarioStep),
}

impl<'a> Scenario<'a> {
    fn new(stage: &'a ScenarioContext<'a>, product: Product, on_step: fn(&ScenarioStep)) -> Self {
        Self {
            stage,
            product,
            since_ms: stage.clock.now_ms(),
            steps: Vec::new(),
            on_step,
        }
    }

    /// Asks for an order of the product.
    async fn create(&mut self, step: &'static str, order_no: &str) -> Result<(), Failure> {
        let order = self.product.order(order_no);
        let begin = Instant::now();
        let answer = self.stage.caller.create(&order).await?;
        let order = match answer.status {
            201 => json(&answer)?,
            // WeChat, or this machine, was too slow for the caller to wait: the queue does it.
            202 => {
                self.await_state(order_no, "awaiting_payment", "process-payment")
                    .await?
            }
            _ => {
                let failure = unexpected("POST /v1/orders", &answer);
                return Err(self.with_log(failure, "create-order").await);
            }
        };
        let mut ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", text(&order, "/state")),
        ]);
        for kind in ["code_url", "h5_url"] {
            if let Some(url) = order
                .pointer(&format!("/prepay/{kind}"))
                .and_then(Value::as_str)
            {
                ids.insert(kind, url.to_owned());
            }
        }
        self.done(step, ids, elapsed_ms(begin));
        Ok(())
    }

    /// Reads the order as the merchant until it is in the state that the function is to bring it
    /// to.
    async fn await_state(
        &self,
        order_no: &str,
        wanted: &str,
        function: &str,
    ) -> Result<Value, Failure> {
        let begin = Instant::now();
        loop {
            let order = read_order(self.stage, order_no).await?;
            let order = order.unwrap_or_default();
            let state = text(&order, "/state");
            if state == wanted {
                return Ok(order);
            }
            if begin.elapsed() > NEWS_WITHIN {
                let limit = NEWS_WITHIN.as_secs();
                let failure = Failure::new(format!(
                    "order {order_no} was not `{wanted}` within {limit} s but `{state}`"
                ));
                return Err(self.with_log(failure, function).await);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn done(&mut self, name: &'static str, ids: BTreeMap<&'static str, String>, ms: i64) {
        let step = ScenarioStep {
            name,
            product: self.product.name(),
            ids,
            ms,
        };
        (self.on_step)(&step);
        self.steps.push(step);
    }

    async fn with_log(&self, failure: Failure, function: &str) -> Failure {
        let stage = self.stage;
        let log = logs::tail(stage.http, stage.engine, function, self.since_ms).await;
        Failure::new(format!("{failure}\n{log}"))
    }
}

fn json(answer: &ApiAnswer) -> Result<Value, Failure> {
    serde_json::from_str(&answer.body)
        .map_err(|error| Failure::because("the API answered no JSON", &error))
}

fn unexpected(what: &str, answer: &ApiAnswer) -> Failure {
    Failure::new(format!(
        "{what} was answered with {}: {}",
        answer.status, answer.body
    ))
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A whole number as text.
fn number(value: &Value, pointer: &str) -> String {
    let number = value.pointer(pointer).and_then(Value::as_i64);
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn elapsed_ms(begin: Instant) -> i64 {
    i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX)
}
