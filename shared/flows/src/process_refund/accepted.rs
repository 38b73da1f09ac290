//! A refund that WeChat Pay accepted though its answer cannot be parsed, and the step out of
//! `reserved` that no news reports.

use payments::{
    model::{
        journal::ChangeContext,
        refund::{Refund, RefundState},
    },
    news::unreadable::UnreadableNotice,
    rules::transition,
};
use tracing::error;

use super::flow::{Advanced, RefundError, RefundFlow};
use crate::{order_store::UNREADABLE_ANSWER, origin::Origin};

/// Who moved a refund.
pub(super) enum MovedBy {
    /// We did.
    Us,
    /// Another process, before us.
    Others,
}

impl RefundFlow {
    /// WeChat Pay accepted a refund, but its answer cannot be parsed. The next check queries it.
    pub(super) async fn note_unreadable(
        &self,
        claimed: &Refund,
        unreadable: &UnreadableNotice,
    ) -> Result<Advanced, RefundError> {
        log_unreadable(claimed, unreadable);
        // The redirect is recorded nowhere else. Without it operators would be asked to redirect or
        // pay the money again.
        if let Some(due) = claimed.due.filter(|_| !claimed.is_redirected()) {
            self.books
                .orders
                .hold_refund(claimed, UNREADABLE_ANSWER, due)
                .await?;
        }
        Ok(Advanced::Parked)
    }

    /// WeChat Pay has the refund, but its answer cannot be parsed. So the refund was accepted and
    /// no longer waits to be sent. Its money stays reserved, and each check notifies an operator
    /// until an answer can be parsed.
    pub(super) async fn known_unreadable(
        &self,
        claimed: &Refund,
        unreadable: &UnreadableNotice,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let context = self.books.context(origin);
        let moved = self.moved_on(claimed, &RefundState::Processing, &context, origin);
        match moved.await? {
            Some((_, refund)) => self.note_unreadable(&refund, unreadable).await,
            None => Ok(Advanced::NotOurs),
        }
    }

    /// Moves a refund that waits to be sent to this state, unless it changed meanwhile. Returns the
    /// refund afterwards, or `None` if it no longer exists.
    pub(super) async fn moved_on(
        &self,
        claimed: &Refund,
        to: &RefundState,
        context: &ChangeContext,
        origin: &Origin,
    ) -> Result<Option<(MovedBy, Refund)>, RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let both = self.begin(&mut rounds, claimed).await?;
            let Some((order, refund)) = both else {
                return Ok(None);
            };
            if refund.state != RefundState::Reserved {
                return Ok(Some((MovedBy::Others, refund)));
            }
            let change = transition::transition(&order, &refund, to.clone(), None, context);
            if self.books.write(&change, origin).await? {
                return Ok(Some((MovedBy::Us, self.reread(refund).await?)));
            }
        }
    }
}

/// Logs, each time, that WeChat Pay's answer about a refund cannot be parsed.
pub(super) fn log_unreadable(refund: &Refund, unreadable: &UnreadableNotice) {
    error!(
        order_no = refund.order_no.as_str(),
        refund_no = refund.refund_no.as_str(),
        out_refund_no = refund.out_refund_no.as_str(),
        state = refund.state.name(),
        error = %unreadable,
        %unreadable,
        what_to_do = "check the refund in WeChat Pay's console, and tell the developers the new form of its answers; nothing is sent twice in the meantime",
        "WeChat Pay's answer about a refund cannot be read"
    );
}
