//! A payment, from the order to the merchant who reads that it is paid.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use wechatpay_simulator::{CallbackStatus, PayOptions};

use super::{
    NEWS_WITHIN, POLL_EVERY, Scenario, ScenarioContext, ScenarioStep, elapsed_ms, read_order, text,
};
use crate::failure::Failure;
use crate::product::Product;

/// Pays one order of the product and reads it, and reports each step as soon as it is done.
///
/// # Errors
/// The first step that went wrong, with the end of the log of the function that should have done
/// it.
pub(crate) async fn run(
    stage: &ScenarioContext<'_>,
    product: Product,
    order_no: &str,
    on_step: fn(&ScenarioStep),
) -> Result<Vec<ScenarioStep>, Failure> {
    let mut scenario = Scenario::new(stage, product, on_step);
    scenario.create("create_order", order_no).await?;
    scenario.find_prepay(order_no)?;
    scenario.pay(order_no).await?;
    let acknowledged = scenario.await_callback(order_no).await?;
    scenario.await_booking(order_no, acknowledged).await?;
    let order = scenario.read(order_no).await?;
    scenario.check(order_no, &order)?;
    Ok(scenario.steps)
}

impl Scenario<'_> {
    /// The simulator has the order by now; its clock is ours.
    fn find_prepay(&mut self, order_no: &str) -> Result<(), Failure> {
        let found = self.stage.simulator.order(order_no);
        let order = found.map_err(|error| {
            Failure::because("the API took the order, but the simulator has none", &error)
        })?;
        let order = order.order;
        let ids = BTreeMap::from([("prepay_id", order.prepay.prepay_id)]);
        self.done(
            "prepay_at_wechat",
            ids,
            order.created_ms.saturating_sub(self.since_ms),
        );
        Ok(())
    }

    async fn pay(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let paid = self.stage.simulator.pay(order_no, &PayOptions::default());
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
    async fn await_callback(&mut self, order_no: &str) -> Result<Instant, Failure> {
        let begin = Instant::now();
        loop {
            let callbacks = self.stage.simulator.callbacks();
            let ours = callbacks
                .into_iter()
                .find(|callback| callback.about == order_no);
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
                Some(_) | None => tokio::time::sleep(POLL_EVERY).await,
            }
        }
    }

    /// Waits until the callback has come through the queue and the order is paid.
    async fn await_booking(
        &mut self,
        order_no: &str,
        acknowledged: Instant,
    ) -> Result<(), Failure> {
        let order = self
            .await_state(order_no, "paid", "process-payment")
            .await?;
        let ids = BTreeMap::from([("state", text(&order, "/state"))]);
        self.done("booked", ids, elapsed_ms(acknowledged));
        Ok(())
    }

    async fn read(&mut self, order_no: &str) -> Result<Value, Failure> {
        let begin = Instant::now();
        let order = read_order(self.stage, order_no)
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
    fn check(&self, order_no: &str, order: &Value) -> Result<(), Failure> {
        let there = self.stage.simulator.order(order_no).ok();
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
}
