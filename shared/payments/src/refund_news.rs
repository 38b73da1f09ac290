//! News about refunds: parses WeChat Pay's notices and answers into our own types, and decides what
//! they do.

use wechatpay::{
    RequestId, UnixSeconds,
    api::{ErrorCode, Refusal, Repeat, Side},
    time::parse_rfc3339,
    wire::{self, RefundStatus},
};

use crate::{
    due,
    ids::{OrderNo, OutRefundNo, RefundId, RefundNo, TransactionId},
    journal::ChangeContext,
    money::Fen,
    notice::{UnreadableNotice, refund_notice_id},
    order::Order,
    refund::{
        ParkedPayment, ParkedState, PaymentKind, Refund, RefundState, RefundTerms, add_refund,
        transition,
    },
    refund_decision::{OperatorDecision, Redirection},
    settle::{MerchantFacts, OrderChange},
};

/// What WeChat Pay says about one refund, typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundNews {
    /// The merchant number in it; answers have none and are about ours.
    pub mchid: Option<String>,
    /// The order it names.
    pub order_no: OrderNo,
    /// The payment it names.
    pub transaction_id: TransactionId,
    /// The refund in it, by the number that we gave to WeChat Pay.
    pub out_refund_no: OutRefundNo,
    /// WeChat Pay's own number of it.
    pub refund_id: RefundId,
    /// Its state.
    pub status: ReportedRefundStatus,
    /// How much.
    pub amount: Fen,
    /// Of how much.
    pub total: Fen,
    /// When it was accepted (`create_time`). Answers contain it, notices do not; no refund waits
    /// for it.
    pub accepted_at: Option<UnixSeconds>,
    /// Whose account receives its money, if given (`user_received_account`). It decides only once
    /// the refund has succeeded.
    pub received_by: Option<ReceivedBy>,
    /// WeChat Pay's `Request-ID` of the answer or callback.
    pub request_id: Option<RequestId>,
}

/// Whose account receives the money of a refund.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReceivedBy {
    /// The payer's: a card or the wallet.
    Payer,
    /// The merchant's own, after the payer's could not take it (`退还商户`).
    Merchant,
}

impl ReceivedBy {
    /// The values of `user_received_account` for the merchant's own accounts: its basic one, or the
    /// bank account that it is settled to. The manual has both names in one line, so any of them
    /// counts.
    const MERCHANTS: [&str; 2] = ["商户基本账户", "商户结算银行账户"];

    /// Parses `user_received_account`: a bank, a kind of card and its last digits, `支付用户零钱`, or one
    /// of the merchant's accounts. `None` for an empty text.
    fn of(account: &str) -> Option<Self> {
        let account = account.trim();
        if account.is_empty() {
            return None;
        }
        let is_merchants = Self::MERCHANTS.iter().any(|name| account.contains(name));
        Some(if is_merchants {
            Self::Merchant
        } else {
            Self::Payer
        })
    }
}

/// The state of a refund at WeChat Pay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReportedRefundStatus {
    /// Accepted.
    Processing,
    /// The money is back, since then.
    Succeeded(UnixSeconds),
    /// It failed for good.
    Closed,
    /// It cannot be paid out.
    Abnormal,
}

/// The effect of news on a refund and its order.
#[derive(Clone, Debug, PartialEq)]
pub enum RefundSettlement {
    /// Write this change.
    Change(Box<OrderChange>),
    /// The books already have this state or a later one.
    AlreadyDone,
    /// It is still in progress.
    StillOpen,
    /// It refunds a payment that the books do not have yet: it must be processed again after that.
    PaymentNotBooked,
    /// An operator must decide; nothing is applied.
    Park(RefundToPark),
}

/// A refund that does not fit the books, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundToPark {
    /// The order that WeChat Pay names.
    pub order_no: OrderNo,
    /// The payment that it names.
    pub transaction_id: TransactionId,
    /// Its own number of the refund.
    pub refund_id: RefundId,
    /// The number that it was given.
    pub out_refund_no: OutRefundNo,
    /// How much, as reported.
    pub amount: Fen,
    /// Why it was not applied.
    pub reason: RefundParkReason,
}

impl RefundToPark {
    /// Its id in the notices table.
    pub fn notice_id(&self) -> String {
        refund_notice_id(self.refund_id.as_str())
    }
}

/// Why a refund was parked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefundParkReason {
    /// Nothing is known of the order.
    #[error(
        "no order has this number: find out who made the payment and the refund at WeChat Pay, then book both by hand"
    )]
    UnknownOrder,
    /// A value differs from ours.
    #[error("{field} differs from ours: compare both sides before anything is booked")]
    Differs {
        /// Which one.
        field: &'static str,
    },
    /// A refund that was made elsewhere, of a payment that the books do not have.
    #[error(
        "a refund made outside this system gives back more than the books hold for this order: look it up in WeChat Pay's console and book it by hand"
    )]
    ExceedsPayment,
    /// A refund that was made elsewhere, of a payment that is not the booked one.
    #[error(
        "a refund made outside this system is of a payment that is not the order's booked one: look it up in WeChat Pay's console, and book it by hand unless another system made both"
    )]
    OtherPayment,
    /// A refund that was made elsewhere, of a part of a parked payment.
    #[error(
        "a refund made outside this system gives back a part of a payment that is parked here: give the rest back in WeChat Pay's console too, and nothing of it here"
    )]
    PartOfParked,
    /// It was released, its money is no longer reserved, and now WeChat Pay pays it after all.
    #[error(
        "the refund was closed here and its money set free, but WeChat Pay pays it: check whether the payer was refunded twice"
    )]
    PaidAfterClose,
}

impl RefundParkReason {
    /// A stable name for tables and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::Differs { field } => field,
            Self::ExceedsPayment => "exceeds_payment",
            Self::OtherPayment => "other_payment",
            Self::PartOfParked => "part_of_parked",
            Self::PaidAfterClose => "paid_after_close",
        }
    }
}

impl TryFrom<wire::RefundNotice> for RefundNews {
    type Error = UnreadableNotice;

    fn try_from(wire: wire::RefundNotice) -> Result<Self, UnreadableNotice> {
        RefundFields {
            mchid: Some(wire.mchid.clone()),
            out_trade_no: &wire.out_trade_no,
            transaction_id: &wire.transaction_id,
            out_refund_no: &wire.out_refund_no,
            refund_id: &wire.refund_id,
            status: wire.state(),
            success_time: wire.success_time.as_deref(),
            create_time: None,
            received_account: wire.user_received_account.as_deref(),
            refund_fen: wire.amount.refund,
            total_fen: wire.amount.total,
        }
        .read()
    }
}

impl TryFrom<wire::Refund> for RefundNews {
    type Error = UnreadableNotice;

    fn try_from(wire: wire::Refund) -> Result<Self, UnreadableNotice> {
        RefundFields {
            mchid: None,
            out_trade_no: &wire.out_trade_no,
            transaction_id: &wire.transaction_id,
            out_refund_no: &wire.out_refund_no,
            refund_id: &wire.refund_id,
            status: wire.state(),
            success_time: wire.success_time.as_deref(),
            create_time: wire.create_time.as_deref(),
            received_account: wire.user_received_account.as_deref(),
            refund_fen: wire.amount.refund,
            total_fen: wire.amount.total,
        }
        .read()
    }
}

/// The fields that a notice and an answer share under different names.
struct RefundFields<'a> {
    mchid: Option<String>,
    out_trade_no: &'a str,
    transaction_id: &'a str,
    out_refund_no: &'a str,
    refund_id: &'a str,
    status: Option<&'a RefundStatus>,
    success_time: Option<&'a str>,
    create_time: Option<&'a str>,
    received_account: Option<&'a str>,
    refund_fen: i64,
    total_fen: i64,
}

impl RefundFields<'_> {
    fn read(self) -> Result<RefundNews, UnreadableNotice> {
        let invalid = UnreadableNotice::Invalid;
        let status = match self.status.ok_or(UnreadableNotice::Missing("status"))? {
            RefundStatus::Success => {
                let at = self
                    .success_time
                    .ok_or(UnreadableNotice::Missing("success_time"))?;
                ReportedRefundStatus::Succeeded(
                    parse_rfc3339(at).map_err(|_| invalid("success_time"))?,
                )
            }
            RefundStatus::Closed => ReportedRefundStatus::Closed,
            RefundStatus::Processing => ReportedRefundStatus::Processing,
            RefundStatus::Abnormal => ReportedRefundStatus::Abnormal,
            RefundStatus::Unknown(state) => {
                return Err(UnreadableNotice::unknown_state(state));
            }
        };
        Ok(RefundNews {
            mchid: self.mchid,
            order_no: OrderNo::parse(self.out_trade_no).map_err(|_| invalid("out_trade_no"))?,
            transaction_id: TransactionId::parse(self.transaction_id)
                .map_err(|_| invalid("transaction_id"))?,
            out_refund_no: OutRefundNo::parse(self.out_refund_no)
                .map_err(|_| invalid("out_refund_no"))?,
            refund_id: RefundId::parse(self.refund_id).map_err(|_| invalid("refund_id"))?,
            status,
            amount: Fen::new(self.refund_fen).ok_or(invalid("amount.refund"))?,
            total: Fen::new(self.total_fen).ok_or(invalid("amount.total"))?,
            // It only decides on which day the refund is looked for, so a wrong value must not
            // block the refund.
            accepted_at: self.create_time.and_then(|at| parse_rfc3339(at).ok()),
            received_by: self.received_account.and_then(ReceivedBy::of),
            request_id: None,
        })
    }
}

impl RefundNews {
    /// Whether WeChat Pay reports success, with the money on the merchant's own account.
    pub fn went_to_merchant(&self) -> bool {
        matches!(self.status, ReportedRefundStatus::Succeeded(_))
            && self.received_by == Some(ReceivedBy::Merchant)
    }

    /// Whether WeChat Pay says that the payer has the money which an operator redirected to the
    /// merchant's own account.
    pub fn contradicts(&self, refund: &Refund) -> bool {
        matches!(self.status, ReportedRefundStatus::Succeeded(_))
            && self.received_by == Some(ReceivedBy::Payer)
            && refund.is_to_merchant()
    }

    /// The same with the `Request-ID` that it came with.
    #[must_use]
    pub fn told_under(mut self, request_id: Option<RequestId>) -> Self {
        self.request_id = request_id;
        self
    }

    fn parked(&self, reason: RefundParkReason) -> RefundSettlement {
        RefundSettlement::Park(RefundToPark {
            order_no: self.order_no.clone(),
            transaction_id: self.transaction_id.clone(),
            refund_id: self.refund_id.clone(),
            out_refund_no: self.out_refund_no.clone(),
            amount: self.amount,
            reason,
        })
    }
}

/// Decides about news of a refund whose order we do not know.
pub fn settle_unknown_refund(news: &RefundNews) -> RefundSettlement {
    news.parked(RefundParkReason::UnknownOrder)
}

/// Decides what news does to the order and the refund as they were read. `found` is our refund with
/// the number in the news; without one the refund was made outside this system.
pub fn settle_refund(
    order: &Order,
    found: Option<&Refund>,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    match found {
        Some(refund) => match first_mismatch(order, refund, facts, news) {
            Some(field) => news.parked(RefundParkReason::Differs { field }),
            None => settle_known(order, refund, news, context),
        },
        None => settle_external(order, facts, news, context),
    }
}

/// shared/payments/STATES.md, I7: a result applies only if all of these are equal to ours. Returns
/// the name of the first that differs.
fn first_mismatch(
    order: &Order,
    refund: &Refund,
    facts: &MerchantFacts,
    news: &RefundNews,
) -> Option<&'static str> {
    let same_id = refund
        .refund_id
        .as_ref()
        .is_none_or(|id| *id == news.refund_id);
    [
        (is_ours(facts, news), "mchid"),
        (news.order_no == order.order_no, "out_trade_no"),
        (news.out_refund_no == refund.out_refund_no, "out_refund_no"),
        (
            news.transaction_id == refund.transaction_id,
            "transaction_id",
        ),
        (same_id, "refund_id"),
        (news.amount == refund.amount, "amount.refund"),
        (news.total == refund.total, "amount.total"),
    ]
    .into_iter()
    .find_map(|(equal, field)| (!equal).then_some(field))
}

fn is_ours(facts: &MerchantFacts, news: &RefundNews) -> bool {
    news.mchid
        .as_ref()
        .is_none_or(|mchid| *mchid == facts.mchid)
}

fn settle_known(
    order: &Order,
    refund: &Refund,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    // Its money was released because WeChat Pay had no such refund, and now WeChat Pay pays it.
    let moves = match news.status {
        ReportedRefundStatus::Processing
        | ReportedRefundStatus::Succeeded(_)
        | ReportedRefundStatus::Abnormal => true,
        ReportedRefundStatus::Closed => false,
    };
    if moves && refund.decided.is_some() {
        return news.parked(RefundParkReason::PaidAfterClose);
    }
    let to = match (&refund.state, news.status) {
        // An older message never changes a final state (shared/payments/STATES.md, I5).
        (RefundState::Succeeded(_), _)
        | (
            RefundState::Closed,
            ReportedRefundStatus::Closed
            | ReportedRefundStatus::Processing
            | ReportedRefundStatus::Abnormal,
        )
        | (RefundState::Abnormal, ReportedRefundStatus::Abnormal) => {
            return RefundSettlement::AlreadyDone;
        }
        (RefundState::Closed, ReportedRefundStatus::Succeeded(_)) => {
            return news.parked(RefundParkReason::PaidAfterClose);
        }
        (RefundState::Processing | RefundState::Abnormal, ReportedRefundStatus::Processing) => {
            return RefundSettlement::StillOpen;
        }
        (
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            ReportedRefundStatus::Succeeded(at),
        ) => RefundState::Succeeded(at),
        (
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            ReportedRefundStatus::Closed,
        ) => RefundState::Closed,
        (
            RefundState::Reserved | RefundState::Processing | RefundState::Refused(_),
            ReportedRefundStatus::Abnormal,
        ) => RefundState::Abnormal,
        (RefundState::Reserved | RefundState::Refused(_), ReportedRefundStatus::Processing) => {
            RefundState::Processing
        }
    };
    RefundSettlement::Change(Box::new(transition(order, refund, to, Some(news), context)))
}

/// A refund made in WeChat Pay's console: it is booked if it is of the booked payment and the money
/// is there; otherwise an operator must look.
fn settle_external(
    order: &Order,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    let Some(state) = state_elsewhere(news.status) else {
        return RefundSettlement::AlreadyDone;
    };
    if !is_ours(facts, news) {
        return news.parked(RefundParkReason::Differs { field: "mchid" });
    }
    let Some(payment) = order.state.payment() else {
        // the news of the payment arrives, or the sweep queries it
        return RefundSettlement::PaymentNotBooked;
    };
    if payment.transaction_id != news.transaction_id {
        return news.parked(RefundParkReason::OtherPayment);
    }
    if news.total != order.amount {
        return news.parked(RefundParkReason::Differs {
            field: "amount.total",
        });
    }
    let left_fen = order
        .amount
        .get()
        .saturating_sub(order.refunds.committed_fen);
    if news.amount.get() > left_fen {
        return news.parked(RefundParkReason::ExceedsPayment);
    }
    let of = PaymentKind::Booked;
    RefundSettlement::Change(Box::new(import_external(
        order, of, state, facts, news, context,
    )))
}

/// Decides about news of a refund that was made outside this system and returns a payment that is
/// not its order's: `parked`, as it was read. A refund of the whole payment is booked, so that it
/// is not refunded here again.
pub fn settle_parked_refund(
    order: &Order,
    parked: &ParkedPayment,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> RefundSettlement {
    let Some(state) = state_elsewhere(news.status) else {
        return RefundSettlement::AlreadyDone;
    };
    if !is_ours(facts, news) {
        return news.parked(RefundParkReason::Differs { field: "mchid" });
    }
    // Most likely another system's payment: its refunds are not ours.
    if !parked.refundable {
        return news.parked(RefundParkReason::OtherPayment);
    }
    match parked.state {
        ParkedState::Booked => return RefundSettlement::PaymentNotBooked, // since the order was read
        ParkedState::Refunding
        | ParkedState::Refunded
        | ParkedState::WithMerchant
        | ParkedState::Released => {
            return news.parked(RefundParkReason::ExceedsPayment);
        }
        ParkedState::Parked => {}
    }
    if news.total != parked.amount {
        return news.parked(RefundParkReason::Differs {
            field: "amount.total",
        });
    }
    if news.amount != parked.amount {
        return news.parked(RefundParkReason::PartOfParked);
    }
    let of = PaymentKind::Parked;
    RefundSettlement::Change(Box::new(import_external(
        order, of, state, facts, news, context,
    )))
}

/// First state of a refund that was made outside this system. `None` if no money moved.
fn state_elsewhere(status: ReportedRefundStatus) -> Option<RefundState> {
    match status {
        ReportedRefundStatus::Closed => None,
        ReportedRefundStatus::Processing => Some(RefundState::Processing),
        ReportedRefundStatus::Succeeded(at) => Some(RefundState::Succeeded(at)),
        ReportedRefundStatus::Abnormal => Some(RefundState::Abnormal),
    }
}

fn import_external(
    order: &Order,
    of: PaymentKind,
    state: RefundState,
    facts: &MerchantFacts,
    news: &RefundNews,
    context: &ChangeContext,
) -> OrderChange {
    let terms = RefundTerms {
        amount: news.amount,
        reason: None,
        transaction_id: match of {
            PaymentKind::Booked => None,
            PaymentKind::Parked => Some(news.transaction_id.clone()),
        },
    };
    let refund = Refund {
        order_no: order.order_no.clone(),
        refund_no: RefundNo::of_console_refund(&news.refund_id),
        out_refund_no: news.out_refund_no.clone(),
        transaction_id: news.transaction_id.clone(),
        of,
        amount: news.amount,
        total: news.total,
        reason: None,
        notify_url: facts.notify_url.clone(),
        fingerprint: terms.fingerprint(),
        state: state.clone(),
        refund_id: Some(news.refund_id.clone()),
        trouble: None,
        trouble_since: None,
        overdue_since: None,
        decided: None,
        redirected: news
            .went_to_merchant()
            .then(|| Redirection::in_the_console(context.at)),
        payer_paid: None,
        accepted_at: news.accepted_at,
        created_at: context.at,
        slot_at: context.at,
        tries: 1, // it is at WeChat Pay: the next check queries it
        due: None,
    };
    let refund = Refund {
        due: due::next_refund_check(&refund, &state, context.at),
        ..refund
    };
    let refunded_fen = match (state, of) {
        (RefundState::Succeeded(_), PaymentKind::Booked) => {
            order.refunds.refunded_fen.saturating_add(news.amount.get())
        }
        (
            RefundState::Succeeded(_)
            | RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal,
            _,
        ) => order.refunds.refunded_fen,
    };
    let to = if refunded_fen > order.refunds.refunded_fen {
        crate::refund::after_refund(order, refunded_fen)
    } else {
        order.state.clone()
    };
    let sent = refund.redirected.clone();
    let mut change = add_refund(OrderChange::new(order, to, context), refund, context);
    if let Some(sent) = &sent {
        change = change.decided(&OperatorDecision::of_redirecting(sent));
    }
    change.refunds.refunded_fen = refunded_fen;
    change
}

/// What to do after WeChat Pay refused a refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefusalStep {
    /// It may have been accepted after all: query later, then repeat.
    Later,
    /// The merchant's balance is too low: all its refunds are paused for a while.
    Pause,
    /// WeChat Pay refuses it as it is, if a query confirms that it does not exist there.
    Refuse {
        /// WeChat Pay's code.
        code: String,
    },
}

/// How long a refund is retried that is refused because of the merchant's account or with an
/// unknown code, in seconds. After that an operator must act: the cause may never go away, and the
/// payer waits for the money.
const REPEATED_FOR_S: i64 = 24 * 3600;

/// Decides about a refusal of a refund that was due `waits_s` seconds ago. Error answers are not
/// signed, so none of them proves that no money moves: even the clearest only leads to a query
/// (shared/wechatpay/PROTOCOL.md, 3.2).
pub fn after_refusal(refusal: &Refusal, waits_s: i64) -> RefusalStep {
    let refuse = RefusalStep::Refuse {
        code: refusal.raw_code.clone(),
    };
    match refusal.side() {
        Side::Request => refuse,
        Side::Merchant if refusal.repeat() == Repeat::AfterTopUp => RefusalStep::Pause,
        // About our own clock, serial or certificate, or a proxy's page: not about the refund.
        Side::Merchant if refusal.code == ErrorCode::SignError => RefusalStep::Later,
        Side::Unknown if refusal.raw_code.is_empty() => RefusalStep::Later,
        Side::Passing if matches!(refusal.repeat(), Repeat::WithBackoff | Repeat::Later) => {
            RefusalStep::Later
        }
        // `RULE_LIMIT` is among them: it may be a rate limit or permanent.
        Side::Merchant | Side::Unknown | Side::Passing if waits_s < REPEATED_FOR_S => {
            RefusalStep::Later
        }
        Side::Merchant | Side::Unknown | Side::Passing => refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        order::OrderState,
        refund::tests::{context, new_refund, refund},
        refund_decision::Destination,
        settle::tests::{order, payment},
    };

    const AT: UnixSeconds = UnixSeconds(1_000_100);

    fn facts() -> MerchantFacts {
        MerchantFacts {
            mchid: "1900000001".into(),
            notify_url: "https://n".into(),
        }
    }

    /// The paid order that the refund of 40 fen belongs to.
    fn paid() -> Order {
        let mut order = order(OrderState::Paid(payment("420001")));
        order.refunds.committed_fen = 40;
        order.refunds.count = 1;
        order
    }

    fn news(status: ReportedRefundStatus) -> RefundNews {
        let refund = refund(RefundState::Reserved);
        RefundNews {
            mchid: Some("1900000001".into()),
            order_no: refund.order_no,
            transaction_id: refund.transaction_id,
            out_refund_no: refund.out_refund_no,
            refund_id: RefundId::parse("500001").unwrap(),
            status,
            amount: refund.amount,
            total: refund.total,
            accepted_at: None,
            received_by: None,
            request_id: None,
        }
    }

    fn judged(state: RefundState, status: ReportedRefundStatus) -> String {
        let found = refund(state);
        match settle_refund(&paid(), Some(&found), &facts(), &news(status), &context()) {
            RefundSettlement::Change(change) => change.events.last().unwrap().to.clone(),
            RefundSettlement::AlreadyDone => "done".into(),
            RefundSettlement::StillOpen => "open".into(),
            RefundSettlement::PaymentNotBooked => "not yet".into(),
            RefundSettlement::Park(parked) => format!("parked: {}", parked.reason.name()),
        }
    }

    #[test]
    fn news_does_to_each_state_of_a_refund_what_states_md_says() {
        let all = [
            ReportedRefundStatus::Processing,
            ReportedRefundStatus::Succeeded(AT),
            ReportedRefundStatus::Closed,
            ReportedRefundStatus::Abnormal,
        ];
        for (state, becomes) in [
            (
                RefundState::Reserved,
                ["processing", "succeeded", "closed", "abnormal"],
            ),
            (
                RefundState::Processing,
                ["open", "succeeded", "closed", "abnormal"],
            ),
            (
                RefundState::Refused("NO_AUTH".into()),
                ["processing", "succeeded", "closed", "abnormal"],
            ),
            (
                RefundState::Abnormal,
                ["open", "succeeded", "closed", "done"],
            ),
            (RefundState::Succeeded(AT), ["done"; 4]),
            (
                RefundState::Closed,
                ["done", "parked: paid_after_close", "done", "done"],
            ),
        ] {
            for (status, becomes) in all.into_iter().zip(becomes) {
                assert_eq!(
                    judged(state.clone(), status),
                    becomes,
                    "{} by {status:?}",
                    state.name()
                );
            }
        }
    }

    #[test]
    fn a_result_that_differs_in_anything_is_parked() {
        let good = news(ReportedRefundStatus::Succeeded(AT));
        let mut other_id = refund(RefundState::Processing);
        other_id.refund_id = RefundId::parse("500009").ok();
        for (news, field) in [
            (
                RefundNews {
                    mchid: Some("1900000002".into()),
                    ..good.clone()
                },
                "mchid",
            ),
            (
                RefundNews {
                    transaction_id: TransactionId::parse("420009").unwrap(),
                    ..good.clone()
                },
                "transaction_id",
            ),
            (
                RefundNews {
                    amount: Fen::new(41).unwrap(),
                    ..good.clone()
                },
                "amount.refund",
            ),
            (
                RefundNews {
                    total: Fen::new(99).unwrap(),
                    ..good.clone()
                },
                "amount.total",
            ),
            (
                RefundNews {
                    order_no: OrderNo::parse("ORDER-2").unwrap(),
                    ..good.clone()
                },
                "out_trade_no",
            ),
        ] {
            let found = refund(RefundState::Processing);
            let RefundSettlement::Park(parked) =
                settle_refund(&paid(), Some(&found), &facts(), &news, &context())
            else {
                panic!("{field}")
            };
            assert_eq!(parked.reason, RefundParkReason::Differs { field });
        }
        assert!(matches!(
            settle_refund(&paid(), Some(&other_id), &facts(), &good, &context()),
            RefundSettlement::Park(_)
        ));
    }

    fn from_the_console(fen: i64, status: ReportedRefundStatus) -> RefundNews {
        RefundNews {
            out_refund_no: OutRefundNo::parse("console@1").unwrap(),
            amount: Fen::new(fen).unwrap(),
            ..news(status)
        }
    }

    #[test]
    fn a_refund_made_in_the_console_is_taken_into_the_books_if_the_money_is_there() {
        let news = from_the_console(60, ReportedRefundStatus::Succeeded(AT));
        let RefundSettlement::Change(change) =
            settle_refund(&paid(), None, &facts(), &news, &context())
        else {
            panic!()
        };
        let imported = new_refund(&change);
        assert_eq!(imported.refund_no.as_str(), "console-500001");
        assert_eq!(imported.out_refund_no.as_str(), "console@1");
        assert_eq!(
            (change.refunds.committed_fen, change.refunds.refunded_fen),
            (100, 60)
        );
        assert_eq!(change.to.name(), "partially_refunded");
        for (news, reason) in [
            (
                from_the_console(61, ReportedRefundStatus::Succeeded(AT)),
                RefundParkReason::ExceedsPayment,
            ),
            (
                RefundNews {
                    transaction_id: TransactionId::parse("420009").unwrap(),
                    ..from_the_console(1, ReportedRefundStatus::Succeeded(AT))
                },
                RefundParkReason::OtherPayment,
            ),
        ] {
            let RefundSettlement::Park(parked) =
                settle_refund(&paid(), None, &facts(), &news, &context())
            else {
                panic!("{reason:?}")
            };
            assert_eq!(parked.reason, reason);
        }
        assert_eq!(
            settle_refund(
                &paid(),
                None,
                &facts(),
                &from_the_console(1, ReportedRefundStatus::Closed),
                &context()
            ),
            RefundSettlement::AlreadyDone
        );
    }

    fn second_payment(state: ParkedState) -> ParkedPayment {
        ParkedPayment {
            transaction_id: TransactionId::parse("420009").unwrap(),
            amount: Fen::new(70).unwrap(),
            paid_at: AT,
            refundable: true,
            state,
        }
    }

    /// The effect of a refund from the console that returns a second payment of 70 fen.
    fn of_second(
        fen: i64,
        total: i64,
        status: ReportedRefundStatus,
        state: ParkedState,
    ) -> RefundSettlement {
        let news = RefundNews {
            transaction_id: TransactionId::parse("420009").unwrap(),
            total: Fen::new(total).unwrap(),
            ..from_the_console(fen, status)
        };
        settle_parked_refund(&paid(), &second_payment(state), &facts(), &news, &context())
    }

    #[test]
    fn a_console_refund_of_a_parked_payment_gives_that_back_and_touches_no_other_money() {
        for (status, becomes) in [
            (ReportedRefundStatus::Succeeded(AT), ParkedState::Refunded),
            (ReportedRefundStatus::Processing, ParkedState::Refunding),
            (ReportedRefundStatus::Abnormal, ParkedState::Refunding),
        ] {
            let settlement = of_second(70, 70, status, ParkedState::Parked);
            let RefundSettlement::Change(change) = settlement else {
                panic!("{settlement:?}")
            };
            let imported = new_refund(&change);
            assert_eq!(imported.of, PaymentKind::Parked);
            assert_eq!(imported.refund_no.as_str(), "console-500001");
            assert_eq!((imported.amount.get(), imported.total.get()), (70, 70));
            let parked = change.parked_payment.as_ref().unwrap();
            assert_eq!((parked.from, parked.to), (ParkedState::Parked, becomes));
            assert_eq!(
                (change.refunds.committed_fen, change.refunds.refunded_fen),
                (40, 0)
            );
            assert_eq!(change.to, paid().state);
        }
        let closed = of_second(70, 70, ReportedRefundStatus::Closed, ParkedState::Parked);
        assert_eq!(closed, RefundSettlement::AlreadyDone);
    }

    #[test]
    fn a_console_refund_that_does_not_fit_a_parked_payment_waits_for_a_person() {
        let at = ReportedRefundStatus::Succeeded(AT);
        for (fen, total, state, reason) in [
            (69, 70, ParkedState::Parked, RefundParkReason::PartOfParked),
            (
                70,
                71,
                ParkedState::Parked,
                RefundParkReason::Differs {
                    field: "amount.total",
                },
            ),
            (
                70,
                70,
                ParkedState::Refunding,
                RefundParkReason::ExceedsPayment,
            ),
            (
                70,
                70,
                ParkedState::Refunded,
                RefundParkReason::ExceedsPayment,
            ),
            (
                70,
                70,
                ParkedState::Released,
                RefundParkReason::ExceedsPayment,
            ),
        ] {
            let settlement = of_second(fen, total, at, state);
            let RefundSettlement::Park(parked) = settlement else {
                panic!("{settlement:?}")
            };
            assert_eq!(parked.reason, reason);
        }
        let since_booked = of_second(70, 70, at, ParkedState::Booked);
        assert_eq!(since_booked, RefundSettlement::PaymentNotBooked);
    }

    #[test]
    fn a_console_refund_that_is_told_before_its_payment_comes_again() {
        let unpaid = order(OrderState::Reserved);
        let news = from_the_console(60, ReportedRefundStatus::Succeeded(AT));
        assert_eq!(
            settle_refund(&unpaid, None, &facts(), &news, &context()),
            RefundSettlement::PaymentNotBooked
        );
    }

    #[test]
    fn a_refund_whose_money_a_person_gave_free_is_parked_when_it_moves_all_the_same() {
        let mut released = refund(RefundState::Closed);
        released.decided = Some(crate::refund_decision::DecidedBy {
            who: "Li".into(),
            why: "paid in cash".into(),
        });
        for status in [
            ReportedRefundStatus::Processing,
            ReportedRefundStatus::Abnormal,
        ] {
            let judged = settle_refund(
                &paid(),
                Some(&released),
                &facts(),
                &news(status),
                &context(),
            );
            assert!(matches!(judged, RefundSettlement::Park(_)), "{judged:?}");
        }
    }

    #[test]
    fn a_console_refund_that_is_on_its_way_holds_its_money_and_is_asked_about() {
        let news = from_the_console(60, ReportedRefundStatus::Processing);
        let RefundSettlement::Change(change) =
            settle_refund(&paid(), None, &facts(), &news, &context())
        else {
            panic!()
        };
        assert_eq!(
            (change.refunds.committed_fen, change.refunds.refunded_fen),
            (100, 0)
        );
        assert_eq!(change.to.name(), "paid");
        let imported = new_refund(&change);
        assert!(imported.due.is_some() && imported.tries > 0);
    }

    /// A signed answer about the refund, accepted at `create_time`.
    fn answer(create_time: Option<&str>) -> RefundNews {
        let refund = refund(RefundState::Reserved);
        let wire = wire::Refund {
            refund_id: "500001".into(),
            out_refund_no: refund.out_refund_no.as_str().into(),
            transaction_id: refund.transaction_id.as_str().into(),
            out_trade_no: refund.order_no.as_str().into(),
            status: Some(RefundStatus::Processing),
            refund_status: None,
            channel: None,
            user_received_account: None,
            create_time: create_time.map(str::to_owned),
            success_time: None,
            funds_account: None,
            amount: wire::RefundAmount {
                total: refund.total.get(),
                refund: refund.amount.get(),
                ..wire::RefundAmount::default()
            },
            promotion_detail: None,
        };
        RefundNews::try_from(wire).unwrap()
    }

    #[test]
    fn an_answer_tells_when_the_refund_was_accepted_and_none_is_held_up_by_it() {
        let at = answer(Some("2026-08-01T00:00:01+08:00")).accepted_at;
        assert_eq!(at, Some(UnixSeconds(1_785_513_601)));
        assert_eq!(answer(None).accepted_at, None);
        assert_eq!(answer(Some("yesterday")).accepted_at, None);
    }

    #[test]
    fn whose_account_has_the_money_is_read_from_what_wechat_pay_calls_it() {
        for (account, received_by) in [
            ("商户基本账户", Some(ReceivedBy::Merchant)),
            (" 商户结算银行账户 ", Some(ReceivedBy::Merchant)),
            ("商户基本账户/商户结算银行账户", Some(ReceivedBy::Merchant)),
            ("支付用户零钱", Some(ReceivedBy::Payer)),
            ("招商银行信用卡0403", Some(ReceivedBy::Payer)),
            (" ", None),
        ] {
            assert_eq!(ReceivedBy::of(account), received_by, "{account}");
        }
    }

    #[test]
    fn money_that_wechat_pay_says_went_to_the_merchant_leaves_its_payer_owed_whoever_sent_it_there()
    {
        let told = |received_by, status| RefundNews {
            received_by,
            ..news(status)
        };
        let through = |found: &Refund, received_by| {
            let news = told(received_by, ReportedRefundStatus::Succeeded(AT));
            let judged = settle_refund(&paid(), Some(found), &facts(), &news, &context());
            let RefundSettlement::Change(change) = judged else {
                panic!("{judged:?}")
            };
            let Some(crate::refund::RefundChange::Updated(_, to)) = change.refund else {
                panic!()
            };
            *to
        };
        let abnormal = refund(RefundState::Abnormal);
        let merchant = Some(ReceivedBy::Merchant);
        let owed = through(&abnormal, merchant);
        assert!(owed.owes_its_payer() && owed.due.is_some());
        assert_eq!(owed.redirected.unwrap().decided.who, "WeChat Pay's console");
        for received_by in [None, Some(ReceivedBy::Payer)] {
            assert!(!through(&abnormal, received_by).owes_its_payer());
        }
        // The operator who redirected it here stays on record.
        let li = |to| Redirection {
            to,
            decided: crate::refund_decision::DecidedBy {
                who: "Li".into(),
                why: "card gone".into(),
            },
            at: AT,
            told_again_at: None,
        };
        let sent = |to| Refund {
            redirected: Some(li(to)),
            ..abnormal.clone()
        };
        let to_merchant = sent(Destination::Merchant);
        let known = through(&to_merchant, merchant).redirected;
        assert_eq!(known, Some(li(Destination::Merchant)));
        let to_card = sent(Destination::User);
        assert!(through(&to_card, merchant).owes_its_payer());
        // In the opposite case an operator is notified, since no payer must be paid twice.
        let payer = told(Some(ReceivedBy::Payer), ReportedRefundStatus::Succeeded(AT));
        assert!(payer.contradicts(&to_merchant) && !payer.contradicts(&to_card));
        let early = told(Some(ReceivedBy::Payer), ReportedRefundStatus::Processing);
        assert!(!early.contradicts(&to_merchant), "it is not through");

        let console = RefundNews {
            received_by: merchant,
            ..from_the_console(60, ReportedRefundStatus::Succeeded(AT))
        };
        let RefundSettlement::Change(change) =
            settle_refund(&paid(), None, &facts(), &console, &context())
        else {
            panic!()
        };
        assert!(new_refund(&change).owes_its_payer());
        let early = told(merchant, ReportedRefundStatus::Processing);
        assert!(!early.went_to_merchant());
    }

    #[test]
    fn when_a_refund_was_accepted_is_kept_from_the_first_who_tells_it() {
        let told = |at: i64, status| RefundNews {
            accepted_at: Some(UnixSeconds(at)),
            ..news(status)
        };
        let moved = |found: &Refund, news: &RefundNews| {
            let settlement = settle_refund(&paid(), Some(found), &facts(), news, &context());
            let RefundSettlement::Change(change) = settlement else {
                panic!("{settlement:?}")
            };
            let Some(crate::refund::RefundChange::Updated(from, to)) = change.refund else {
                panic!("{change:?}")
            };
            assert_eq!(*from, *found, "as it was read");
            *to
        };
        let reserved = refund(RefundState::Reserved);
        let abnormal = moved(&reserved, &news(ReportedRefundStatus::Abnormal));
        assert_eq!(abnormal.accepted_at, None, "a notice does not tell");
        let succeeded = moved(&abnormal, &told(7, ReportedRefundStatus::Succeeded(AT)));
        assert_eq!(succeeded.accepted_at, Some(UnixSeconds(7)));
        let processing = moved(&reserved, &told(7, ReportedRefundStatus::Processing));
        let later = moved(&processing, &told(8, ReportedRefundStatus::Closed));
        assert_eq!(later.accepted_at, Some(UnixSeconds(7)));

        let console = RefundNews {
            accepted_at: Some(UnixSeconds(9)),
            ..from_the_console(60, ReportedRefundStatus::Succeeded(AT))
        };
        let RefundSettlement::Change(change) =
            settle_refund(&paid(), None, &facts(), &console, &context())
        else {
            panic!()
        };
        assert_eq!(new_refund(&change).accepted_at, Some(UnixSeconds(9)));
    }

    #[test]
    fn no_refusal_frees_money_and_only_one_of_the_refund_itself_stops_it_at_once() {
        let refusal = |status: u16, code: &str| {
            Refusal::read(status, format!(r#"{{"code":"{code}"}}"#).as_bytes())
        };
        let refuse = |code: &str| RefusalStep::Refuse { code: code.into() };
        let (later, pause) = (|_: &str| RefusalStep::Later, |_: &str| RefusalStep::Pause);
        type Expected<'a> = &'a dyn Fn(&str) -> RefusalStep;
        // When it has just been asked for, and after a day of trying.
        let table: [(&str, u16, [Expected<'_>; 2]); 36] = [
            ("SYSTEM_ERROR", 500, [&later, &later]),
            ("BANK_ERROR", 500, [&later, &later]),
            ("SERVICE_UNAVAILABLE", 502, [&later, &later]),
            ("BIZ_ERR_NEED_RETRY", 400, [&later, &later]),
            ("FREQUENCY_LIMITED", 429, [&later, &later]),
            ("STATEMENT_CREATING", 400, [&later, &later]),
            ("SIGN_ERROR", 401, [&later, &later]),
            ("", 502, [&later, &later]),
            ("", 400, [&later, &later]),
            ("A_NEW_ONE", 500, [&later, &later]),
            ("NOT_ENOUGH", 403, [&pause, &pause]),
            ("NO_AUTH", 403, [&later, &refuse]),
            ("REQUEST_BLOCKED", 403, [&later, &refuse]),
            ("APPID_MCHID_NOT_MATCH", 400, [&later, &refuse]),
            ("MCH_NOT_EXISTS", 404, [&later, &refuse]),
            ("NOT_FOUND", 404, [&later, &refuse]),
            ("RULE_LIMIT", 403, [&later, &refuse]),
            ("USERPAYING", 202, [&later, &refuse]),
            ("A_NEW_ONE", 400, [&later, &refuse]),
            ("PARAM_ERROR", 400, [&refuse, &refuse]),
            ("INVALID_REQUEST", 400, [&refuse, &refuse]),
            ("TRADE_ERROR", 403, [&refuse, &refuse]),
            ("OPENID_MISMATCH", 500, [&refuse, &refuse]),
            ("ORDER_CLOSED", 400, [&refuse, &refuse]),
            ("ORDERPAID", 400, [&refuse, &refuse]),
            ("ORDER_REVERSED", 400, [&refuse, &refuse]),
            ("OUT_TRADE_NO_USED", 403, [&refuse, &refuse]),
            ("ORDER_NOT_EXIST", 404, [&refuse, &refuse]),
            ("INVALID_TRANSACTIONID", 500, [&refuse, &refuse]),
            ("ACCOUNT_ERROR", 403, [&refuse, &refuse]),
            ("USER_ACCOUNT_ABNORMAL", 403, [&refuse, &refuse]),
            ("RESOURCE_NOT_EXISTS", 404, [&refuse, &refuse]),
            ("TRADE_OVERDUE", 403, [&refuse, &refuse]),
            ("REFUND_FEE_MISMATCH", 400, [&refuse, &refuse]),
            ("ALREADY_EXISTS", 400, [&refuse, &refuse]),
            ("NO_STATEMENT_EXIST", 400, [&refuse, &refuse]),
        ];
        for (code, status, expected) in &table {
            let told = refusal(*status, code);
            let [at_first, after_a_day] = expected.map(|expected| expected(code));
            assert_eq!(after_refusal(&told, 0), at_first, "{code}");
            assert_eq!(after_refusal(&told, REPEATED_FOR_S - 1), at_first, "{code}");
            assert_eq!(after_refusal(&told, REPEATED_FOR_S), after_a_day, "{code}");
        }
        for code in ErrorCode::all() {
            assert!(
                table
                    .iter()
                    .any(|(raw, _, _)| ErrorCode::parse(raw) == code),
                "{code:?} is not in the table"
            );
        }
    }
}
