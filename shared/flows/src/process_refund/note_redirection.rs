//! What news of an abnormal refund says about where its money was sent.

use payments::{
    model::{
        decision::Redirection,
        refund::{ABNORMAL_AGAIN, REDIRECTED, Refund, RefundState},
    },
    news::refund::{RefundNews, ReportedRefundStatus},
    rules::decide_refund,
};

use super::flow::{RefundError, RefundFlow};
use crate::origin::Origin;

impl RefundFlow {
    /// An abnormal refund stays abnormal until its money arrives. Whether it was sent again or came
    /// back is kept in `trouble`; operators are asked only in the second case. An earlier decision
    /// does not say where the money goes then; it stays in the journal.
    pub(super) async fn note_redirection(
        &self,
        claimed: &Refund,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        let is_sent_on = claimed.is_redirected() || claimed.redirected.is_some();
        let trouble = match (&claimed.state, news.status) {
            (RefundState::Abnormal, ReportedRefundStatus::Processing)
                if !claimed.is_redirected() =>
            {
                REDIRECTED
            }
            (RefundState::Abnormal, ReportedRefundStatus::Abnormal) if is_sent_on => {
                match &claimed.redirected {
                    Some(redirection) => {
                        return self.take_back(claimed, redirection, news, origin).await;
                    }
                    // In WeChat Pay's console: there is no decision of ours to take back.
                    None => ABNORMAL_AGAIN,
                }
            }
            (_, _) => return Ok(claimed.clone()),
        };
        let is_noted = match claimed.due {
            Some(due) => {
                let orders = &self.books.orders;
                orders.forget_redirection(claimed, trouble, due).await?
            }
            None => false,
        };
        // It was decided meanwhile.
        if !is_noted {
            return self.reread(claimed.clone()).await;
        }
        Ok(Refund {
            trouble: Some(trouble.to_owned()),
            trouble_since: None,
            redirected: None,
            ..claimed.clone()
        })
    }

    /// Takes back, with an event, a redirect that WeChat Pay was called for while the refund stays
    /// abnormal. Does nothing after several calls, because another one may still be under way, or
    /// if something was decided or called since.
    async fn take_back(
        &self,
        claimed: &Refund,
        redirection: &Redirection,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        let mut rounds = self.books.rounds();
        loop {
            let both = self.begin(&mut rounds, claimed).await?;
            let Some((order, refund)) = both else {
                return Ok(claimed.clone());
            };
            if refund.tries != claimed.tries {
                return Ok(refund);
            }
            let context = self.books.context(origin);
            let context = context.with_request_id(news.request_id.as_ref());
            let change = decide_refund::undo_redirect(
                &order,
                &refund,
                redirection,
                ABNORMAL_AGAIN,
                &context,
            );
            let Some(change) = change else {
                return Ok(refund);
            };
            if self.books.write(&change, origin).await? {
                return self.reread(refund).await;
            }
        }
    }
}
