//! Plays a payment and tells every step: what a merchant's back end, WeChat Pay and a payer would do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use adapters::clock::Clock;
use client::Answer;
use local::engine::Engine;
use serde::Serialize;
use serde_json::Value;
use wechatpay_simulator::{Admin, CallbackStatus, PayOptions};

use crate::caller::Caller;
use crate::failure::Failure;
use crate::http::Http;
use crate::logs;
use crate::product::Product;

/// How long the callback, and then the booking, may take. The engine's queue poller looks once a second, and WeChat
/// repeats a callback after 15 s.
const NEWS_WITHIN: Duration = Duration::from_secs(60);

/// How often the play looks whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One step that was done.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) product: &'static str,
    pub(crate) ids: BTreeMap<&'static str, String>,
    pub(crate) ms: i64,
}

/// Whom a play is played with.
pub(crate) struct Stage<'a> {
    pub(crate) http: &'a Http,
    pub(crate) caller: &'a Caller,
    pub(crate) simulator: &'a Admin,
    pub(crate) engine: &'a Engine,
    pub(crate) clock: &'a Clock,
}

/// Pays one order of the product and reads it, telling each step as soon as it is done.
///
/// # Errors
/// The first step that went wrong, with the end of the log of the function that should have done it.
pub(crate) async fn play(
    stage: &Stage<'_>,
    product: Product,
    order_no: &str,
    told: fn(&Step),
) -> Result<Vec<Step>, Failure> {
    let since_ms = stage.clock.now_ms();
    let mut play = Play {
        stage,
        product,
        order_no,
        since_ms,
        steps: Vec::new(),
        told,
    };
    play.create().await?;
    play.find_prepay(since_ms)?;
    play.pay().await?;
    let acknowledged = play.await_callback().await?;
    play.await_booking(acknowledged).await?;
    let order = play.read().await?;
    play.check(&order)?;
    Ok(play.steps)
}

/// Reads an order as the merchant; `None` if the API does not know it.
///
/// # Errors
/// The API does not answer, or refuses.
pub(crate) async fn read_order(
    stage: &Stage<'_>,
    order_no: &str,
) -> Result<Option<Value>, Failure> {
    let answer = stage.caller.get(order_no).await?;
    match answer.status {
        200 => json(&answer).map(Some),
        404 => Ok(None),
        _ => Err(unexpected("GET of the order", &answer)),
    }
}

struct Play<'a> {
    stage: &'a Stage<'a>,
    product: Product,
    order_no: &'a str,
    since_ms: i64,
    steps: Vec<Step>,
    told: fn(&Step),
}

impl Play<'_> {
    async fn create(&mut self) -> Result<(), Failure> {
        let order = self.product.order(self.order_no);
        let begin = Instant::now();
        let answer = self.stage.caller.create(&order).await?;
        let order = match answer.status {
            201 => json(&answer)?,
            // WeChat, or this machine, was too slow for the caller to wait: the queue does it.
            202 => {
                self.await_state("awaiting_payment", "process-payment")
                    .await?
            }
            _ => {
                let failure = unexpected("POST /v1/orders", &answer);
                return Err(self.with_log(failure, "create-order").await);
            }
        };
        let mut ids = BTreeMap::from([
            ("order_no", self.order_no.to_owned()),
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
        self.done("create_order", ids, elapsed_ms(begin));
        Ok(())
    }

    /// The simulator has the order by now; its clock is ours.
    fn find_prepay(&mut self, since_ms: i64) -> Result<(), Failure> {
        let found = self.stage.simulator.order(self.order_no);
        let order = found.map_err(|error| {
            Failure::because("the API took the order, but the simulator has none", &error)
        })?;
        let order = order.order;
        let ids = BTreeMap::from([("prepay_id", order.prepay.prepay_id)]);
        self.done(
            "prepay_at_wechat",
            ids,
            order.created_ms.saturating_sub(since_ms),
        );
        Ok(())
    }

    async fn pay(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        let paid = self
            .stage
            .simulator
            .pay(self.order_no, &PayOptions::default());
        let paid = paid.map_err(|error| Failure::because("the payer could not pay", &error))?;
        let payment = paid
            .order
            .payment
            .ok_or_else(|| Failure::new("the simulator took the payment but has none"))?;
        let ids = BTreeMap::from([("transaction_id", payment.transaction_id)]);
        self.done("user_pays", ids, elapsed_ms(begin));
        Ok(())
    }

    /// Waits until the callback was answered with success; gives when that was seen.
    async fn await_callback(&mut self) -> Result<Instant, Failure> {
        let begin = Instant::now();
        loop {
            let callbacks = self.stage.simulator.callbacks();
            let ours = callbacks
                .into_iter()
                .find(|callback| callback.about == self.order_no);
            match ours {
                Some(callback) if callback.status == CallbackStatus::Delivered => {
                    let status = callback
                        .tries
                        .last()
                        .and_then(|last| last.status)
                        .unwrap_or_default();
                    let ids = BTreeMap::from([
                        ("notice_id", callback.id),
                        ("tries", callback.tries.len().to_string()),
                        ("status", status.to_string()),
                    ]);
                    self.done("callback", ids, elapsed_ms(begin));
                    return Ok(Instant::now());
                }
                other if begin.elapsed() > NEWS_WITHIN => {
                    let tries = other.map(|callback| format!("{:?}", callback.tries));
                    let seen = tries.unwrap_or_else(|| "never sent".to_owned());
                    let failure =
                        Failure::new(format!("the callback was not taken in time: {seen}"));
                    return Err(self.with_log(failure, "receive-callback").await);
                }
                Some(_) | None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits until the callback has come through the queue and the order is paid.
    async fn await_booking(&mut self, acknowledged: Instant) -> Result<(), Failure> {
        let order = self.await_state("paid", "process-payment").await?;
        let ids = BTreeMap::from([("state", text(&order, "/state"))]);
        self.done("booked", ids, elapsed_ms(acknowledged));
        Ok(())
    }

    /// Reads the order as the merchant until it is in the state that the function is to bring it to.
    async fn await_state(&self, wanted: &str, function: &str) -> Result<Value, Failure> {
        let begin = Instant::now();
        loop {
            let order = read_order(self.stage, self.order_no).await?;
            let order = order.unwrap_or_default();
            let state = text(&order, "/state");
            if state == wanted {
                return Ok(order);
            }
            if begin.elapsed() > NEWS_WITHIN {
                let limit = NEWS_WITHIN.as_secs();
                let failure = Failure::new(format!(
                    "the order was not `{wanted}` within {limit} s but `{state}`"
                ));
                return Err(self.with_log(failure, function).await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn read(&mut self) -> Result<Value, Failure> {
        let begin = Instant::now();
        let order = read_order(self.stage, self.order_no)
            .await?
            .ok_or_else(|| Failure::new("the paid order is gone"))?;
        let ids = BTreeMap::from([
            ("order_no", text(&order, "/order_no")),
            ("state", text(&order, "/state")),
            ("transaction_id", text(&order, "/transaction_id")),
            ("paid_at", text(&order, "/paid_at")),
        ]);
        self.done("merchant_reads", ids, elapsed_ms(begin));
        Ok(order)
    }

    /// The merchant reads what WeChat Pay has in its books.
    fn check(&self, order: &Value) -> Result<(), Failure> {
        let there = self.stage.simulator.order(self.order_no).ok();
        let payment = there.and_then(|view| view.order.payment);
        let transaction_id = payment.map(|payment| payment.transaction_id);
        if transaction_id.as_deref() == order.pointer("/transaction_id").and_then(Value::as_str) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the merchant reads transaction {}, but WeChat Pay has {}",
            text(order, "/transaction_id"),
            transaction_id.unwrap_or_default()
        )))
    }

    fn done(&mut self, name: &'static str, ids: BTreeMap<&'static str, String>, ms: i64) {
        let step = Step {
            name,
            product: self.product.name(),
            ids,
            ms,
        };
        (self.told)(&step);
        self.steps.push(step);
    }

    async fn with_log(&self, failure: Failure, function: &str) -> Failure {
        let stage = self.stage;
        let log = logs::tail(stage.http, stage.engine, function, self.since_ms).await;
        Failure::new(format!("{failure}\n{log}"))
    }
}

fn json(answer: &Answer) -> Result<Value, Failure> {
    serde_json::from_str(&answer.body)
        .map_err(|error| Failure::because("the API answered no JSON", &error))
}

fn unexpected(what: &str, answer: &Answer) -> Failure {
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

fn elapsed_ms(begin: Instant) -> i64 {
    i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX)
}
