//! Accepting a refund: its money is reserved, and a message goes to the queue.

use payments::{
    model::{
        ids::{ClientId, OrderNo},
        journal::ChangeContext,
        permissions::{AboveLimit, AmountLimits},
        refund::Refund,
    },
    rules::{
        change::{OrderChange, RefundChange},
        reserve_refund::{self, RefundRejected, RefundRequest},
    },
};
use stores::order_table::{TableError, refunds::RefundBasis};

use super::flow::{RefundError, RefundFlow};
use crate::origin::Origin;

/// Result of a refund request.
#[derive(Clone, Debug, PartialEq)]
pub enum ReserveRefundOutcome {
    /// Its money is reserved; the queue continues.
    Reserved(Box<Refund>),
    /// It was requested before; this is its present state.
    AlreadyReserved(Box<Refund>),
    /// Another refund of the order has this number.
    NumberReused,
    /// This client has no such order.
    OrderNotFound,
    /// The rules do not allow it.
    Rejected(RefundRejected),
    /// The rules allow it, and the key that asks may not ask for so much alone.
    AboveLimit(AboveLimit),
}

/// Who asks for a refund.
#[derive(Clone, Copy, Debug)]
pub struct RefundBy<'a> {
    /// The client whose order it has to be.
    pub client: &'a ClientId,
    /// Those of the client's key; none where two persons approved the refund.
    pub limits: &'a AmountLimits,
}

impl RefundFlow {
    /// Accepts a client's refund: reserves its money and sends a message to the queue.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn reserve(
        &self,
        by: RefundBy<'_>,
        order_no: &OrderNo,
        wanted: &RefundRequest,
        origin: &Origin,
    ) -> Result<ReserveRefundOutcome, RefundError> {
        let books = &self.books;
        let mut rounds = books.rounds();
        loop {
            rounds.begin().await?;
            let context = books.context(origin);
            let (order, known) = futures_util::try_join!(
                books.orders.read(order_no),
                books.orders.refund(order_no, &wanted.refund_no)
            )?;
            let parked = match &wanted.terms.transaction_id {
                Some(id) => books.orders.parked_payment(order_no, id).await?,
                None => None,
            };
            let basis = RefundBasis {
                order,
                refund: known,
                parked,
            };
            let change = match self.accept_or_reject(by, wanted, basis, &context).await? {
                Ok(change) => change,
                Err(
                    known @ (ReserveRefundOutcome::Reserved(_)
                    | ReserveRefundOutcome::AlreadyReserved(_)
                    | ReserveRefundOutcome::NumberReused),
                ) => {
                    return Ok(known);
                }
                // If a concurrent duplicate commits between these reads, some of them show it and
                // some do not, and this request would be rejected because of its own money. So a
                // rejection is only based on reads of one moment (a transaction).
                Err(
                    ReserveRefundOutcome::OrderNotFound
                    | ReserveRefundOutcome::Rejected(_)
                    | ReserveRefundOutcome::AboveLimit(_),
                ) => {
                    let transaction_id = wanted.terms.transaction_id.as_ref();
                    let at_once = books
                        .orders
                        .refund_basis(order_no, &wanted.refund_no, transaction_id)
                        .await;
                    let basis = match at_once {
                        Err(TableError::Conflict) => continue,
                        basis => basis?,
                    };
                    match self.accept_or_reject(by, wanted, basis, &context).await? {
                        Ok(change) => change,
                        Err(taken) => return Ok(taken),
                    }
                }
            };
            if books.write(&change, origin).await?
                && let Some(RefundChange::New(refund)) = change.refund
            {
                return Ok(ReserveRefundOutcome::Reserved(refund));
            }
        }
    }

    /// The write that accepts a refund, or why it is rejected.
    async fn accept_or_reject(
        &self,
        by: RefundBy<'_>,
        wanted: &RefundRequest,
        basis: RefundBasis,
        context: &ChangeContext,
    ) -> Result<Result<OrderChange, ReserveRefundOutcome>, TableError> {
        let Some(order) = basis.order.filter(|order| order.client_id == *by.client) else {
            return Ok(Err(ReserveRefundOutcome::OrderNotFound));
        };
        if let Some(refund) = basis.refund {
            return Ok(Err(if refund.fingerprint == wanted.terms.fingerprint() {
                ReserveRefundOutcome::AlreadyReserved(Box::new(refund))
            } else {
                ReserveRefundOutcome::NumberReused
            }));
        }
        let had_refunds = order.refunds.count > 0;
        let earlier = if had_refunds || reserve_refund::asks_for_owed_money(&order, wanted) {
            self.books.orders.refunds(&order.order_no).await?
        } else {
            Vec::new()
        };
        if let Some(refund) = reserve_refund::taken_back(&order.order_no, wanted, &earlier) {
            let is_same = refund.amount == wanted.terms.amount;
            return Ok(Err(if is_same {
                ReserveRefundOutcome::AlreadyReserved(Box::new(refund.clone()))
            } else {
                ReserveRefundOutcome::NumberReused
            }));
        }
        let (parked, notify_url) = (basis.parked.as_ref(), &self.books.facts.notify_url);
        let change = reserve_refund::reserve(&order, parked, &earlier, wanted, notify_url, context);
        // Last, so that who asks learns of a limit only where it is all that stands in the way.
        Ok(
            match (change, by.limits.allow_refund(wanted.terms.amount)) {
                (Ok(change), Ok(())) => Ok(change),
                (Ok(_), Err(above)) => Err(ReserveRefundOutcome::AboveLimit(above)),
                (Err(rejected), _) => Err(ReserveRefundOutcome::Rejected(rejected)),
            },
        )
    }
}
