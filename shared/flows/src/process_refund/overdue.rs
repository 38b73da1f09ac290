//! A refund that does not finish, and who is alerted.

use payments::{
    model::refund::Refund,
    rules::overdue_refund::{self, OverdueStep, PendingAnswer, Trouble},
};
use tracing::error;

use super::flow::{Advanced, RefundError, RefundFlow};
use crate::{order_store::what_to_do, origin::Origin};

impl RefundFlow {
    /// The query left the refund unfinished. After a while an operator is notified.
    pub(super) async fn still_pending(
        &self,
        claimed: &Refund,
        answer: &PendingAnswer,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let note = async |trouble: Option<&Trouble>| match claimed.due {
            Some(due) => {
                let orders = &self.books.orders;
                orders.note_trouble(claimed, trouble, due).await.map(drop)
            }
            None => Ok(()),
        };
        match overdue_refund::check_overdue(claimed, answer, self.books.clock.now()) {
            OverdueStep::KeepWaiting => {}
            OverdueStep::RemindOperator => log_if_operator_needed(claimed),
            OverdueStep::NoteTrouble(trouble) => note(Some(&trouble)).await?,
            OverdueStep::ForgetTrouble => note(None).await?,
            OverdueStep::MarkOverdue(trouble) => {
                self.mark(claimed, Some(&trouble), origin).await?;
            }
            OverdueStep::ClearOverdue => self.mark(claimed, None, origin).await?,
        }
        Ok(match answer {
            PendingAnswer::Unanswered => Advanced::Unanswered,
            PendingAnswer::Processing | PendingAnswer::Refused(_) => Advanced::Open,
        })
    }

    /// Marks a refund as overdue with this cause, or as no longer overdue, unless it has changed.
    async fn mark(
        &self,
        claimed: &Refund,
        overdue: Option<&Trouble>,
        origin: &Origin,
    ) -> Result<(), RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let both = self.begin(&mut rounds, claimed).await?;
            let Some((order, refund)) = both else {
                return Ok(());
            };
            let has_moved = refund.state != claimed.state || refund.tries != claimed.tries;
            let is_marked = match overdue {
                Some(trouble) => {
                    refund.overdue_since.is_some() && refund.trouble.as_ref() == Some(&trouble.code)
                }
                None => refund.overdue_since.is_none(),
            };
            if has_moved || is_marked {
                return Ok(());
            }
            let context = self.books.context(origin);
            let change = overdue_refund::mark_overdue(&order, &refund, overdue, &context);
            if self.books.write(&change, origin).await? {
                return Ok(());
            }
        }
    }
}

/// Logs what an operator must do about a refund, at each check.
pub(super) fn log_if_operator_needed(refund: &Refund) {
    if let Some(what_to_do) = what_to_do(refund) {
        error!(
            order_no = refund.order_no.as_str(),
            refund_no = refund.refund_no.as_str(),
            state = refund.state.name(),
            what_to_do,
            "refund needs a person"
        );
    }
}
