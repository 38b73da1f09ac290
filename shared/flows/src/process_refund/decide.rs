//! What an operator decides about a refund: retry, release, and how its payer was paid.

use std::time::Duration;

use payments::{
    model::{
        decision,
        ids::{ClientId, OrderNo, RefundNo},
        journal::Subject,
        order::Order,
        refund::{Refund, RefundState},
    },
    rules::{
        decide_refund,
        reserve_refund::{self, Approval},
    },
};
use stores::order_table::TableError;
use wechatpay::api::Refusal;

use super::{
    accepted::log_unreadable,
    flow::{RefundError, RefundFlow},
    query::RefundQueryOutcome,
    settle::RefundLookup,
};
use crate::{order_store::Rounds, origin::Origin};

/// A refund about which something was decided.
#[derive(Clone, Copy, Debug)]
pub struct RefundRef<'a> {
    /// The client. It sees its own orders only.
    pub client: &'a ClientId,
    pub order_no: &'a OrderNo,
    pub refund_no: &'a RefundNo,
    /// Who made the decision. An API caller alone cannot decide about a second payment.
    pub by: Approval,
}

/// Result of an operator's decision about a refund.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionOutcome {
    /// It is done; this is the refund then.
    Done(Box<Refund>),
    /// The refund is not in a state that allows this decision; this is the refund.
    WrongState(Box<Refund>),
    /// It was redirected before: WeChat Pay is paying it out, or is perhaps being called right now.
    InProgress(Box<Refund>),
    /// Two persons must decide about it, in the console.
    NeedsTwoPersons,
    /// WeChat Pay refused it.
    Refused(Refusal),
    /// WeChat Pay did not answer reliably. Try again later.
    Unknown,
    /// This client has no such refund.
    RefundNotFound,
}

/// Why a caller may not decide about a refund.
#[derive(Clone, Copy)]
pub(super) enum NotPermitted {
    /// This client has no such refund.
    RefundNotFound,
    /// Two persons must decide about it, in the console.
    NeedsTwoPersons,
}

impl From<NotPermitted> for DecisionOutcome {
    fn from(not: NotPermitted) -> Self {
        match not {
            NotPermitted::RefundNotFound => Self::RefundNotFound,
            NotPermitted::NeedsTwoPersons => Self::NeedsTwoPersons,
        }
    }
}

impl RefundFlow {
    /// Begins a round of a decision with what it is about as it is stored now, or why the caller
    /// may not decide.
    pub(super) async fn begin_to_decide(
        &self,
        rounds: &mut Rounds<'_>,
        of: &RefundRef<'_>,
    ) -> Result<Result<(Order, Refund), NotPermitted>, RefundError> {
        rounds.begin().await?;
        self.to_decide_about(of).await
    }

    /// An order of this client and one of its refunds that the caller may decide about.
    pub(super) async fn to_decide_about(
        &self,
        of: &RefundRef<'_>,
    ) -> Result<Result<(Order, Refund), NotPermitted>, RefundError> {
        let both = self.both(of.order_no, of.refund_no).await?;
        let both = both.filter(|(order, _)| order.client_id == *of.client);
        Ok(match both {
            None => Err(NotPermitted::RefundNotFound),
            Some((order, refund))
                if of.by == Approval::Caller
                    && reserve_refund::needs_two_persons(&order, &refund) =>
            {
                Err(NotPermitted::NeedsTwoPersons)
            }
            Some(both) => Ok(both),
        })
    }

    /// Retries a refused refund on an operator's decision. `decided` is who and why, if given.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn retry(
        &self,
        of: &RefundRef<'_>,
        decided: Option<&decision::DecidedBy>,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let (order, refund) = match self.begin_to_decide(&mut rounds, of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not.into()),
            };
            let context = self.books.context(origin);
            let Some(change) = decide_refund::retry(&order, &refund, decided, &context) else {
                return Ok(if self.was_retried(&refund).await? {
                    DecisionOutcome::Done(Box::new(refund))
                } else {
                    DecisionOutcome::WrongState(Box::new(refund))
                });
            };
            if self.books.write(&change, origin).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
    }

    /// Whether an earlier retry already had the effect: its answer was lost, or a concurrent
    /// duplicate was faster.
    async fn was_retried(&self, refund: &Refund) -> Result<bool, TableError> {
        match &refund.state {
            RefundState::Reserved | RefundState::Processing | RefundState::Succeeded(_) => {}
            RefundState::Refused(_) | RefundState::Closed | RefundState::Abnormal => {
                return Ok(false);
            }
        }
        let journal = self.books.orders.journal(&refund.order_no).await?;
        Ok(journal.iter().any(|event| {
            event.subject == Subject::Refund(refund.refund_no.clone())
                && event.from.as_deref() == Some("refused")
                && event.to == RefundState::Reserved.name()
        }))
    }

    /// Releases the money of a refused refund on an operator's decision, once WeChat Pay answers
    /// that it has no such refund.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn release(
        &self,
        of: &RefundRef<'_>,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let deadline = self.books.clock.deadline(within);
        let mut rounds = self.books.rounds();
        loop {
            let (order, refund) = match self.begin_to_decide(&mut rounds, of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not.into()),
            };
            let context = self.books.context(origin);
            let Some(change) = decide_refund::release(&order, &refund, decided.clone(), &context)
            else {
                // The same decision by the same person again: the first answer was lost, or a
                // concurrent duplicate was faster.
                let is_done = refund.is_released() && refund.decided.as_ref() == Some(decided);
                return Ok(if is_done {
                    DecisionOutcome::Done(Box::new(refund))
                } else {
                    DecisionOutcome::WrongState(Box::new(refund))
                });
            };
            let left = deadline.left();
            if left.is_zero() {
                return Ok(DecisionOutcome::Unknown);
            }
            match self.ask(&refund.out_refund_no, left).await? {
                RefundQueryOutcome::NotThere(_) => {}
                RefundQueryOutcome::Unreadable(unreadable) => {
                    log_unreadable(&refund, &unreadable);
                    return Ok(DecisionOutcome::Unknown);
                }
                RefundQueryOutcome::Unsettled(_) => return Ok(DecisionOutcome::Unknown),
                RefundQueryOutcome::News(news) => {
                    let which = RefundLookup::Ours(of.refund_no);
                    self.settle_found(&news, &which, origin).await?;
                    let refund = self.reread(refund).await?;
                    return Ok(DecisionOutcome::WrongState(Box::new(refund)));
                }
            }
            if self.books.write(&change, origin).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
    }

    /// Records how an operator paid the payer whose money went to the merchant's own account.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn payer_paid(
        &self,
        of: &RefundRef<'_>,
        decided: &decision::DecidedBy,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let (order, refund) = match self.begin_to_decide(&mut rounds, of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not.into()),
            };
            // Only the console may replace an earlier statement, because a difference can be
            // reopened there.
            match &refund.payer_paid {
                Some(paid) if paid.decided == *decided => {
                    return Ok(DecisionOutcome::Done(Box::new(refund)));
                }
                Some(_) if of.by == Approval::Caller => {
                    return Ok(DecisionOutcome::WrongState(Box::new(refund)));
                }
                Some(_) | None => {}
            }
            let context = self.books.context(origin);
            let change =
                decide_refund::confirm_payer_paid(&order, &refund, decided.clone(), &context);
            let Some(change) = change else {
                return Ok(DecisionOutcome::WrongState(Box::new(refund)));
            };
            if self.books.write(&change, origin).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
    }
}
