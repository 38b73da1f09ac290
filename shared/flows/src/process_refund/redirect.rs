//! Redirecting the money of an abnormal refund on an operator's decision.

use std::time::Duration;

use payments::{
    model::{
        decision::{self, Destination, Redirection},
        ids::RefundId,
        refund::{Refund, RefundState, SLOT_S},
    },
    news::{
        call_outcome::CallOutcome,
        refund::{RefundNews, ReportedRefundStatus},
        unreadable::UnreadableNotice,
    },
    rules::{
        decide_refund, schedule,
        settle_refund::{RefusalStep, after_refusal},
    },
};
use stores::order_table::TableError;
use tracing::warn;
use wechat_client::api::CallReply;
use wechatpay::{
    UnixSeconds,
    api::{AbnormalRefundBody, AbnormalRefundTo, ApplyAbnormalRefund, Refusal},
};

use super::{
    accepted::log_unreadable,
    decide::{DecisionOutcome, RefundRef},
    flow::{RefundError, RefundFlow},
    query::RefundQueryOutcome,
    settle::RefundLookup,
};
use crate::{order_store::OrderStoreError, origin::Origin};

/// Where the money goes of a refund that could not be paid out.
#[derive(Clone, PartialEq, Eq)]
pub enum RedirectTarget {
    /// To the merchant's own account; the merchant pays the payer by other means.
    Merchant,
    /// To another bank card of the payer's. Held only until it is encrypted for WeChat Pay.
    UserCard {
        /// Such as `ICBC_DEBIT`.
        bank_type: String,
        /// The card's number.
        bank_account: String,
        /// The holder's name.
        real_name: String,
    },
}

impl RedirectTarget {
    /// The kind of destination, without the card's data.
    pub const fn destination(&self) -> Destination {
        match self {
            Self::Merchant => Destination::Merchant,
            Self::UserCard { .. } => Destination::User,
        }
    }
}

/// Hides the card's data.
impl std::fmt::Debug for RedirectTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Merchant => "Merchant",
            Self::UserCard { .. } => "UserCard(..)",
        })
    }
}

impl RefundFlow {
    /// Redirects the money of an abnormal refund: `decided` is who decided, and why. This is stored
    /// before WeChat Pay is called, so that a later success is never mistaken for money that the
    /// payer has received.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn redirect(
        &self,
        of: &RefundRef<'_>,
        to: &RedirectTarget,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        // Boxed because this future is large: it covers everything that can happen to an abnormal
        // refund.
        Box::pin(self.send_on(of, to, decided, within, origin)).await
    }

    async fn send_on(
        &self,
        of: &RefundRef<'_>,
        to: &RedirectTarget,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let wanted = Redirection {
            to: to.destination(),
            decided: decided.clone(),
            at: self.books.clock.now(),
            sent_again_at: None,
        };
        let (_, refund) = match self.to_decide_about(of).await? {
            Ok(both) => both,
            Err(not) => return Ok(not.into()),
        };
        if let Some(decided) = cannot_be_redirected(&refund, &wanted) {
            return Ok(decided);
        }
        // It may have been redirected before without our knowledge.
        match self.ask(&refund.out_refund_no, within / 4).await? {
            RefundQueryOutcome::News(news) if news.status == ReportedRefundStatus::Abnormal => {}
            RefundQueryOutcome::News(news) => {
                let refund = self.after_news(of, &news, refund, origin).await?;
                // For example redirected in WeChat Pay's console: no decision is needed for now.
                let refund = self.note_redirection(&refund, &news, origin).await?;
                return Ok(redirected_before(refund, &wanted));
            }
            RefundQueryOutcome::Unreadable(unreadable) => {
                log_unreadable(&refund, &unreadable);
                return Ok(DecisionOutcome::Unknown);
            }
            RefundQueryOutcome::NotThere(_) | RefundQueryOutcome::Unsettled(_) => {
                return Ok(DecisionOutcome::Unknown);
            }
        }
        let call = self.abnormal_call(&refund, to).await?;
        let refund = match self.write_redirected(of, &wanted, origin).await? {
            Ok(refund) => refund,
            Err(not) => return Ok(not),
        };
        let [host, _] = self.wechat.hosts();
        let CallReply { answer, request_id } = self.wechat.call(&call, host, within / 2).await?;
        match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => {
                    let news = news.with_request_id(request_id);
                    let refund = self.after_news(of, &news, refund, origin).await?;
                    Ok(DecisionOutcome::Done(Box::new(refund)))
                }
                // It was accepted after all.
                Err(unreadable) => {
                    log_unreadable(&refund, &unreadable);
                    Ok(DecisionOutcome::Unknown)
                }
            },
            CallOutcome::Unreadable(unreadable) => {
                log_unreadable(&refund, &UnreadableNotice::Answer(unreadable));
                Ok(DecisionOutcome::Unknown)
            }
            // An operator is waiting, so the answer is given at once.
            CallOutcome::Refused(refusal) => match after_refusal(&refusal, i64::MAX) {
                RefusalStep::Refuse { .. } | RefusalStep::Pause => {
                    let refused = (refusal, within / 4);
                    self.not_taken(of, &wanted, refused, origin).await
                }
                // A 5xx or 429, signed or not, may have been carried out.
                RefusalStep::Later => Ok(DecisionOutcome::Unknown),
            },
            CallOutcome::Unknown(_) => Ok(DecisionOutcome::Unknown),
        }
    }

    /// The request to WeChat Pay for an abnormal refund. Card data is encrypted here and dropped
    /// afterwards.
    async fn abnormal_call(
        &self,
        refund: &Refund,
        to: &RedirectTarget,
    ) -> Result<ApplyAbnormalRefund, RefundError> {
        let to = match to {
            RedirectTarget::Merchant => AbnormalRefundTo::MerchantBankCard,
            RedirectTarget::UserCard {
                bank_type,
                bank_account,
                real_name,
            } => {
                let key = self.wechat.field_key().await?;
                AbnormalRefundTo::UserBankCard {
                    bank_type: bank_type.clone(),
                    bank_account: key.encrypt(bank_account)?,
                    real_name: key.encrypt(real_name)?,
                }
            }
        };
        let refund_id = refund.refund_id.as_ref().map_or("", RefundId::as_str);
        Ok(ApplyAbnormalRefund::new(
            refund_id,
            &AbnormalRefundBody {
                out_refund_no: refund.out_refund_no.as_str().to_owned(),
                to,
            },
        ))
    }

    /// Stores where the money goes, unless the refund changed meanwhile or another process was
    /// faster. For a repeat of the same decision it only records that WeChat Pay is called again.
    async fn write_redirected(
        &self,
        of: &RefundRef<'_>,
        wanted: &Redirection,
        origin: &Origin,
    ) -> Result<Result<Refund, DecisionOutcome>, RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let (order, refund) = match self.begin_to_decide(&mut rounds, of).await? {
                Ok(both) => both,
                Err(not) => return Ok(Err(not.into())),
            };
            if let Some(at) = sent_again_at(&refund, wanted, self.books.clock.now()) {
                let due = schedule::refund_check_at(of.order_no, at.plus_s(SLOT_S));
                match self.books.orders.redirect_again(&refund, at, due).await {
                    Ok(true) => return Ok(Ok(self.reread(refund).await?)),
                    Ok(false) | Err(TableError::Conflict) => continue,
                    Err(other) => return Err(other.into()),
                }
            }
            if let Some(decided) = cannot_be_redirected(&refund, wanted) {
                return Ok(Err(decided));
            }
            let context = self.books.context(origin);
            let change = decide_refund::redirect(&order, &refund, wanted.clone(), &context);
            if let Some(change) = change
                && self.books.write(&change, origin).await?
            {
                return Ok(Ok(self.reread(refund).await?));
            }
        }
    }

    /// WeChat Pay refused to redirect a refund. Error answers are not signed, and a concurrent
    /// duplicate of this decision may have succeeded. So query once more before undoing the
    /// decision.
    async fn not_taken(
        &self,
        of: &RefundRef<'_>,
        wanted: &Redirection,
        (refusal, within): (Refusal, Duration),
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let deadline = self.books.clock.deadline(within);
        let mut rounds = self.books.rounds();
        loop {
            let (order, refund) = match self.begin_to_decide(&mut rounds, of).await {
                Ok(Ok(both)) => both,
                Ok(Err(not)) => return Ok(not.into()),
                Err(RefundError::Books(OrderStoreError::Contended)) => break,
                Err(other) => return Err(other),
            };
            // Checked in every round: the write before may have failed because of a concurrent
            // duplicate.
            let left = deadline.left();
            if left.is_zero() {
                break;
            }
            match self.ask(&refund.out_refund_no, left).await? {
                RefundQueryOutcome::News(news) if news.status == ReportedRefundStatus::Abnormal => {
                }
                RefundQueryOutcome::News(news) => {
                    let refund = self.after_news(of, &news, refund, origin).await?;
                    return Ok(redirected_before(refund, wanted));
                }
                // The sweep queries it in a minute, and operators are asked again if it is
                // abnormal.
                RefundQueryOutcome::Unreadable(_)
                | RefundQueryOutcome::NotThere(_)
                | RefundQueryOutcome::Unsettled(_) => break,
            }
            let context = self.books.context(origin);
            let context = context.with_request_id(refusal.request_id.as_ref());
            let code = &refusal.raw_code;
            let change = decide_refund::undo_redirect(&order, &refund, wanted, code, &context);
            let Some(change) = change else {
                return Ok(DecisionOutcome::Refused(refusal));
            };
            if self.books.write(&change, origin).await? {
                return Ok(DecisionOutcome::Refused(refusal));
            }
        }
        warn!(
            order_no = of.order_no.as_str(),
            refund_no = of.refund_no.as_str(),
            "where a refund was to go stands, though WeChat Pay refused it: the sweep asks in a minute"
        );
        Ok(DecisionOutcome::Refused(refusal))
    }

    /// Settles WeChat Pay's answer about a refund, and returns the refund afterwards.
    async fn after_news(
        &self,
        of: &RefundRef<'_>,
        news: &RefundNews,
        refund: Refund,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        let which = RefundLookup::Ours(of.refund_no);
        self.settle_found(news, &which, origin).await?;
        self.reread(refund).await
    }
}

/// Time of a repeated call to WeChat Pay for a decision that is already recorded; `None` if this
/// decision is not recorded. The payer's card in a decision is not stored, so a decision with a
/// card never counts as the same.
fn sent_again_at(refund: &Refund, wanted: &Redirection, now: UnixSeconds) -> Option<UnixSeconds> {
    let known = refund.redirected.as_ref()?;
    let is_on_record = refund.state == RefundState::Abnormal
        && refund.is_redirected()
        && wanted.to == Destination::Merchant
        && known.is_the_same_as(wanted);
    is_on_record.then(|| known.next_sent_at(now))
}

/// Why a refund cannot be redirected now, if it cannot: it is not abnormal, or another redirect may
/// be under way.
fn cannot_be_redirected(refund: &Refund, wanted: &Redirection) -> Option<DecisionOutcome> {
    if refund.state != RefundState::Abnormal || refund.refund_id.is_none() {
        return Some(redirected_before(refund.clone(), wanted));
    }
    decide_refund::is_being_redirected(refund, wanted)
        .then(|| DecisionOutcome::InProgress(Box::new(refund.clone())))
}

/// The answer when the refund was already redirected or progressed by itself. A repeat of the same
/// decision (after a lost answer, or by a concurrent duplicate) counts as done.
fn redirected_before(refund: Refund, wanted: &Redirection) -> DecisionOutcome {
    let known = refund.redirected.as_ref();
    // The payer's card in a decision is not stored, so a decision for another card would seem
    // equal.
    let is_told_apart = wanted.to == Destination::Merchant;
    let is_the_same = is_told_apart && known.is_some_and(|known| known.is_the_same_as(wanted));
    let refund = Box::new(refund);
    match &refund.state {
        RefundState::Abnormal | RefundState::Succeeded(_) if is_the_same => {
            DecisionOutcome::Done(refund)
        }
        RefundState::Abnormal => DecisionOutcome::InProgress(refund),
        RefundState::Succeeded(_)
        | RefundState::Reserved
        | RefundState::Processing
        | RefundState::Closed
        | RefundState::Refused(_) => DecisionOutcome::WrongState(refund),
    }
}
