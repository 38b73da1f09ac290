//! A refund, its states and its terms.
//!
//! ```text
//! reserved -> processing -> succeeded
//!    |   |        |  \-> closed          (a new refund may be asked for)
//!    |   |        \-> abnormal -> succeeded   (a person says where the money goes)
//!    |   \-> refused -> reserved         (a person tries again, under the same number)
//!    |          \-> closed               (a person gives the reserved money free)
//!    \-> succeeded | closed | abnormal   (an answer that skips a step)
//! ```
//!
//! If an operator redirected the money to the merchant's own account, WeChat Pay reports success
//! although the payer has received nothing. The payer is owed until an operator records how it was
//! paid ([`crate::rules::decide_refund`]).

use serde::Serialize;
use wechatpay::{
    UnixSeconds,
    api::{CreateRefund, RefundBody, RefundBodyAmount},
};

use crate::model::{
    decision::{DecidedBy, Destination, PayerPaid, Redirection},
    fingerprint::{Fingerprint, fingerprint},
    ids::{OrderNo, OutRefundNo, RefundId, RefundNo, TransactionId},
    money::Fen,
    next_check::NextCheck,
};

/// A refund as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refund {
    pub order_no: OrderNo,
    /// Its number under the order.
    pub refund_no: RefundNo,
    /// Its number at WeChat Pay. It never changes.
    pub out_refund_no: OutRefundNo,
    /// The payment that it refunds.
    pub transaction_id: TransactionId,
    /// Whether that is the order's booked payment or another one.
    pub of: PaymentKind,
    pub amount: Fen,
    /// The whole of the payment.
    pub total: Fen,
    /// The text for the payer.
    pub reason: Option<String>,
    /// Where WeChat Pay sends its notice. Kept, since a repeat sends the same request.
    pub notify_url: String,
    /// Fingerprint of the request, to detect a number that is reused for something else.
    pub fingerprint: Fingerprint,
    pub state: RefundState,
    /// WeChat Pay's number of it, once it has one.
    pub refund_id: Option<RefundId>,
    /// Why it makes no progress, as WeChat Pay's code or one of [`crate::rules::overdue_refund`]:
    /// for example a balance that is too low.
    pub trouble: Option<String>,
    /// Since when, if that decides when an operator is notified.
    pub trouble_since: Option<UnixSeconds>,
    /// Since when it is overdue, so that an operator must act ([`crate::rules::overdue_refund`]).
    pub overdue_since: Option<UnixSeconds>,
    /// Who released its money, if an operator did.
    pub decided: Option<DecidedBy>,
    /// Where an operator last redirected its money, if WeChat Pay could not pay it out.
    pub redirected: Option<Redirection>,
    /// Whose account has its money, as WeChat Pay said when it had arrived; `None` if it did not
    /// say, or in a name that is not known here.
    pub received_by: Option<ReceivedBy>,
    /// Who recorded that its payer was paid by other means, after its money went to the merchant.
    pub payer_paid: Option<PayerPaid>,
    /// When WeChat Pay accepted it, by WeChat Pay's clock: this decides which day's bill has it.
    /// Only answers to calls contain it; notices do not.
    pub accepted_at: Option<UnixSeconds>,
    /// When it was asked for.
    pub created_at: UnixSeconds,
    /// The earliest time to send it to WeChat Pay.
    pub slot_at: UnixSeconds,
    /// Number of attempts to send it. From the second attempt on, WeChat Pay is queried first.
    pub tries: u32,
    /// When the sweep checks it next. A non-final state always has one.
    pub due: Option<NextCheck>,
}

/// What a refund is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRefund<'a> {
    pub order_no: &'a OrderNo,
    /// Its number here.
    pub refund_no: &'a RefundNo,
    /// The payment that it returns.
    pub transaction_id: &'a TransactionId,
    /// Which of the order's payments that is.
    pub of: PaymentKind,
    /// The whole amount of that payment.
    pub total: Fen,
    /// What was asked for.
    pub terms: &'a RefundTerms,
    /// Where WeChat Pay reports its result.
    pub notify_url: &'a str,
    /// Now.
    pub at: UnixSeconds,
    /// The earliest time at which it is sent.
    pub slot_at: UnixSeconds,
}

impl Refund {
    /// A refund that was accepted here and that WeChat Pay does not know yet. It is not due: the
    /// change that adds it says when.
    pub(crate) fn new(from: NewRefund<'_>) -> Self {
        Self {
            order_no: from.order_no.clone(),
            out_refund_no: OutRefundNo::of(from.order_no, from.refund_no),
            refund_no: from.refund_no.clone(),
            transaction_id: from.transaction_id.clone(),
            of: from.of,
            amount: from.terms.amount,
            total: from.total,
            reason: from.terms.reason.clone(),
            notify_url: from.notify_url.to_owned(),
            fingerprint: from.terms.fingerprint(),
            state: RefundState::Reserved,
            refund_id: None,
            trouble: None,
            trouble_since: None,
            overdue_since: None,
            decided: None,
            redirected: None,
            received_by: None,
            payer_paid: None,
            accepted_at: None,
            created_at: from.at,
            slot_at: from.slot_at,
            tries: 0,
            due: None,
        }
    }

    /// The earliest time at which it is sent to WeChat Pay (again); `None` if it was accepted there
    /// or waits for an operator. An order's refunds are sent a minute apart, and none while the
    /// merchant's refunds are paused (`paused_until`).
    pub fn next_try_at(&self, paused_until: Option<UnixSeconds>) -> Option<UnixSeconds> {
        let is_to_go = self.state == RefundState::Reserved;
        is_to_go.then(|| {
            let due = self.due.map_or(self.slot_at, |due| due.at);
            self.slot_at
                .max(due)
                .max(paused_until.unwrap_or(UnixSeconds(0)))
        })
    }
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
    /// Its name where it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payer => "payer",
            Self::Merchant => "merchant",
        }
    }

    /// The account by this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Payer, Self::Merchant];
        all.into_iter().find(|one| one.name() == name)
    }
}

/// Which payment of an order a refund returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PaymentKind {
    /// The one that is booked.
    Booked,
    /// Another one, which is parked.
    Parked,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefundState {
    /// The money is reserved; WeChat Pay was not called yet, or its answer is unknown. Not final.
    Reserved,
    /// WeChat Pay accepted it. Not final.
    Processing,
    /// The money has arrived, at this time by WeChat Pay's clock. Final.
    Succeeded(UnixSeconds),
    /// It failed for good and its money is no longer reserved. Final; a new attempt is a new
    /// refund.
    Closed,
    /// WeChat Pay refused it with this code. The money stays reserved until an operator decides.
    Refused(String),
    /// WeChat Pay could not pay it out: an operator must redirect the money. Only a success ends
    /// this state.
    Abnormal,
}

impl RefundState {
    /// The name in our API, table and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Processing => "processing",
            Self::Succeeded(_) => "succeeded",
            Self::Closed => "closed",
            Self::Refused(_) => "refused",
            Self::Abnormal => "abnormal",
        }
    }
}

/// The terms of a refund: a repeat must have the same ones.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RefundTerms {
    pub amount: Fen,
    /// The text for the payer, up to 80 bytes.
    pub reason: Option<String>,
    /// A parked payment; the booked one if absent.
    pub transaction_id: Option<TransactionId>,
}

/// WeChat Pay accepts one refund a minute for each order, in seconds. Each new refund gets its own
/// slot. Since a slot may be missed, sending a refund also blocks the order for this time.
pub const SLOT_S: i64 = 60;

/// Value of [`Refund::trouble`] while an abnormal refund is being redirected.
pub const REDIRECTED: &str = "REDIRECTED";

/// Its value once the refund became abnormal again.
pub const ABNORMAL_AGAIN: &str = "ABNORMAL_AGAIN";

impl RefundTerms {
    /// The digest that distinguishes a repeat from another refund under the same number.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self)
    }
}

impl Refund {
    /// Whether WeChat Pay has accepted it, as far as is known: then the bill of that day has it.
    pub fn is_accepted(&self) -> bool {
        match &self.state {
            RefundState::Reserved | RefundState::Refused(_) => false,
            RefundState::Processing | RefundState::Succeeded(_) | RefundState::Abnormal => true,
            // Unless an operator released its money because WeChat Pay has no such refund.
            RefundState::Closed => self.decided.is_none(),
        }
    }

    /// Whether it returns money that is owed back: a late payment, or a payment that is not its
    /// order's. When WeChat Pay closes it, that money is still owed. An operator's release settles
    /// it.
    pub fn returns_owed_money(&self) -> bool {
        let is_owed = match self.of {
            PaymentKind::Booked => self.refund_no.is_of_late_money(),
            PaymentKind::Parked => true,
        };
        is_owed && self.decided.is_none()
    }

    /// Whether an operator gave it up, after paying the payer another way or finding that nothing
    /// must be paid.
    pub fn is_released(&self) -> bool {
        self.state == RefundState::Closed && self.decided.is_some()
    }

    /// Whether an abnormal refund was redirected, and WeChat Pay has not reported it as abnormal
    /// again.
    pub fn is_redirected(&self) -> bool {
        self.trouble.as_deref() == Some(REDIRECTED)
    }

    /// Whether an operator redirected its money to the merchant's own account.
    pub fn is_to_merchant(&self) -> bool {
        self.redirected
            .as_ref()
            .is_some_and(|redirected| redirected.to == Destination::Merchant)
    }

    /// Whether its money is on the merchant's own account and it is not recorded yet how the payer
    /// was paid.
    pub fn owes_its_payer(&self) -> bool {
        self.needs_payer_statement() && !self.payer_has_it()
    }

    /// Whether an operator redirected its money to the merchant's own account, and it is not
    /// recorded yet how the payer was paid. If WeChat Pay says that the payer has the money after
    /// all, an operator verifies that.
    pub fn needs_payer_statement(&self) -> bool {
        matches!(self.state, RefundState::Succeeded(_))
            && self.is_to_merchant()
            && self.payer_paid.is_none()
    }

    /// Whether its money, once it is through, is on the merchant's own account: it was redirected
    /// there, and WeChat Pay does not say that the payer has it.
    pub fn is_with_merchant(&self) -> bool {
        self.is_to_merchant() && !self.payer_has_it()
    }

    /// Whether WeChat Pay says that the payer has its money.
    pub fn payer_has_it(&self) -> bool {
        self.received_by == Some(ReceivedBy::Payer)
    }

    /// The request for WeChat Pay. The same refund always gives the same bytes.
    pub fn request(&self) -> CreateRefund {
        CreateRefund::new(&RefundBody {
            transaction_id: Some(self.transaction_id.as_str().to_owned()),
            out_refund_no: self.out_refund_no.as_str().to_owned(),
            reason: self.reason.clone(),
            notify_url: Some(self.notify_url.clone()),
            amount: RefundBodyAmount {
                refund: self.amount.get(),
                total: self.total.get(),
                currency: "CNY".to_owned(),
                ..RefundBodyAmount::default()
            },
            ..RefundBody::default()
        })
    }
}
