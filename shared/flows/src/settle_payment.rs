//! Settles news about payments: a consistent read, a decision, one write. That an order is unpaid
//! changes nothing, so that news reads and writes nothing.

use payments::{
    model::{journal::ChangeContext, merchant::MerchantFacts, order::Order, parked::PaymentToPark},
    news::trade::TradeNotice,
    rules::{
        change::OrderChange,
        settle_trade::{self, Settlement},
    },
};
use stores::order_table::{ParkedStatus, TableError};
use tracing::error;
use wechatpay::RequestId;

use crate::{
    order_store::{OrderStore, OrderStoreError},
    origin::Origin,
};

/// Settles news about payments, from whatever source.
#[derive(Clone, Debug)]
pub struct SettleFlow(OrderStore);

/// What news did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettleOutcome {
    /// It changed the order.
    Changed,
    /// The order is already in this state.
    AlreadyDone,
    /// It changes nothing.
    StillOpen,
    /// The payment waits for an operator.
    Parked {
        /// What the operator must do.
        what_to_do: String,
        /// The id of the payment in the notices table.
        notice_id: String,
    },
}

/// The effect of news on an order.
type SettleRule = fn(&Order, &MerchantFacts, &TradeNotice, &ChangeContext) -> Settlement;

impl SettleFlow {
    /// Settles into these books.
    pub fn new(books: OrderStore) -> Self {
        Self(books)
    }

    /// Reads the order, lets the rules decide about the notice, and writes their decision. After a
    /// conflict with another transaction it reads and decides again; a conflict never counts as
    /// "already done".
    ///
    /// # Errors
    /// [`OrderStoreError`].
    pub async fn settle(
        &self,
        notice: &TradeNotice,
        origin: &Origin,
    ) -> Result<SettleOutcome, OrderStoreError> {
        // Most checks of unpaid orders end here, so they read no order.
        if settle_trade::is_still_open(notice) {
            return Ok(SettleOutcome::StillOpen);
        }
        self.settle_by(settle_trade::settle_trade, notice, origin)
            .await
    }

    /// The same for a payment under the number of an order that was never sent to WeChat Pay:
    /// another system of the merchant made it.
    ///
    /// # Errors
    /// [`OrderStoreError`].
    pub async fn settle_used_elsewhere(
        &self,
        notice: &TradeNotice,
        origin: &Origin,
    ) -> Result<SettleOutcome, OrderStoreError> {
        self.settle_by(settle_trade::settle_foreign_trade, notice, origin)
            .await
    }

    async fn settle_by(
        &self,
        rule: SettleRule,
        notice: &TradeNotice,
        origin: &Origin,
    ) -> Result<SettleOutcome, OrderStoreError> {
        let Self(books) = self;
        let mut rounds = books.rounds();
        loop {
            rounds.begin().await?;
            let found = books.orders.read(&notice.order_no).await?;
            let context = books
                .context(origin)
                .with_request_id(notice.request_id.as_ref());
            let settlement = match &found {
                Some(order) => rule(order, &books.facts, notice, &context),
                None => settle_trade::settle_unknown_trade(notice),
            };
            match settlement {
                Settlement::AlreadyDone => return Ok(SettleOutcome::AlreadyDone),
                Settlement::StillOpen => return Ok(SettleOutcome::StillOpen),
                Settlement::Park(parked) => {
                    if let Some(kept) = self.park(found.as_ref(), &parked, &context, origin).await?
                    {
                        log_parked(&parked, notice.request_id.as_ref(), kept);
                        return Ok(parked_outcome(&parked));
                    }
                }
                Settlement::Change(change) => {
                    // Whether or not it is stored there already.
                    let waits = change.parked.as_ref().map(parked_outcome);
                    let change = self.with_what_is_kept(*change, &context).await?;
                    if books.write(&change, origin).await? {
                        if let Some(parked) = &change.parked {
                            log_parked(parked, notice.request_id.as_ref(), ParkedStatus::Waiting);
                        }
                        return Ok(waits.unwrap_or(SettleOutcome::Changed));
                    }
                }
            }
        }
    }

    /// The change in the form that can be written: a parked record of its payment may exist, from
    /// before the order was known or from earlier news. Only rare changes need this look-up.
    async fn with_what_is_kept(
        &self,
        change: OrderChange,
        context: &ChangeContext,
    ) -> Result<OrderChange, TableError> {
        let Self(books) = self;
        let named = match (&change.parked, change.books()) {
            (Some(parked), _) => parked.transaction_id.clone(),
            (None, Some(payment)) if change.books_older_money() => payment.transaction_id.clone(),
            (None, _) => return Ok(change),
        };
        let kept = books.orders.kept(&change.from.order_no, &named).await?;
        Ok(match (kept, change.parked.is_some()) {
            (Some(_), true) => change.without_parking(),
            (Some(ParkedStatus::Waiting), false) => change.with_payment_unparked(&named, context),
            (Some(ParkedStatus::Decided), false) | (None, _) => change,
        })
    }

    /// Parks a payment once; `None` if the order changed meanwhile.
    async fn park(
        &self,
        order: Option<&Order>,
        parked: &PaymentToPark,
        context: &ChangeContext,
        origin: &Origin,
    ) -> Result<Option<ParkedStatus>, TableError> {
        let Self(books) = self;
        let Some(order) = order else {
            let kept = books.orders.park(parked, &context.cause, context.at);
            return match kept.await {
                Ok(kept) => Ok(Some(kept)),
                // Another process is parking it at this moment.
                Err(TableError::Conflict) => Ok(None),
                Err(other) => Err(other),
            };
        };
        let kept = books.orders.still_kept(parked, context.at).await?;
        if kept.is_some() {
            return Ok(kept);
        }
        let change = OrderChange::to_park(order, parked.clone(), context);
        Ok(books
            .write(&change, origin)
            .await?
            .then_some(ParkedStatus::Waiting))
    }
}

fn parked_outcome(parked: &PaymentToPark) -> SettleOutcome {
    SettleOutcome::Parked {
        what_to_do: parked.reason.to_string(),
        notice_id: parked.notice_id(),
    }
}

/// Logs that a payment waits for an operator, each time until it is decided.
fn log_parked(parked: &PaymentToPark, request_id: Option<&RequestId>, kept: ParkedStatus) {
    if kept == ParkedStatus::Waiting {
        error!(
            order_no = parked.order_no.as_str(),
            transaction_id = parked.transaction_id.as_str(),
            reason = parked.reason.name(),
            wechat_request_id = request_id.map(RequestId::as_str),
            what_to_do = %parked.reason,
            MoneyParked = 1,
            MoneyParkedFen = parked.amount.get(),
            "money parked for a person"
        );
    }
}
