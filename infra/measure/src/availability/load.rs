//! A day's orders: each is asked for at its moment, and paid as soon as it can be.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use client::{Call, Client, NewOrder};
use serde_json::{Value, json};

use super::ask::{Answer, ask};
use super::stack::Stack;
use crate::clock;
use crate::failure::{ErrorContext, Failure, MeasureResult};

/// The amount of every order, in fen.
const AMOUNT_FEN: i64 = 100;
/// The pause before what was not answered well is sent again, and between two looks at an order.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an order may take until it can be paid: a queue's message that was in work when the
/// engine stopped comes again after 180 s.
const PAYABLE_WITHIN: Duration = Duration::from_secs(300);

/// What became of an order.
#[derive(Clone, Debug)]
pub(crate) struct OrderEnd {
    /// When it was asked for, from the day's beginning.
    pub(crate) asked: Duration,
    pub(crate) first: FirstAnswer,
    /// From the request to the value that a payer can pay with; `None` if there never was one.
    pub(crate) payable_after: Option<Duration>,
    /// Whether WeChat Pay has taken its money.
    pub(crate) is_paid: bool,
}

/// What the client got at its first try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FirstAnswer {
    /// 201: the value.
    Value,
    /// 202: the value comes later.
    Later,
    /// Another status, or none.
    Failed,
}

/// Who asks for the orders.
#[derive(Debug)]
pub(crate) struct Shop {
    client: Client,
    simulator: String,
    /// What its order numbers begin with.
    prefix: String,
}

impl Shop {
    pub(crate) fn new(stack: &Stack, prefix: &str) -> MeasureResult<Self> {
        Ok(Self {
            client: stack.client()?,
            simulator: stack.simulator.clone(),
            prefix: prefix.to_owned(),
        })
    }

    /// Asks for an order at each of these moments, and comes back when the last is paid.
    pub(crate) fn work(
        self: &Arc<Self>,
        begin: Instant,
        arrivals: &[Duration],
    ) -> MeasureResult<Vec<OrderEnd>> {
        let mut orders = Vec::new();
        for (number, asked) in arrivals.iter().copied().enumerate() {
            thread::sleep(asked.saturating_sub(begin.elapsed()));
            let shop = Arc::clone(self);
            orders.push(thread::spawn(move || shop.order(number, asked)));
        }
        let ends = orders.into_iter().map(|order| {
            let end = order.join();
            end.map_err(|_| Failure::new("an order's thread ended early"))?
        });
        ends.collect()
    }

    fn order(&self, number: usize, asked: Duration) -> MeasureResult<OrderEnd> {
        let order_no = format!("{}{number}", self.prefix);
        let begin = Instant::now();
        let (mut first, mut is_payable) = (None, false);
        while !is_payable && begin.elapsed() < PAYABLE_WITHIN {
            // As the contract says: what fails is sent again, and then the order is looked at.
            let answer = if matches!(first, Some(FirstAnswer::Value | FirstAnswer::Later)) {
                self.call(&Call::get_order(&order_no))
            } else {
                self.call(&create(&order_no)?)
            };
            let status = answer.as_ref().map(|answer| answer.status).ok();
            let got = match status {
                Some(201) => FirstAnswer::Value,
                Some(200 | 202) => FirstAnswer::Later,
                _ => FirstAnswer::Failed,
            };
            is_payable = status == Some(201) || answer.is_ok_and(|it| awaits_payment(&it));
            if first.is_none() {
                first = Some(got);
            }
            if !is_payable {
                thread::sleep(PAUSE);
            }
        }
        let payable_after = is_payable.then(|| begin.elapsed());
        Ok(OrderEnd {
            asked,
            first: first.unwrap_or(FirstAnswer::Failed),
            payable_after,
            is_paid: is_payable && self.is_paid(&order_no)?,
        })
    }

    fn call(&self, call: &Call) -> MeasureResult<Answer> {
        let nonce: String = (0..32).map(|_| fastrand::alphanumeric()).collect();
        let signed = self.client.sign(call, clock::now(), &nonce);
        let signed = signed.during("signing a request")?;
        ask(&signed.method, &signed.url, &signed.headers, &signed.body)
    }

    /// The payer pays.
    fn is_paid(&self, order_no: &str) -> MeasureResult<bool> {
        let url = format!("{}/admin/pay", self.simulator);
        let paid = super::ask::post(&url, &json!({"order": order_no}))?;
        Ok(paid.status == 200)
    }
}

fn create(order_no: &str) -> MeasureResult<Call> {
    let order = NewOrder {
        product: "native".to_owned(),
        amount_fen: AMOUNT_FEN,
        description: "A cup of tea".to_owned(),
        order_no: Some(order_no.to_owned()),
        ..NewOrder::default()
    };
    Call::create_order(&order).during("writing an order")
}

fn awaits_payment(answer: &Answer) -> bool {
    let order = answer.json().unwrap_or_default();
    order.get("state").and_then(Value::as_str) == Some("awaiting_payment")
}
