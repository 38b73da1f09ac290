//! The later life of orders: webhooks, a refund, a closed order, and a late payment.

use std::collections::BTreeMap;
use std::time::Instant;

use client::{ApiAnswer, NewRefund};
use serde_json::Value;
use wechatpay_simulator::{Fault, Payment, RefundStatus, Rule, TradeState};

use super::{
    NEWS_WITHIN, POLL_EVERY, Scenario, ScenarioContext, ScenarioStep, elapsed_ms, json, number,
    text, unexpected,
};
use crate::failure::Failure;
use crate::product::Product;

/// What goes back of the order that was paid. The rest stays, so that the reader has something to
/// give back.
const REFUND_FEN: i64 = 40;

/// The number of the refund. It need be unique under its order only.
const REFUND_NO: &str = "play-r1";

/// How long the callback of the late payment is held back (milliseconds), so that it never
/// overtakes the end of the close.
const LATE_BY_MS: i64 = 300;

/// Refunds a paid order, closes a second one and pays a third too late, printing each step as soon
/// as it is done.
///
/// # Errors
/// The first step that went wrong, with the end of the log of the function that should have done
/// it.
pub(crate) async fn run(
    stage: &ScenarioContext<'_>,
    product: Product,
    paid_order_no: &str,
    on_step: fn(&ScenarioStep),
) -> Result<Vec<ScenarioStep>, Failure> {
    let mut scenario = Scenario::new(stage, product, on_step);
    scenario.await_webhook(paid_order_no).await?;
    scenario.refund(paid_order_no).await?;
    scenario.await_refund(paid_order_no).await?;
    scenario.read_timeline(paid_order_no).await?;

    let closed = format!("play-close-{}", stage.clock.now_ms());
    scenario.create("create_order_2", &closed).await?;
    scenario.close(&closed).await?;

    let late = format!("play-late-{}", stage.clock.now_ms());
    scenario.create("create_order_3", &late).await?;
    let paid_ms = scenario.close_before_the_money(&late).await?;
    scenario.await_late_refund(&late, paid_ms).await?;
    Ok(scenario.steps)
}

impl Scenario<'_> {
    /// Waits until the merchant's system got the webhook that the order is paid. The time is
    /// counted from the payment.
    async fn await_webhook(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let webhook = loop {
            if let Some(webhook) = self.stage.receiver.delivery_of(order_no, "paid") {
                break webhook;
            }
            if begin.elapsed() > NEWS_WITHIN {
                let limit = NEWS_WITHIN.as_secs();
                let counts = self.stage.receiver.counts();
                let refused = counts.last_refusal.map(|why| format!(", the last: {why}"));
                let failure = Failure::new(format!(
                    "no webhook reported to {} within {limit} s that order {order_no} is paid; {} came, and {} were refused{}. An event \
                     goes from the table's stream by Pipe, bus and queue to send-webhook, which goes by an address that it \
                     looked up before for a minute; what failed on the way there is in {}",
                    self.stage.receiver.url(),
                    counts.verified,
                    counts.refused,
                    refused.unwrap_or_default(),
                    self.stage.engine.log().display(),
                ));
                return Err(self.with_log(failure, "send-webhook").await);
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let paid_ms = self.payment_at_wechat(order_no)?.paid_ms;
        let ids = BTreeMap::from([
            ("webhook_id", webhook.webhook_id),
            ("state", webhook.change.to),
            ("signature", "verified".to_owned()),
        ]);
        self.done("webhook", ids, webhook.at_ms.saturating_sub(paid_ms));
        Ok(())
    }

    /// Asks for a part of the money back.
    async fn refund(&mut self, order_no: &str) -> Result<(), Failure> {
        let refund = NewRefund {
            amount_fen: REFUND_FEN,
            refund_no: Some(REFUND_NO.to_owned()),
            reason: Some("One cup was cold".to_owned()),
            ..NewRefund::default()
        };
        let begin = Instant::now();
        let answer = self.stage.caller.refund(order_no, &refund).await?;
        let refund = self.expect(202, "POST of the refund", &answer).await?;
        let ids = BTreeMap::from([
            ("refund_no", text(&refund, "/refund_no")),
            ("out_refund_no", text(&refund, "/out_refund_no")),
            ("amount_fen", number(&refund, "/amount_fen")),
            ("state", text(&refund, "/state")),
        ]);
        self.done("refund", ids, elapsed_ms(begin));
        Ok(())
    }

    /// Waits until the refund has gone through the queue to WeChat Pay, and its notice has come
    /// back.
    async fn await_refund(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let refund = loop {
            let answer = self.stage.caller.get_refund(order_no, REFUND_NO).await?;
            let refund = self.expect(200, "GET of the refund", &answer).await?;
            let state = text(&refund, "/state");
            if state == "succeeded" {
                break refund;
            }
            let is_on_its_way = state == "reserved" || state == "processing";
            if !is_on_its_way || begin.elapsed() > NEWS_WITHIN {
                let failure = Failure::new(format!(
                    "the refund did not succeed but is `{state}` after {} s: {refund}",
                    begin.elapsed().as_secs()
                ));
                return Err(self.with_log(failure, "process-payment").await);
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let ms = elapsed_ms(begin);
        self.check_refund(order_no, &refund, REFUND_FEN)?;
        let out_refund_no = text(&refund, "/out_refund_no");
        let notices = self.stage.simulator.callbacks_about(&out_refund_no);
        let notice = notices.into_iter().next();
        let ids = BTreeMap::from([
            (
                "notice_id",
                notice.map(|notice| notice.id).unwrap_or_default(),
            ),
            ("out_refund_no", out_refund_no),
            ("refund_id", text(&refund, "/refund_id")),
            ("state", text(&refund, "/state")),
        ]);
        self.done("refund_done", ids, ms);
        Ok(())
    }

    /// Reads what happened to the order and its refund.
    async fn read_timeline(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let answer = self.stage.caller.events(order_no).await?;
        let timeline = self.expect(200, "GET of the events", &answer).await?;
        let events = timeline.get("events").and_then(Value::as_array);
        let events = events.map(Vec::as_slice).unwrap_or_default();
        let versions = events
            .iter()
            .map(|event| event.get("version").and_then(Value::as_u64));
        if !versions.eq((1..).take(events.len()).map(Some)) {
            return Err(Failure::new(format!(
                "the timeline has a gap: every change of an order is a version further: {timeline}"
            )));
        }
        let ids = BTreeMap::from([
            ("events", events.len().to_string()),
            ("order", states(events, "order")),
            ("refund", states(events, "refund")),
        ]);
        self.done("timeline", ids, elapsed_ms(begin));
        Ok(())
    }

    /// Closes an unpaid order.
    async fn close(&mut self, order_no: &str) -> Result<(), Failure> {
        let begin = Instant::now();
        let order = self.closed(order_no).await?;
        let ms = elapsed_ms(begin);
        let there = self.stage.simulator.order(order_no);
        let there = there.map(|view| view.trade_state);
        if there != Ok(TradeState::Closed) {
            return Err(Failure::new(format!(
                "order {order_no} is closed here, but at WeChat Pay it is {there:?}"
            )));
        }
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", text(&order, "/state")),
            ("at_wechat", TradeState::Closed.as_str().to_owned()),
        ]);
        self.done("close", ids, ms);
        Ok(())
    }

    /// Closes an order whose payer's money is under way: it arrives a moment after the close. Gives
    /// when that was.
    async fn close_before_the_money(&mut self, order_no: &str) -> Result<i64, Failure> {
        let begin = Instant::now();
        let slow = Fault::SlowCallback {
            delay_ms: LATE_BY_MS,
        };
        let mut faults = Vec::new();
        for fault in [Fault::PayAfterClose, slow] {
            let added = self.stage.simulator.add_fault(Rule::times(fault, 1));
            faults.push(added.map_err(|error| {
                Failure::because("the simulator does not know late money", &error)
            })?);
        }
        let order = self.closed(order_no).await?;
        let ms = elapsed_ms(begin);
        for fault in faults {
            self.stage.simulator.clear_faults(Some(fault));
        }
        let payment = self.payment_at_wechat(order_no)?;
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", text(&order, "/state")),
            ("transaction_id", payment.transaction_id),
        ]);
        self.done("late_money", ids, ms);
        Ok(payment.paid_ms)
    }

    /// Waits until the late payment was booked and refunded automatically. The time is counted from
    /// the payment.
    async fn await_late_refund(&mut self, order_no: &str, paid_ms: i64) -> Result<(), Failure> {
        let order = self
            .await_state(order_no, "refunded", "process-payment")
            .await?;
        let ms = self.stage.clock.now_ms().saturating_sub(paid_ms);
        let answer = self.stage.caller.refunds(order_no).await?;
        let refunds = self.expect(200, "GET of the refunds", &answer).await?;
        let Some([refund]) = refunds
            .get("refunds")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        else {
            return Err(Failure::new(format!(
                "late money goes back by one refund, but the order has: {refunds}"
            )));
        };
        let amount_fen = order.get("amount_fen").and_then(Value::as_i64);
        self.check_refund(order_no, refund, amount_fen.unwrap_or_default())?;
        let ids = BTreeMap::from([
            ("order_no", order_no.to_owned()),
            ("state", text(&order, "/state")),
            ("refund_no", text(refund, "/refund_no")),
            ("out_refund_no", text(refund, "/out_refund_no")),
            ("refund_id", text(refund, "/refund_id")),
        ]);
        self.done("late_money_refunded", ids, ms);
        Ok(())
    }

    /// Closes the order, and gives it as it is then.
    async fn closed(&self, order_no: &str) -> Result<Value, Failure> {
        let answer = self.stage.caller.close(order_no).await?;
        if answer.status == 202 {
            // WeChat Pay has not answered; the sweep continues within a minute.
            return self.await_state(order_no, "closed", "reconcile").await;
        }
        self.expect(200, "POST of the close", &answer).await
    }

    /// The body of an answer with this status.
    async fn expect(&self, status: u16, what: &str, answer: &ApiAnswer) -> Result<Value, Failure> {
        if answer.status == status {
            return json(answer);
        }
        let failure = unexpected(what, answer);
        Err(self.with_log(failure, "manage-order").await)
    }

    fn payment_at_wechat(&self, order_no: &str) -> Result<Payment, Failure> {
        let there = self.stage.simulator.order(order_no).ok();
        there
            .and_then(|view| view.order.payment)
            .ok_or_else(|| Failure::new(format!("WeChat Pay has no payment for order {order_no}")))
    }

    /// Checks that the merchant's view of the refund equals WeChat Pay's books, and that exactly
    /// this amount was refunded.
    fn check_refund(&self, order_no: &str, refund: &Value, fen: i64) -> Result<(), Failure> {
        let out_refund_no = text(refund, "/out_refund_no");
        let there = self.stage.simulator.refund(&out_refund_no);
        let is_same = there.as_ref().is_some_and(|there| {
            there.refund_id == text(refund, "/refund_id") && there.status == RefundStatus::Success
        });
        let view = self.stage.simulator.order(order_no).ok();
        let refunded_fen = view.map(|view| view.refunded_fen);
        if is_same && refunded_fen == Some(fen) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the merchant reads {refund}, but WeChat Pay has {there:?}, and gave {refunded_fen:?} fen back"
        )))
    }
}

/// The states that a subject went through: `reserved>processing>succeeded`.
fn states(events: &[Value], subject: &str) -> String {
    let states: Vec<&str> = events
        .iter()
        .filter(|event| event.get("subject").and_then(Value::as_str) == Some(subject))
        .filter_map(|event| event.get("to")?.as_str())
        .collect();
    states.join(">")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_states_of_one_subject_are_listed_in_their_order() {
        let events = [
            json!({"version": 1, "subject": "order", "to": "reserved"}),
            json!({"version": 2, "subject": "order", "to": "paid"}),
            json!({"version": 3, "subject": "refund", "to": "reserved"}),
        ];
        assert_eq!(states(&events, "order"), "reserved>paid");
        assert_eq!(states(&events, "refund"), "reserved");
        assert_eq!(states(&events, "payment"), "");
    }
}
