//! Shared by all parts of the flow: its dependencies, outcomes and errors, and reading a refund
//! with its order.

use payments::model::{
    ids::{OrderNo, RefundNo},
    order::Order,
    refund::Refund,
};
use stores::{
    guards::{Guards, GuardsError},
    order_table::TableError,
};
use wechat_client::api::{NotSent, WechatApi};
use wechatpay::sensitive::EncryptFieldError;

use crate::{
    order_store::{OrderStore, OrderStoreError, Rounds},
    problem::Problem,
    settle_payment::SettleOutcome,
};

/// Gets refunds done.
#[derive(Clone, Debug)]
pub struct RefundFlow {
    pub(super) books: OrderStore,
    pub(super) wechat: WechatApi,
    pub(super) guards: Guards,
}

/// Result of processing a refund.
#[derive(Clone, Debug, PartialEq)]
pub enum Advanced {
    /// There was nothing to do: it is not due, no longer due, or another process is working on it.
    NotOurs,
    /// Its state changed.
    Moved,
    /// It is in progress, or WeChat Pay has not decided yet. It will be checked again.
    Open,
    /// WeChat Pay did not answer, or refused temporarily. It is due again soon.
    Unanswered,
    /// WeChat Pay's answer contradicts the books; an operator must check it.
    Parked,
}

impl From<SettleOutcome> for Advanced {
    fn from(settled: SettleOutcome) -> Self {
        match settled {
            SettleOutcome::Changed => Self::Moved,
            SettleOutcome::AlreadyDone | SettleOutcome::StillOpen => Self::Open,
            SettleOutcome::Parked { .. } => Self::Parked,
        }
    }
}

/// Why processing a refund failed on our side. The refund is unchanged and due again.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The refund could not be read or written.
    #[error("the refund could not be read or written")]
    Books(#[from] OrderStoreError),
    /// The guards table failed.
    #[error("it could not be read whether refunds are paused")]
    Guards(#[from] GuardsError),
    /// The call could not be sent.
    #[error("WeChat Pay could not be called about the refund")]
    NotSent(#[from] NotSent),
    /// A refund that was made in WeChat Pay's console returns a payment that is not booked yet. The
    /// news must be processed again later.
    #[error("the refund is of a payment that is not booked yet")]
    PaymentNotBooked,
    /// A field of the payer's card could not be encrypted.
    #[error("a field of the card could not be encrypted for WeChat Pay")]
    Field(#[from] EncryptFieldError),
}

impl From<TableError> for RefundError {
    fn from(error: TableError) -> Self {
        Self::Books(error.into())
    }
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Self {
        Self::unavailable(&error)
    }
}

impl RefundFlow {
    /// Creates the flow over this order store and this client.
    pub fn new(books: OrderStore, wechat: WechatApi, guards: Guards) -> Self {
        Self {
            books,
            wechat,
            guards,
        }
    }

    /// Begins a round with a refund and its order as they are stored now.
    pub(super) async fn begin(
        &self,
        rounds: &mut Rounds<'_>,
        claimed: &Refund,
    ) -> Result<Option<(Order, Refund)>, RefundError> {
        rounds.begin().await?;
        Ok(self.both(&claimed.order_no, &claimed.refund_no).await?)
    }

    /// An order and one of its refunds.
    pub(super) async fn both(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
    ) -> Result<Option<(Order, Refund)>, TableError> {
        let (order, refund) = futures_util::try_join!(
            self.books.orders.read(order_no),
            self.books.orders.refund(order_no, refund_no)
        )?;
        Ok(order.zip(refund))
    }

    /// The stored refund after a decision.
    pub(super) async fn reread(&self, before: Refund) -> Result<Refund, RefundError> {
        let found = self
            .books
            .orders
            .refund(&before.order_no, &before.refund_no)
            .await?;
        Ok(found.unwrap_or(before))
    }
}
