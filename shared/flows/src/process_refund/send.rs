//! Sending a refund to WeChat Pay, and what its refusal leads to.

use std::time::Duration;

use payments::{
    model::{
        journal::ChangeContext,
        next_check::NextCheck,
        refund::{Refund, RefundState, SLOT_S},
    },
    news::{
        call_outcome::{CallOutcome, is_transient_refusal},
        refund::RefundNews,
        unreadable::UnreadableNotice,
    },
    rules::{
        overdue_refund::{self, PendingAnswer},
        schedule::{self, BALANCE_PAUSE_S},
        settle_refund::{RefusalStep, after_refusal},
    },
};
use stores::guards::{Lease, LeaseKey};
use tracing::{error, info};
use wechat_client::api::CallReply;
use wechatpay::{RequestId, UnixSeconds, api::Refusal};

use super::{
    accepted::MovedBy,
    flow::{Advanced, RefundError, RefundFlow},
    query::RefundQueryOutcome,
    settle::RefundLookup,
};
use crate::{order_store::is_low_balance, origin::Origin};

/// WeChat Pay's code for a balance that is too low.
const LOW_BALANCE: &str = "NOT_ENOUGH";

/// How long WeChat Pay may delay a refund before an operator is notified, in seconds.
const LASTS_S: i64 = 3600;

impl RefundFlow {
    /// Sends a refund whose money is reserved, for the first time or because WeChat Pay says that
    /// it never received it.
    pub(super) async fn send(
        &self,
        claimed: &Refund,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let now = self.books.clock.now();
        let (order_no, refund_no) = (&claimed.order_no, &claimed.refund_no);
        let mchid = self.wechat.mchid();
        if let Some(until) = self.guards.refunds_paused_until(mchid, now).await? {
            let next = schedule::refund_check_at(order_no, until);
            let context = self.books.context(origin);
            self.pause(claimed, LOW_BALANCE, next, &context, origin)
                .await?;
            return Ok(Advanced::Open);
        }
        let minute = LeaseKey::Refund { mchid, order_no };
        let holder = claimed.out_refund_no.as_str();
        let now = self.books.clock.now();
        match self.guards.lease(&minute, holder, SLOT_S, now).await? {
            Lease::Acquired => {}
            Lease::Held { until, .. } => return self.put_off(claimed, until, origin).await,
        }
        let [host, _] = self.wechat.hosts();
        let CallReply { answer, request_id } =
            self.wechat.call(&claimed.request(), host, within).await?;
        let refusal = match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => {
                    let which = RefundLookup::Ours(refund_no);
                    let news = news.with_request_id(request_id);
                    let settled = self.settle_found(&news, &which, origin).await?;
                    return Ok(settled.into());
                }
                Err(unreadable) => return self.note_unreadable(claimed, &unreadable).await,
            },
            CallOutcome::Unreadable(unreadable) => {
                let unreadable = UnreadableNotice::Answer(unreadable);
                return self.note_unreadable(claimed, &unreadable).await;
            }
            // It is unknown whether it was accepted, so the next check queries first.
            CallOutcome::Unknown(_) => return Ok(Advanced::Unanswered),
            CallOutcome::Refused(refusal) => refusal,
        };
        match after_refusal(&refusal, self.waits_s(claimed)) {
            RefusalStep::Later => {
                self.note_delay(claimed, &refusal).await?;
                Ok(if is_transient_refusal(&refusal) {
                    Advanced::Unanswered
                } else {
                    Advanced::Open
                })
            }
            RefusalStep::Pause => {
                let until = now.plus_s(BALANCE_PAUSE_S);
                error!(
                    order_no = order_no.as_str(),
                    refund_no = refund_no.as_str(),
                    pause_s = BALANCE_PAUSE_S,
                    wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                    what_to_do =
                        "fill up the merchant's balance at WeChat Pay; refunds go on by themselves",
                    "all refunds rest: the balance is too low"
                );
                self.guards.pause_refunds(mchid, until).await?;
                // After the other refunds, which may be smaller.
                let next = schedule::refund_check_at(order_no, until.plus_s(BALANCE_PAUSE_S / 2));
                let context = self.books.context(origin);
                let context = context.with_request_id(refusal.request_id.as_ref());
                self.pause(claimed, &refusal.raw_code, next, &context, origin)
                    .await?;
                Ok(Advanced::Open)
            }
            RefusalStep::Refuse { code } => {
                let refused = (code, refusal.request_id.as_ref());
                self.refuse(claimed, refused, within, origin).await
            }
        }
    }

    /// WeChat Pay refused a refund. This is recorded once a query confirms that the refund does not
    /// exist.
    async fn refuse(
        &self,
        claimed: &Refund,
        (code, request_id): (String, Option<&RequestId>),
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        match self.ask(&claimed.out_refund_no, within).await? {
            RefundQueryOutcome::Unsettled(PendingAnswer::Unanswered) => {
                return Ok(Advanced::Unanswered);
            }
            // The next check queries again, and logs it if that lasts.
            RefundQueryOutcome::Unsettled(
                PendingAnswer::Refused(_) | PendingAnswer::Processing,
            ) => {
                return Ok(Advanced::Open);
            }
            RefundQueryOutcome::Unreadable(unreadable) => {
                return self.known_unreadable(claimed, &unreadable, origin).await;
            }
            RefundQueryOutcome::News(news) => {
                let which = RefundLookup::Ours(&claimed.refund_no);
                return Ok(self.settle_found(&news, &which, origin).await?.into());
            }
            RefundQueryOutcome::NotThere(_) => {}
        }
        let context = self.books.context(origin).with_request_id(request_id);
        let refused = RefundState::Refused(code);
        let moved = self.moved_on(claimed, &refused, &context, origin);
        Ok(match moved.await? {
            Some((MovedBy::Us, _)) => Advanced::Moved,
            Some((MovedBy::Others, _)) => Advanced::Open, // news came meanwhile
            None => Advanced::NotOurs,
        })
    }

    /// Another refund of the order was just sent, and WeChat Pay accepts one a minute. Nothing was
    /// attempted, so no attempt is counted.
    async fn put_off(
        &self,
        claimed: &Refund,
        until: UnixSeconds,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let next = schedule::after_order_interval(claimed, until);
        if self.books.orders.put_off_refund(claimed, next).await? {
            info!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                until = next.at.0,
                "another refund of the order was sent within the minute: this one waits"
            );
            // Nothing changed: the next message follows what this one followed.
            let trace = origin.trace.parent().unwrap_or(&origin.trace);
            self.books.announce_refund(claimed, next.at, trace).await;
        }
        Ok(Advanced::Open)
    }

    /// Pauses a refund until there are funds. The first pause sends its client an event.
    async fn pause(
        &self,
        claimed: &Refund,
        trouble: &str,
        next: NextCheck,
        context: &ChangeContext,
        origin: &Origin,
    ) -> Result<(), RefundError> {
        let is_paused = claimed.trouble.as_deref().is_some_and(is_low_balance);
        // The cause shown for an overdue refund stays.
        if is_paused || claimed.overdue_since.is_some() {
            let trouble = claimed.trouble.as_deref().unwrap_or(trouble);
            self.books
                .orders
                .hold_refund(claimed, trouble, next)
                .await?;
            return Ok(());
        }
        let mut rounds = self.books.rounds();
        loop {
            let both = self.begin(&mut rounds, claimed).await?;
            let Some((order, refund)) = both else {
                return Ok(());
            };
            if refund.state != claimed.state || refund.tries != claimed.tries {
                return Ok(());
            }
            let change = overdue_refund::pause(&order, &refund, trouble, next, context);
            if self.books.write(&change, origin).await? {
                return Ok(());
            }
        }
    }

    /// It is not sent for now. An operator is notified if that lasts. Causes that an operator must
    /// fix were already logged by the WeChat Pay client.
    async fn note_delay(&self, claimed: &Refund, refusal: &Refusal) -> Result<(), RefundError> {
        let waits_s = self.waits_s(claimed);
        if waits_s > LASTS_S {
            error!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                waits_s,
                wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                %refusal,
                "a refund does not get on"
            );
        }
        if let Some(due) = claimed.due {
            self.books
                .orders
                .hold_refund(claimed, &refusal.raw_code, due)
                .await?;
        }
        Ok(())
    }

    /// How long a refund has been due, in seconds.
    fn waits_s(&self, claimed: &Refund) -> i64 {
        self.books.clock.now().since(claimed.slot_at)
    }

    /// The time until which the merchant's refunds are paused for lack of funds; `None` if they are
    /// not.
    ///
    /// # Errors
    /// The guards table did not answer.
    pub async fn paused_until(&self) -> Result<Option<UnixSeconds>, RefundError> {
        let now = self.books.clock.now();
        let mchid = self.wechat.mchid();
        Ok(self.guards.refunds_paused_until(mchid, now).await?)
    }
}
