//! Closing an order: `closing` here, closed at WeChat Pay, `closed` here. After a crash in between
//! the sweep continues.

use std::time::Duration;

use payments::{
    model::order::{Order, OrderState},
    news::call_outcome::is_transient_refusal,
    rules::{
        change::OrderChange,
        close_order::{self, CloseEligibility, CloseStep},
    },
};
use tracing::{error, info};
use wechat_client::api::{CallReply, NotSent, WechatApi};
use wechatpay::{RequestId, api::Close};

use crate::{
    order_store::{OrderStore, OrderStoreError},
    origin::Origin,
    problem::Problem,
    query_order::{QueryError, QueryFlow, QueryOutcome, report_unreadable},
    settle_payment::SettleOutcome,
};

#[derive(Clone, Debug)]
pub struct CloseFlow {
    books: OrderStore,
    wechat: WechatApi,
    query_flow: QueryFlow,
}

/// Result of closing.
#[derive(Clone, Debug, PartialEq)]
pub struct CloseOutcome {
    /// The order afterwards: closed, paid just before, or `closing` if WeChat Pay has not answered
    /// yet.
    pub order: Order,
    /// Whether WeChat Pay did not answer, or only temporarily refused. Worth retrying soon.
    pub unanswered: bool,
}

/// Why closing failed on our side. The order is unchanged; one that is `closing` is due again.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The order could not be read or written.
    #[error("the order could not be closed in the table")]
    Books(#[from] OrderStoreError),
    /// The call could not be sent.
    #[error("WeChat Pay could not be asked to close the order")]
    NotSent(#[from] NotSent),
    /// The query that decides failed on our side.
    #[error("WeChat Pay's view of the order could not be settled")]
    Query(#[from] QueryError),
}

impl From<stores::order_table::TableError> for CloseError {
    fn from(error: stores::order_table::TableError) -> Self {
        Self::Books(error.into())
    }
}

impl From<CloseError> for Problem {
    fn from(error: CloseError) -> Self {
        Self::unavailable(&error)
    }
}

/// How long an order that can no longer be paid may stay open before an operator is notified, in
/// seconds.
const STUCK_S: i64 = 3600;

impl CloseFlow {
    /// Creates the flow over this order store and this client.
    pub fn new(books: OrderStore, wechat: WechatApi, query_flow: QueryFlow) -> Self {
        Self {
            books,
            wechat,
            query_flow,
        }
    }

    /// Takes an order that is due to be closed to `closing`. Only one process can, so this is its
    /// claim, and it moves the next check too. `None` if the order has changed since it was read.
    ///
    /// # Errors
    /// [`CloseError`].
    pub async fn claim(&self, order: &Order, origin: &Origin) -> Result<Option<Order>, CloseError> {
        let context = self.books.context(origin);
        let change = OrderChange::new(order, OrderState::Closing, &context);
        let is_written = self.books.write(&change, origin).await?;
        Ok(is_written.then(|| change.order_after()))
    }

    /// Closes an order, within the time given.
    ///
    /// # Errors
    /// [`CloseError`].
    pub async fn close(
        &self,
        order: Order,
        within: Duration,
        origin: &Origin,
    ) -> Result<CloseOutcome, CloseError> {
        let answered = |order| CloseOutcome {
            order,
            unanswered: false,
        };
        let deadline = self.books.clock.deadline(within);
        let order = self.begin(order, origin).await?;
        if order.state != OrderState::Closing {
            return Ok(answered(order));
        }
        // Read again: another process may have got the lease to call WeChat Pay while the state
        // changed.
        let order = self.reread(order).await?;
        let asked_at = self.books.clock.now();
        let call = Close {
            mchid: self.wechat.mchid().to_owned(),
            out_trade_no: order.order_no.as_str().to_owned(),
        };
        // Half of the time; the other half is for the query.
        let CallReply { answer, request_id } = self.wechat.call_either(&call, within / 2).await?;
        let request_id = request_id.as_ref();
        match close_order::after_close_answer(&order, asked_at, &answer) {
            CloseStep::Closed => self.end(order, request_id, origin).await.map(answered),
            CloseStep::Wait => {
                info!(
                    order_no = order.order_no.as_str(),
                    "another process may still be making the order at WeChat Pay: it is closed again later"
                );
                Ok(answered(order))
            }
            CloseStep::Query => {
                let left = deadline.left();
                let asked = self.query_flow.ask(&order.order_no, left, origin).await;
                let asked = report_unreadable(&order.order_no, asked)?;
                if order.issued && asked == QueryOutcome::NotThere {
                    error!(
                        order_no = order.order_no.as_str(),
                        wechat_request_id = request_id.map(RequestId::as_str),
                        what_to_do = "check the order in WeChat Pay's console: it is not closed here before it is closed there",
                        "WeChat Pay had the order and does not know it now"
                    );
                }
                let order = self.reread(order).await?;
                // WeChat Pay's signed answer says that the number is paid, but by a payment that is
                // not for this order. So the order can no longer be paid, and that payment waits
                // for an operator, whatever happens to the order.
                if matches!(asked, QueryOutcome::Settled(SettleOutcome::Parked { .. }))
                    && order.state == OrderState::Closing
                {
                    return self.end(order, request_id, origin).await.map(answered);
                }
                self.log_if_stuck(&order, request_id);
                let unanswered = match &asked {
                    // It is still open, because the close was not accepted.
                    QueryOutcome::Settled(SettleOutcome::StillOpen) => answer.is_unavailable(),
                    QueryOutcome::Settled(_) | QueryOutcome::NotThere => false,
                    QueryOutcome::Refused(refusal) => is_transient_refusal(refusal),
                    QueryOutcome::Unknown(_) => true,
                };
                Ok(CloseOutcome { order, unanswered })
            }
        }
    }

    /// If an order could not be closed for an hour after its expiry, an operator must find out why.
    fn log_if_stuck(&self, order: &Order, request_id: Option<&RequestId>) {
        let over_for_s = self.books.clock.now().since(order.expires_at);
        if order.state == OrderState::Closing && over_for_s > STUCK_S {
            error!(
                order_no = order.order_no.as_str(),
                over_for_s,
                wechat_request_id = request_id.map(RequestId::as_str),
                what_to_do = "find out from the lines above why WeChat Pay does not close it",
                "an order cannot be closed"
            );
        }
    }

    /// To `closing`. In this state no process gets a lease to request a prepay value.
    async fn begin(&self, mut order: Order, origin: &Origin) -> Result<Order, CloseError> {
        let mut rounds = self.books.rounds();
        loop {
            rounds.begin().await?;
            if rounds.is_another() {
                order = self.reread(order).await?;
            }
            match close_order::close_eligibility(&order) {
                CloseEligibility::Closing | CloseEligibility::Over | CloseEligibility::Paid => {
                    return Ok(order);
                }
                CloseEligibility::Open => {}
            }
            let context = self.books.context(origin);
            let change = OrderChange::new(&order, OrderState::Closing, &context);
            if self.books.write(&change, origin).await? {
                return Ok(change.order_after());
            }
        }
    }

    /// From `closing` to `closed`, unless a payment arrived meanwhile.
    async fn end(
        &self,
        mut order: Order,
        request_id: Option<&RequestId>,
        origin: &Origin,
    ) -> Result<Order, CloseError> {
        let mut rounds = self.books.rounds();
        loop {
            rounds.begin().await?;
            if rounds.is_another() {
                order = self.reread(order).await?;
            }
            if order.state != OrderState::Closing {
                return Ok(order);
            }
            let context = self.books.context(origin).with_request_id(request_id);
            let change = OrderChange::new(&order, OrderState::Closed, &context);
            if self.books.write(&change, origin).await? {
                return Ok(change.order_after());
            }
        }
    }

    async fn reread(&self, order: Order) -> Result<Order, CloseError> {
        Ok(self
            .books
            .orders
            .read(&order.order_no)
            .await?
            .unwrap_or(order))
    }
}
