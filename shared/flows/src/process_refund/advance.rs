//! A refund that is due: claimed, queried or sent, and settled by the answer.

use std::time::Duration;

use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        parked::ParkedState,
        refund::{PaymentKind, Refund, RefundState},
    },
    rules::{overdue_refund::PendingAnswer, reserve_refund, schedule},
};
use stores::order_table::TableError;
use tracing::{error, warn};
use wechatpay::RequestId;

use super::{
    flow::{Advanced, RefundError, RefundFlow},
    overdue::log_if_operator_needed,
    query::RefundQueryOutcome,
    settle::RefundLookup,
};
use crate::{
    order_store::OrderStoreError, origin::Origin, problem::ErrorChain,
    settle_payment::SettleOutcome,
};

impl RefundFlow {
    /// Processes a refund that may be due: claims it, queries or sends it, and settles the answer.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn advance(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let now = self.books.clock.now();
        let Some(seen) = self.books.orders.refund(order_no, refund_no).await? else {
            return Ok(Advanced::NotOurs);
        };
        let next = match (
            seen.due,
            schedule::next_refund_check(&seen, &seen.state, now),
        ) {
            (Some(due), Some(next)) if due.at <= now => next,
            // An earlier version of this code kept checking refunds that an operator had dealt
            // with.
            (Some(due), None) if due.at <= now => {
                self.books.orders.remove_refund_check(&seen).await?;
                return Ok(Advanced::NotOurs);
            }
            (Some(_) | None, _) => return Ok(Advanced::NotOurs),
        };
        if !self.books.orders.claim_refund(&seen, next).await? {
            return Ok(Advanced::NotOurs);
        }
        let claimed = Refund {
            tries: seen.tries.saturating_add(1),
            due: Some(next),
            ..seen.clone()
        };
        // Boxed because this future is large: it covers everything that can happen to a refund.
        let advanced = Box::pin(self.next_step(&seen, &claimed, within, origin)).await;
        if comes_again_soon(&advanced) {
            self.check_sooner(&claimed).await;
        }
        advanced
    }

    /// Queries or sends a claimed refund, and settles the answer. `seen` is the refund before the
    /// claim.
    async fn next_step(
        &self,
        seen: &Refund,
        claimed: &Refund,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let (order_no, refund_no) = (&claimed.order_no, &claimed.refund_no);
        if claimed.state == RefundState::Closed {
            return self.still_owed(claimed).await;
        }
        if claimed.needs_payer_statement() {
            log_if_operator_needed(claimed);
            return Ok(Advanced::Open);
        }
        let never_sent = seen.state == RefundState::Reserved && seen.tries == 0;
        if !never_sent {
            match self.ask(&claimed.out_refund_no, within / 2).await? {
                RefundQueryOutcome::News(news) => {
                    let which = RefundLookup::Ours(refund_no);
                    let settled = self.settle_found(&news, &which, origin).await?;
                    let noted = self.note_redirection(claimed, &news, origin).await?;
                    match &settled {
                        SettleOutcome::StillOpen => {
                            let answer = PendingAnswer::Processing;
                            return self.still_pending(&noted, &answer, origin).await;
                        }
                        SettleOutcome::AlreadyDone => log_if_operator_needed(&noted),
                        SettleOutcome::Changed | SettleOutcome::Parked { .. } => {}
                    }
                    return Ok(settled.into());
                }
                RefundQueryOutcome::NotThere(_) if claimed.state == RefundState::Reserved => {}
                RefundQueryOutcome::NotThere(_)
                    if matches!(claimed.state, RefundState::Refused(_)) =>
                {
                    log_if_operator_needed(claimed);
                    return Ok(Advanced::Open);
                }
                RefundQueryOutcome::NotThere(request_id) => {
                    error!(
                        order_no = order_no.as_str(),
                        refund_no = refund_no.as_str(),
                        state = claimed.state.name(),
                        wechat_request_id = request_id.as_ref().map(RequestId::as_str),
                        what_to_do = "ask WeChat Pay's support what happened to it, and give them the Request-ID",
                        "WeChat Pay accepted the refund before and does not know it now"
                    );
                    return Ok(Advanced::Open);
                }
                RefundQueryOutcome::Unreadable(unreadable) => {
                    return self.known_unreadable(claimed, &unreadable, origin).await;
                }
                RefundQueryOutcome::Unsettled(answer) => {
                    return self.still_pending(claimed, &answer, origin).await;
                }
            }
        }
        Box::pin(self.send(claimed, within / 2, origin)).await
    }

    /// Makes a claimed refund due again soon when it could not be queried or sent. After a crash
    /// before this write it stays due at its regular next step.
    async fn check_sooner(&self, claimed: &Refund) {
        let Some(next) = schedule::sooner_refund_check(claimed, self.books.clock.now()) else {
            return;
        };
        if let Err(error) = self.books.orders.check_refund_sooner(claimed, next).await {
            warn!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                error = %ErrorChain(&error),
                "a refund that got no answer waits for its next step"
            );
        }
    }

    /// The refund of money that is owed back failed for good. The money is owed until it is
    /// returned in another way.
    async fn still_owed(&self, refund: &Refund) -> Result<Advanced, RefundError> {
        let (orders, order_no) = (&self.books.orders, &refund.order_no);
        let (is_owed, is_over) = match refund.of {
            PaymentKind::Booked => match orders.read(order_no).await? {
                Some(order) => {
                    let refunds = orders.refunds(order_no).await?;
                    let is_back = reserve_refund::outstanding_fen(&order, &refunds) <= 0;
                    (reserve_refund::owed_fen(&order, &refunds) > 0, is_back)
                }
                None => (false, true),
            },
            PaymentKind::Parked => {
                let id = &refund.transaction_id;
                let parked = orders.parked_payment(order_no, id).await?;
                let is_owed = parked.is_some_and(|parked| parked.state == ParkedState::Parked)
                    && reserve_refund::released_fen(&orders.refunds(order_no).await?, id) == 0;
                // If another refund returns the money, that refund is checked itself when it fails.
                (is_owed, !is_owed)
            }
        };
        if is_owed {
            log_if_operator_needed(refund);
        } else if is_over {
            self.books.orders.remove_refund_check(refund).await?;
        }
        // Otherwise another refund is under way, and only its client would learn of its failure.
        Ok(Advanced::Open)
    }
}

/// Whether a refund is checked again soon: WeChat Pay did not answer, or a temporary failure
/// happened on our side.
fn comes_again_soon(advanced: &Result<Advanced, RefundError>) -> bool {
    match advanced {
        Ok(advanced) => *advanced == Advanced::Unanswered,
        Err(RefundError::Books(OrderStoreError::Table(error))) => {
            !matches!(error, TableError::Damaged { .. })
        }
        Err(
            RefundError::Books(OrderStoreError::Contended)
            | RefundError::Guards(_)
            | RefundError::NotSent(_)
            | RefundError::PaymentNotBooked,
        ) => true,
        Err(RefundError::Field(_)) => false,
    }
}
