//! WeChat Pay's books: orders, refunds, callbacks, bills. The state file stores them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    bills::{bill::Bill, differences::InjectedDifference},
    callbacks::{self, Callback, CallbackContent, CallbackStatus, NoticeFormat},
    clock::{self, Clock, DAY_MS},
    faults::Fault,
    ids::Ids,
    index::{Orders, Refunds},
    ledger::{self, Ledger, MovementSubject, Reason},
    order::{Attempt, AttemptOutcome, Order, Payment, TradeState},
    outbox::Outbox,
    refund::{Refund, RefundOutcome, RefundStatus},
    rules::Faults,
    settings::Settings,
    v2_notice,
};

/// A held callback is sent automatically after this time.
const HELD_MS: i64 = 60_000;
/// When the money of the day before is booked, after midnight.
const SETTLED_AT_MS: i64 = 300_000;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Store {
    pub(crate) orders: Orders,
    pub(crate) refunds: Refunds,
    pub(crate) callbacks: Outbox,
    /// Snapshots of bills by kind, day and type; a bill never changes once it was made, unless the
    /// admin puts something into its day.
    pub(crate) bills: BTreeMap<String, Bill>,
    /// What is in bills on purpose.
    #[serde(default)]
    pub(crate) differences: Vec<InjectedDifference>,
    pub(crate) ledger: Ledger,
    pub(crate) next_refunds: RefundOutcome,
    #[serde(default)]
    pub(crate) settings: Settings,
}

/// How a payer pays.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PayOptions {
    /// Fen that a coupon pays; less than the total.
    pub coupon_fen: i64,
    /// By default `OTHERS` (the wallet); otherwise for example `CMB_DEBIT`.
    pub bank_type: Option<String>,
    /// Who pays; the order's `openid`, or a new one.
    pub openid: Option<String>,
    /// Changes to the callback's plaintext (JSON merge patch, RFC 7396), to see how the receiver
    /// takes news that does not fit its order. The books keep the truth.
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
    #[error("the order is paid already")]
    AlreadyPaid,
    /// It is not paid, and was to be paid again.
    #[error("the order is not paid yet; pay it before you pay it again")]
    NotPaid,
    #[error("coupon_fen must be from 0 to below the order's total")]
    Coupon,
}

impl Store {
    pub(crate) fn state(&self, order: &Order, now_ms: i64) -> TradeState {
        let has_refund = order
            .payment
            .as_ref()
            .is_some_and(|payment| self.payment_state(payment) == TradeState::Refund);
        order.state(has_refund, now_ms)
    }

    /// The state that a query by the payment's own number answers.
    pub(crate) fn payment_state(&self, payment: &Payment) -> TradeState {
        match self.refunds.of(&payment.transaction_id).next() {
            Some(_) => TradeState::Refund,
            None => TradeState::Success,
        }
    }

    /// The number of the order that has this number, this live prepay value, or this id behind one.
    pub(crate) fn find(&self, value: &str) -> Result<String, PayError> {
        if self.orders.get(value).is_some() {
            return Ok(value.to_owned());
        }
        match self.orders.with_value(value) {
            Some(order) if order.is_paid_by(value) => Ok(order.out_trade_no.clone()),
            Some(_) => Err(PayError::Replaced),
            None => Err(PayError::Unknown(value.to_owned())),
        }
    }

    /// The payer pays, if WeChat Pay would let them.
    pub(crate) fn pay(
        &mut self,
        value: &str,
        options: &PayOptions,
        tools: &mut BookContext<'_>,
    ) -> Result<(), PayError> {
        let number = self.payable(value, tools.clock.now_ms())?;
        self.book_payment(&number, options, tools)
    }

    /// A payment that WeChat Pay would not allow: after the close, after the order has run out, or
    /// a second time.
    pub(crate) fn pay_against_the_rules(
        &mut self,
        value: &str,
        again: bool,
        options: &PayOptions,
        tools: &mut BookContext<'_>,
    ) -> Result<(), PayError> {
        let number = self.find(value)?;
        let is_paid = self
            .orders
            .get(&number)
            .is_some_and(|order| order.payment.is_some());
        match (is_paid, again) {
            (true, false) => Err(PayError::AlreadyPaid),
            (false, true) => Err(PayError::NotPaid),
            (true, true) | (false, false) => self.book_payment(&number, options, tools),
        }
    }

    /// Books a payment in any state of the order: also a payment after a close, or a second one.
    pub(crate) fn book_payment(
        &mut self,
        number: &str,
        options: &PayOptions,
        tools: &mut BookContext<'_>,
    ) -> Result<(), PayError> {
        let now_ms = tools.clock.now_ms();
        let unknown = || PayError::Unknown(number.to_owned());
        let order = self.orders.get(number).ok_or_else(unknown)?;
        if options.coupon_fen < 0 || options.coupon_fen >= order.total_fen {
            return Err(PayError::Coupon);
        }
        let openid = options.openid.clone().or_else(|| order.openid.clone());
        let payment = Payment {
            transaction_id: tools.ids.transaction_id(now_ms),
            openid: openid.unwrap_or_else(|| tools.ids.openid()),
            paid_ms: now_ms,
            bank_type: options
                .bank_type
                .clone()
                .unwrap_or_else(|| "OTHERS".to_owned()),
            coupon_fen: options.coupon_fen,
        };
        let mut plaintext = order.transaction(TradeState::Success, Some(&payment));
        if let Some(patch) = &options.alter {
            callbacks::merge(&mut plaintext, patch);
        }
        let url = order.notify_url.clone();
        self.enter_payment(number, payment, now_ms, tools.ids);
        let news = CallbackContent {
            about: number,
            event: ("TRANSACTION.SUCCESS", "transaction", "支付成功"),
            url: &url,
            plaintext,
            format: NoticeFormat::V3,
        };
        self.send_notice(news, tools);
        Ok(())
    }

    /// The order has a payment; its money comes onto the account, at once or on the next day.
    pub(crate) fn enter_payment(
        &mut self,
        number: &str,
        payment: Payment,
        now_ms: i64,
        ids: &mut Ids,
    ) {
        let Some(order) = self.orders.get(number) else {
            return;
        };
        let settled_fen = order.payer_total_fen(&payment);
        let days = self
            .settings
            .settle_days
            .max(u8::from(self.settings.settle_next_day));
        let later_ms = clock::day_start_ms(payment.paid_ms)
            .saturating_add(DAY_MS.saturating_mul(i64::from(days)))
            .saturating_add(SETTLED_AT_MS);
        let occasion = MovementSubject {
            at_ms: if days > 0 { later_ms } else { payment.paid_ms },
            business_id: &payment.transaction_id,
            voucher: number,
        };
        let fee_fen = ledger::fee_fen(settled_fen).saturating_neg();
        for (reason, fen) in [(Reason::Payment, settled_fen), (Reason::Fee, fee_fen)] {
            if occasion.at_ms > now_ms {
                self.ledger.book_later(&occasion, reason, fen);
            } else {
                self.ledger.book(ids, &occasion, reason, fen);
            }
        }
        self.orders.add_payment(number, payment);
    }

    /// Bills of that day and of later ones are created again.
    pub(crate) fn forget_bills_since(&mut self, day: &str) {
        self.bills
            .retain(|key, _| key.split('/').nth(1).is_some_and(|its_day| its_day < day));
    }

    /// The payer turns away, or the bank refuses. The order stays unpaid.
    pub(crate) fn attempt(
        &mut self,
        value: &str,
        outcome: AttemptOutcome,
        now_ms: i64,
    ) -> Result<(), PayError> {
        let number = self.payable(value, now_ms)?;
        let attempt = Attempt {
            outcome,
            at_ms: now_ms,
        };
        self.orders.add_attempt(&number, attempt);
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

    /// Puts an accepted refund into the books; the money leaves at once.
    pub(crate) fn open_refund(&mut self, refund: Refund, tools: &mut BookContext<'_>) {
        let occasion = MovementSubject {
            at_ms: refund.created_ms,
            business_id: &refund.refund_id,
            voucher: &refund.out_refund_no,
        };
        let out_fen = refund.payer_refund_fen.saturating_neg();
        let fee_fen = ledger::fee_fen(refund.payer_refund_fen);
        self.ledger
            .book(tools.ids, &occasion, Reason::Refund, out_fen);
        self.ledger
            .book(tools.ids, &occasion, Reason::RefundedFee, fee_fen);
        self.refunds.insert(refund);
    }

    /// Ends a refund, moves the money and notifies the merchant.
    pub(crate) fn end_refund(
        &mut self,
        number: &str,
        status: RefundStatus,
        tools: &mut BookContext<'_>,
    ) {
        let now_ms = tools.clock.now_ms();
        let changed = self.refunds.change(number, |refund| {
            refund.status = status;
            refund.ends = None;
            if status == RefundStatus::Success {
                refund.success_ms = Some(now_ms);
            }
        });
        let Some(refund) = changed.cloned() else {
            return;
        };
        if status == RefundStatus::Closed {
            let occasion = MovementSubject {
                at_ms: now_ms,
                business_id: &refund.refund_id,
                voucher: number,
            };
            let back_fen = refund.payer_refund_fen;
            let fee_fen = ledger::fee_fen(back_fen).saturating_neg();
            self.ledger
                .book(tools.ids, &occasion, Reason::RefundClosed, back_fen);
            self.ledger.book(tools.ids, &occasion, Reason::Fee, fee_fen);
        }
        self.send_refund_notice(&refund, tools);
    }

    /// The notice of a refund's end: to the URL that it named, else in the old form to the one set
    /// in the console.
    fn send_refund_notice(&mut self, refund: &Refund, tools: &mut BookContext<'_>) {
        let Some((event_type, summary)) = refund.status.event() else {
            return;
        };
        let Some((order, payment)) = self.orders.with_transaction(&refund.transaction_id) else {
            return;
        };
        let (url, plaintext, format) = match (&refund.notify_url, &self.settings.console_refund_url)
        {
            (Some(url), _) => (
                url.clone(),
                refund.notice(order, payment, refund.status),
                NoticeFormat::V3,
            ),
            (None, Some(url)) => (
                url.clone(),
                v2_notice::tree(refund, order, payment),
                NoticeFormat::V2Xml,
            ),
            (None, None) => return,
        };
        let news = CallbackContent {
            about: &refund.out_refund_no,
            event: (event_type, "refund", summary),
            url: &url,
            plaintext,
            format,
        };
        self.send_notice(news, tools);
    }

    /// Makes a callback, and lets the faults at it.
    pub(crate) fn send_notice(&mut self, news: CallbackContent<'_>, tools: &mut BookContext<'_>) {
        let callback = callbacks::new(tools.ids, news, tools.clock.now_ms());
        self.post(callback, tools);
    }

    /// Lets the faults at a new callback, and puts it into the outbox. Gives its id.
    pub(crate) fn post(&mut self, mut callback: Callback, tools: &mut BookContext<'_>) -> String {
        for fault in tools.faults.draw_for_callback() {
            strike(&mut callback, &fault);
        }
        let id = callback.id.clone();
        self.callbacks.push(callback);
        id
    }

    /// Refunds whose time has come.
    pub(crate) fn end_due_refunds(&mut self, tools: &mut BookContext<'_>) {
        let now_ms = tools.clock.now_ms();
        while let Some((number, end)) = self
            .refunds
            .due(now_ms)
            .and_then(|refund| Some((refund.out_refund_no.clone(), refund.ends?)))
        {
            self.end_refund(&number, end.status, tools);
        }
    }

    /// The next moment at which a refund ends, a callback is due, or money is booked.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        let moments = [
            self.refunds.next_due_ms(),
            self.callbacks.next_due_ms(),
            self.ledger.next_due_ms(),
        ];
        moments.into_iter().flatten().min()
    }
}

/// What the books need from the simulator to act.
pub(crate) struct BookContext<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) ids: &'a mut Ids,
    pub(crate) faults: &'a mut Faults,
}

fn strike(callback: &mut Callback, fault: &Fault) {
    match fault {
        Fault::ProbeCallback => callback.fault.probe = true,
        Fault::RenamedCallback => callback.fault.renamed = true,
        Fault::LostCallback => {
            callback.status = CallbackStatus::Lost;
            callback.due_ms = None;
        }
        Fault::DuplicateCallback { copies } => callback.fault.more_copies = *copies,
        Fault::OutOfOrderCallback => {
            callback.fault.held = true;
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
        | Fault::Refuse { .. }
        | Fault::TooManyRequests
        | Fault::TooManyRequestsAfter
        | Fault::ServerErrorBefore { .. }
        | Fault::ServerErrorAfter { .. }
        | Fault::ResetBefore
        | Fault::ResetAfter
        | Fault::AlteredAnswer { .. }
        | Fault::StaleKeepAlive
        | Fault::RotatePublicKey
        | Fault::RotateCertificate
        | Fault::PayBeforeClose
        | Fault::PayAfterClose
        | Fault::RefundComesTo { .. }
        | Fault::WrongHash
        | Fault::ForeignHost { .. }
        | Fault::StatementCreating
        | Fault::NoStatement
        | Fault::AlteredByte { .. }
        | Fault::CutFile { .. }
        | Fault::ExpiredLink => {}
    }
}
