//! Orders: shown, with their events, and closed.

use std::time::Duration;

use flows::{
    authenticate::Caller,
    problem::{ErrorChain, Problem},
    view,
};
use lambda_http::http::{Response, StatusCode};
use payments::{
    model::order::{Order, OrderState},
    rules::close_order::{CloseEligibility, close_eligibility},
};
use stores::guards::{Lease, LeaseKey};
use tracing::warn;

use super::{ACT_WITHIN, POLL_AFTER_S, Request};

/// Time limit for a query to WeChat Pay when a client requests its order.
const QUERY_WITHIN: Duration = Duration::from_millis(1_500);
/// An order of this age is queried at WeChat Pay when its client reads it: by then the callback
/// should have arrived (shared/wechatpay/PROTOCOL.md, 5.6).
const QUERY_FROM_AGE_S: i64 = 5;
/// Minimum time between two such queries, in seconds, however often the order is requested.
const QUERY_AGAIN_S: i64 = 10;

impl Request<'_> {
    /// The order's present state. For an unpaid order WeChat Pay is queried first, at intervals: a
    /// page that waits for the payment does not depend on a callback that may be late.
    pub(super) async fn show(
        &self,
        caller: &Caller,
        order_no: &str,
    ) -> Result<Response<String>, Problem> {
        let mut order = self.order(caller, order_no).await?;
        if self.is_worth_asking(&order).await {
            let asked = self
                .app
                .query_flow
                .ask(&order.order_no, QUERY_WITHIN, self.origin)
                .await;
            match asked {
                Ok(_) => order = self.order(caller, order_no).await?,
                // The stored state is shown anyway: the callback and the sweep still settle it.
                Err(error) => {
                    warn!(order_no, error = %ErrorChain(&error), "WeChat Pay was not asked");
                }
            }
        }
        Ok(self.shown(&order).await)
    }

    async fn is_worth_asking(&self, order: &Order) -> bool {
        let now = self.app.clock.now();
        let unpaid = match &order.state {
            OrderState::AwaitingPayment(_) | OrderState::Closing => true,
            OrderState::Reserved
            | OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::Closed
            | OrderState::Rejected(_)
            | OrderState::PaidAfterClose(_) => false,
        };
        if !unpaid || now.since(order.created_at) < QUERY_FROM_AGE_S {
            return false;
        }
        let lease = LeaseKey::StatusQuery {
            mchid: &self.app.mchid,
            order_no: &order.order_no,
        };
        let holder = self.app.random.id();
        match self
            .app
            .guards
            .lease(&lease, &holder, QUERY_AGAIN_S, now)
            .await
        {
            Ok(lease) => lease == Lease::Acquired,
            Err(error) => {
                warn!(error = %ErrorChain(&error), "WeChat Pay is not queried: the rate of queries is unknown");
                false
            }
        }
    }

    /// What happened to the order and its refunds, oldest first.
    pub(super) async fn events(
        &self,
        caller: &Caller,
        order_no: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let journal = self.app.orders.journal(&order.order_no).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::events(&order.order_no, &journal),
        ))
    }

    /// Closes the order, at WeChat Pay first.
    pub(super) async fn close(
        &self,
        caller: &Caller,
        order_no: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let before = close_eligibility(&order);
        let closed = self
            .app
            .close_flow
            .close(order, ACT_WITHIN, self.origin)
            .await?;
        let order = closed.order;
        match close_eligibility(&order) {
            CloseEligibility::Paid => Err(Problem::order_paid()),
            CloseEligibility::Over if before == CloseEligibility::Over => {
                Ok(view::replayed(self.shown(&order).await))
            }
            CloseEligibility::Over => Ok(self.shown(&order).await),
            // WeChat Pay has not answered. The sweep continues at the order's next check.
            CloseEligibility::Closing | CloseEligibility::Open => {
                let now = self.app.clock.now();
                let waits_s = order.due.map_or(0, |due| due.at.since(now).max(0));
                Ok(view::accepted(
                    order.order_no.as_str(),
                    order.state.name(),
                    waits_s.saturating_add(POLL_AFTER_S),
                ))
            }
        }
    }

    /// The order's present state. Its refunds are read if it ever had any. All but whether they owe
    /// its payer is the order's own, so it is shown without them too: a 503 would hide that it is
    /// paid, or closed.
    async fn shown(&self, order: &Order) -> Response<String> {
        let refunds = if order.refunds.count == 0 {
            Some(Vec::new())
        } else {
            let read = self.app.orders.refunds(&order.order_no).await;
            read.map_or_else(
                |error| {
                    warn!(
                        order_no = order.order_no.as_str(),
                        error = %ErrorChain(&error),
                        "an order is shown without what its refunds owe its payer"
                    );
                    None
                },
                Some,
            )
        };
        let now = self.app.clock.now();
        let view = view::order_and_refunds(order, refunds.as_deref(), now);
        view::answer(StatusCode::OK, &view)
    }
}
