//! Refunds: accepting, showing and deciding.

use flows::{
    authenticate::Caller,
    problem::{ErrorChain, Problem},
    process_refund::{DecisionOutcome, RefundBy, RefundRef, ReserveRefundOutcome},
    view,
};
use lambda_http::http::{Response, StatusCode};
use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        refund::Refund,
    },
    rules::reserve_refund::{Approval, RefundRequest},
};
use tracing::{info, warn};
use wechatpay::UnixSeconds;

use super::{ACT_WITHIN, POLL_AFTER_S, Request};
use crate::input::{OperatorRequest, RedirectRequest};

impl Request<'_> {
    pub(super) async fn refunds(
        &self,
        caller: &Caller,
        order_no: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let refunds = self.app.orders.refunds(&order.order_no).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::refunds(
                &order.order_no,
                &refunds,
                self.paused_until(&refunds).await?,
            ),
        ))
    }

    pub(super) async fn show_refund(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let refund_no = RefundNo::parse(refund_no).map_err(|_| Problem::refund_not_found())?;
        let found = self.app.orders.refund(&order.order_no, &refund_no).await?;
        let refund = found.ok_or_else(Problem::refund_not_found)?;
        self.shown_refund(&refund).await
    }

    /// Takes a refund on; the queue does the rest.
    pub(super) async fn refund(
        &self,
        caller: &Caller,
        order_no: &str,
    ) -> Result<Response<String>, Problem> {
        let body = self.incoming.json_body()?;
        let order_no = OrderNo::parse(order_no)?;
        let wanted = RefundRequest::read(
            body,
            self.incoming.header("idempotency-key"),
            &caller.client_id,
            &order_no,
        )?;
        let by = RefundBy {
            client: &caller.client_id,
            limits: &caller.permissions.limits,
        };
        let taken = self
            .app
            .refund_flow
            .reserve(by, &order_no, &wanted, self.origin)
            .await?;
        match taken {
            ReserveRefundOutcome::Reserved(refund) => {
                info!(
                    order_no = order_no.as_str(),
                    refund_no = refund.refund_no.as_str(),
                    amount_fen = refund.amount.get(),
                    trace_id = self.origin.trace.id(),
                    "refund taken on"
                );
                Ok(self.refund_accepted(&refund).await)
            }
            ReserveRefundOutcome::AlreadyReserved(refund) => {
                Ok(view::replayed(self.shown_refund(&refund).await?))
            }
            ReserveRefundOutcome::NumberReused => Err(Problem::refund_reused()),
            ReserveRefundOutcome::OrderNotFound => Err(Problem::order_not_found()),
            ReserveRefundOutcome::Rejected(refused) => Err(refused.into()),
            ReserveRefundOutcome::AboveLimit(above) => Err(above.into()),
        }
    }

    pub(super) async fn retry(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let named = NamedRefund::read(order_no, refund_no)?;
        let of = named.asked_by(caller);
        let decided = self.app.refund_flow.retry(&of, None, self.origin).await?;
        let refund = decided_refund(decided, "refused")?;
        Ok(self.refund_accepted(&refund).await)
    }

    pub(super) async fn release(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = OperatorRequest::read(self.incoming.json_body()?)?;
        let named = NamedRefund::read(order_no, refund_no)?;
        let of = named.asked_by(caller);
        let decided = self
            .app
            .refund_flow
            .release(&of, &asked.decided, ACT_WITHIN, self.origin)
            .await?;
        let refund = decided_refund(decided, "refused")?;
        self.shown_refund(&refund).await
    }

    pub(super) async fn redirect(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = RedirectRequest::read(self.incoming.json_body()?)?;
        let named = NamedRefund::read(order_no, refund_no)?;
        let of = named.asked_by(caller);
        let decided = self
            .app
            .refund_flow
            .redirect(&of, &asked.to, &asked.decided, ACT_WITHIN, self.origin)
            .await?;
        let refund = decided_refund(decided, "abnormal")?;
        Ok(self.refund_accepted(&refund).await)
    }

    /// Records that the payer, whose money went to the merchant's own account, was paid by other
    /// means.
    pub(super) async fn payer_paid(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = OperatorRequest::read(self.incoming.json_body()?)?;
        let named = NamedRefund::read(order_no, refund_no)?;
        let of = named.asked_by(caller);
        let decided = self
            .app
            .refund_flow
            .payer_paid(&of, &asked.decided, self.origin)
            .await?;
        if matches!(decided, DecisionOutcome::WrongState(_)) {
            return Err(Problem::payer_not_owed());
        }
        let refund = decided_refund(decided, "succeeded")?;
        self.shown_refund(&refund).await
    }

    /// Until when the merchant's refunds rest, where one of these is to go to WeChat Pay.
    async fn paused_until(&self, refunds: &[Refund]) -> Result<Option<UnixSeconds>, Problem> {
        if refunds
            .iter()
            .all(|refund| refund.next_try_at(None).is_none())
        {
            return Ok(None);
        }
        Ok(self.app.refund_flow.paused_until().await?)
    }

    async fn shown_refund(&self, refund: &Refund) -> Result<Response<String>, Problem> {
        let paused_until = self.paused_until(std::slice::from_ref(refund)).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::refund(refund, paused_until),
        ))
    }

    /// 202: the refund is accepted. If it is unknown whether refunds are paused, the answer gives
    /// the time without a pause.
    async fn refund_accepted(&self, refund: &Refund) -> Response<String> {
        let paused_until = match refund.next_try_at(None) {
            Some(_) => self.app.refund_flow.paused_until().await,
            None => Ok(None),
        };
        let paused_until = paused_until.unwrap_or_else(|error| {
            warn!(error = %ErrorChain(&error), "it is not known whether refunds rest");
            None
        });
        let now = self.app.clock.now();
        view::refund_accepted(refund, paused_until, now, POLL_AFTER_S)
    }
}

/// The refund that a path names, for a decision about it.
struct NamedRefund {
    order_no: OrderNo,
    refund_no: RefundNo,
}

impl NamedRefund {
    fn read(order_no: &str, refund_no: &str) -> Result<Self, Problem> {
        Ok(Self {
            order_no: OrderNo::parse(order_no)?,
            refund_no: RefundNo::parse(refund_no).map_err(|_| Problem::refund_not_found())?,
        })
    }

    fn asked_by<'a>(&'a self, caller: &'a Caller) -> RefundRef<'a> {
        RefundRef {
            client: &caller.client_id,
            order_no: &self.order_no,
            refund_no: &self.refund_no,
            by: Approval::Caller,
        }
    }
}

/// The refund after a decision. `needs` is the state in which this can be decided.
fn decided_refund(decided: DecisionOutcome, needs: &'static str) -> Result<Box<Refund>, Problem> {
    match decided {
        DecisionOutcome::Done(refund) => Ok(refund),
        DecisionOutcome::WrongState(refund) => {
            Err(Problem::refund_state(needs, refund.state.name()))
        }
        DecisionOutcome::InProgress(_) => Err(Problem::refund_under_way()),
        DecisionOutcome::NeedsTwoPersons => Err(Problem::refund_needs_two_persons()),
        DecisionOutcome::Refused(refusal) => Err(Problem::wechatpay_refused_refund(&refusal)),
        DecisionOutcome::Unknown => Err(Problem::wechatpay_silent()),
        DecisionOutcome::RefundNotFound => Err(Problem::refund_not_found()),
    }
}
