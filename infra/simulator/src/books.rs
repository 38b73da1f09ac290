//! WeChat Pay's books: orders, refunds, callbacks, bills. What the state file keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    callbacks::{self, Callback, CallbackStatus},
    clock::Clock,
    faults::{Fault, Faults},
    ids::Ids,
    ledger::{self, Ledger, Occasion, Reason},
    order::{Attempt, AttemptOutcome, Order, Payment, TradeState},
    refund::{Refund, RefundOutcome, RefundStatus},
};

/// A held callback goes out by itself after this long.
const HELD_MS: i64 = 60_000;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Books {
    pub(crate) orders: BTreeMap<String, Order>,
    pub(crate) refunds: BTreeMap<String, Refund>,
    pub(crate) callbacks: Vec<Callback>,
    /// Snapshots of bills by kind and day; a bill never changes once it was made.
    pub(crate) bills: BTreeMap<String, String>,
    pub(crate) ledger: Ledger,
    pub(crate) next_refunds: RefundOutcome,
}

/// How a payer pays.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PayOptions {
    /// Fen that a coupon pays; less than the total.
    pub coupon_fen: i64,
    /// `OTHERS` (the wallet) unless told, else something like `CMB_DEBIT`.
    pub bank_type: Option<String>,
    /// Who pays; the order's `openid`, or a new one.
    pub openid: Option<String>,
    /// Changes to the callback's plaintext (JSON merge patch, RFC 7396), to see how the receiver takes news that does
    /// not fit its order. The books keep the truth.
    pub alter: Option<Value>,
}

/// Why a payer cannot pay, cancel or fail.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PayError {
    /// Nothing has that number or value.
    #[error("no order has the number or prepay value {0}")]
    Unknown(String),
    /// The value was replaced by a newer one.
    #[error("this prepay value was replaced by a newer one; use the last that was answered")]
    Replaced,
    /// The value, or the order's time to pay, has run out.
    #[error("the prepay value or the order's time_expire has run out")]
    Expired,
    /// The order is closed.
    #[error("the order is closed")]
    Closed,
    /// It is paid already.
    #[error("the order is paid already")]
    AlreadyPaid,
    /// The coupon.
    #[error("coupon_fen must be from 0 to below the order's total")]
    Coupon,
}

impl Books {
    /// After a restart: what was on its way is tried again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        for callback in &mut self.callbacks {
            if callback.status == CallbackStatus::Waiting {
                callback.due_ms.get_or_insert(now_ms);
            }
        }
    }

    pub(crate) fn state(&self, order: &Order, now_ms: i64) -> TradeState {
        let has_refund = self
            .refunds
            .values()
            .any(|refund| refund.out_trade_no == order.out_trade_no);
        order.state(has_refund, now_ms)
    }

    /// The number of the order that has this number, this live prepay value, or this id behind one.
    pub(crate) fn find(&self, value: &str) -> Result<String, PayError> {
        if let Some(order) = self.orders.values().find(|order| order.is_named(value)) {
            return Ok(order.out_trade_no.clone());
        }
        let dead = |order: &Order| order.dead_values.iter().any(|dead| dead == value);
        match self.orders.values().any(dead) {
            true => Err(PayError::Replaced),
            false => Err(PayError::Unknown(value.to_owned())),
        }
    }

    /// The payer pays, if WeChat Pay would let them.
    pub(crate) fn pay(
        &mut self,
        value: &str,
        options: &PayOptions,
        tools: &mut Tools<'_>,
    ) -> Result<(), PayError> {
        let number = self.payable(value, tools.clock.now_ms())?;
        self.book_payment(&number, options, tools)
    }

    /// Books a payment, whatever the order's state: also for money that comes after a close.
    pub(crate) fn book_payment(
        &mut self,
        number: &str,
        options: &PayOptions,
        tools: &mut Tools<'_>,
    ) -> Result<(), PayError> {
        let now_ms = tools.clock.now_ms();
        let unknown = || PayError::Unknown(number.to_owned());
        let order = self.orders.get_mut(number).ok_or_else(unknown)?;
        if options.coupon_fen < 0 || options.coupon_fen >= order.total_fen {
            return Err(PayError::Coupon);
        }
        let openid = options.openid.clone().or_else(|| order.openid.clone());
        order.payment = Some(Payment {
            transaction_id: tools.ids.transaction_id(now_ms),
            openid: openid.unwrap_or_else(|| tools.ids.openid()),
            paid_ms: now_ms,
            bank_type: options
                .bank_type
                .clone()
                .unwrap_or_else(|| "OTHERS".to_owned()),
            coupon_fen: options.coupon_fen,
        });
        let mut plaintext = order.transaction(TradeState::Success);
        if let Some(patch) = &options.alter {
            callbacks::merge(&mut plaintext, patch);
        }
        let (url, settled_fen) = (order.notify_url.clone(), order.payer_total_fen());
        let transaction_id = order
            .payment
            .as_ref()
            .map_or("", |payment| &payment.transaction_id)
            .to_owned();
        let occasion = Occasion {
            at_ms: now_ms,
            business_id: &transaction_id,
            voucher: number,
        };
        self.ledger
            .book(tools.ids, &occasion, Reason::Payment, settled_fen);
        let fee_fen = ledger::fee_fen(settled_fen).saturating_neg();
        self.ledger.book(tools.ids, &occasion, Reason::Fee, fee_fen);
        let event = ("TRANSACTION.SUCCESS", "transaction", "支付成功");
        self.tell(number, event, &url, plaintext, tools);
        Ok(())
    }

    /// The payer turns away, or the bank refuses. The order stays unpaid.
    pub(crate) fn attempt(
        &mut self,
        value: &str,
        outcome: AttemptOutcome,
        now_ms: i64,
    ) -> Result<(), PayError> {
        let number = self.payable(value, now_ms)?;
        if let Some(order) = self.orders.get_mut(&number) {
            order.attempts.push(Attempt {
                outcome,
                at_ms: now_ms,
            });
        }
        Ok(())
    }

    fn payable(&self, value: &str, now_ms: i64) -> Result<String, PayError> {
        let number = self.find(value)?;
        let order = self
            .orders
            .get(&number)
            .ok_or_else(|| PayError::Unknown(value.to_owned()))?;
        match self.state(order, now_ms) {
            TradeState::Success | TradeState::Refund => Err(PayError::AlreadyPaid),
            TradeState::Closed => Err(PayError::Closed),
            TradeState::NotPay if now_ms >= order.expires_ms.min(order.prepay.expires_ms) => {
                Err(PayError::Expired)
            }
            TradeState::NotPay => Ok(number),
        }
    }

    /// Ends a refund, moves the money and tells the merchant.
    pub(crate) fn end_refund(&mut self, number: &str, status: RefundStatus, tools: &mut Tools<'_>) {
        let now_ms = tools.clock.now_ms();
        let Some(refund) = self.refunds.get_mut(number) else {
            return;
        };
        refund.status = status;
        refund.ends = None;
        match status {
            RefundStatus::Success => refund.success_ms = Some(now_ms),
            RefundStatus::Closed => {
                let occasion = Occasion {
                    at_ms: now_ms,
                    business_id: &refund.refund_id,
                    voucher: number,
                };
                let fee_fen = ledger::fee_fen(refund.payer_refund_fen).saturating_neg();
                self.ledger.book(
                    tools.ids,
                    &occasion,
                    Reason::RefundClosed,
                    refund.payer_refund_fen,
                );
                self.ledger.book(tools.ids, &occasion, Reason::Fee, fee_fen);
            }
            RefundStatus::Processing | RefundStatus::Abnormal => {}
        }
        let notice = self
            .orders
            .get(&refund.out_trade_no)
            .map(|order| refund.notice(order));
        let url = refund.notify_url.clone();
        if let (Some((event_type, summary)), Some(url), Some(notice)) =
            (status.event(), url, notice)
        {
            self.tell(number, (event_type, "refund", summary), &url, notice, tools);
        }
    }

    /// Makes a callback, and lets the faults at it.
    pub(crate) fn tell(
        &mut self,
        about: &str,
        event: (&str, &str, &str),
        url: &str,
        plaintext: Value,
        tools: &mut Tools<'_>,
    ) {
        let now_ms = tools.clock.now_ms();
        let mut callback = callbacks::new(tools.ids, about, event, url, plaintext, now_ms);
        for fault in tools.faults.draw_for_callback() {
            strike(&mut callback, &fault);
        }
        self.callbacks.push(callback);
    }

    /// Refunds whose time has come.
    pub(crate) fn end_due_refunds(&mut self, tools: &mut Tools<'_>) {
        let now_ms = tools.clock.now_ms();
        let due: Vec<(String, RefundStatus)> = self
            .refunds
            .iter()
            .filter_map(|(number, refund)| {
                let end = refund.ends.filter(|end| end.at_ms <= now_ms)?;
                Some((number.clone(), end.status))
            })
            .collect();
        for (number, status) in due {
            self.end_refund(&number, status, tools);
        }
    }

    /// The next moment at which a refund ends or a callback is due.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        let refunds = self
            .refunds
            .values()
            .filter_map(|refund| refund.ends.map(|end| end.at_ms));
        let callbacks = self.callbacks.iter().filter_map(|callback| callback.due_ms);
        refunds.chain(callbacks).min()
    }

    /// Takes the callbacks that are due, the one that waits longest first, and marks them as on their way.
    pub(crate) fn take_due_callbacks(&mut self, now_ms: i64) -> Vec<String> {
        let mut due: Vec<(i64, String)> = Vec::new();
        for callback in &mut self.callbacks {
            if let Some(due_ms) = callback.due_ms.filter(|due_ms| *due_ms <= now_ms) {
                callback.due_ms = None;
                due.push((due_ms, callback.id.clone()));
            }
        }
        due.sort_by_key(|(due_ms, _)| *due_ms);
        due.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn callback_mut(&mut self, id: &str) -> Option<&mut Callback> {
        self.callbacks.iter_mut().find(|callback| callback.id == id)
    }

    /// Lets go of callbacks that were held back for the sake of this one.
    pub(crate) fn release_held(&mut self, went_out: &str, now_ms: i64) {
        let at = self
            .callbacks
            .iter()
            .position(|callback| callback.id == went_out);
        for callback in self.callbacks.iter_mut().take(at.unwrap_or(0)) {
            if callback.misfortune.held && callback.status == CallbackStatus::Waiting {
                callback.misfortune.held = false;
                callback.due_ms = Some(now_ms);
            }
        }
    }
}

/// What the books need from the simulator to act.
pub(crate) struct Tools<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) ids: &'a mut Ids,
    pub(crate) faults: &'a mut Faults,
}

fn strike(callback: &mut Callback, fault: &Fault) {
    match fault {
        Fault::ProbeCallback => callback.misfortune.probe = true,
        Fault::LostCallback => {
            callback.status = CallbackStatus::Lost;
            callback.due_ms = None;
        }
        Fault::DuplicateCallback { copies } => callback.misfortune.more_copies = *copies,
        Fault::OutOfOrderCallback => {
            callback.misfortune.held = true;
            callback.due_ms = callback.due_ms.map(|due_ms| due_ms.saturating_add(HELD_MS));
        }
        Fault::SlowCallback { delay_ms } => {
            callback.due_ms = callback
                .due_ms
                .map(|due_ms| due_ms.saturating_add(*delay_ms));
        }
        Fault::ProbeResponse
        | Fault::SlowAnswer { .. }
        | Fault::TimeOutAfterOperation { .. }
        | Fault::TooManyRequests
        | Fault::ServerErrorBefore { .. }
        | Fault::ServerErrorAfter { .. }
        | Fault::ResetBefore
        | Fault::ResetAfter
        | Fault::StaleKeepAlive
        | Fault::RotatePublicKey
        | Fault::RotateCertificate
        | Fault::PayBeforeClose
        | Fault::PayAfterClose => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_callback_that_was_under_way_when_the_simulator_stopped_is_tried_again() {
        let event = ("TRANSACTION.SUCCESS", "transaction", "");
        let mut books = Books::default();
        for status in [
            CallbackStatus::Waiting,
            CallbackStatus::Delivered,
            CallbackStatus::Lost,
        ] {
            let mut callback =
                callbacks::new(&mut Ids::new(1), "ORDER-1001", event, "", json!({}), 5);
            callback.due_ms = None;
            callback.status = status;
            books.callbacks.push(callback);
        }
        books.resume(7);
        let due: Vec<Option<i64>> = books
            .callbacks
            .iter()
            .map(|callback| callback.due_ms)
            .collect();
        assert_eq!(due, [Some(7), None, None]);
    }
}
