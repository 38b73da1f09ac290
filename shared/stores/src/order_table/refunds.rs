//! Reading refunds. They are written by [`OrderTable::apply`], with their order.

use aws_sdk_dynamodb::{
    operation::transact_get_items::TransactGetItemsError,
    types::{Get, TransactGetItem},
};
use payments::model::{
    ids::{OrderNo, OutRefundNo, RefundNo, TransactionId},
    order::Order,
    parked::ParkedPayment,
    refund::Refund,
};

use crate::attributes::text;

use super::{OrderTable, TableError, item, keys, refund_item, unavailable};

/// The records that decide whether a requested refund is accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefundBasis {
    pub order: Option<Order>,
    /// The refund of that number, if it was asked for before.
    pub refund: Option<Refund>,
    /// The payment that is not the order's booked one, if such a one was named.
    pub parked: Option<ParkedPayment>,
}

impl OrderTable {
    /// The basis as it stood at one moment. Reads after one another are not enough: a transaction
    /// that commits between them shows in some and not in others, and while it commits even a later
    /// consistent read may still show what was before (DynamoDB's "isolation levels": only a
    /// transaction reads several items as of one moment).
    ///
    /// # Errors
    /// [`TableError`]; [`TableError::Conflict`] while a write to one of them is under way.
    pub async fn refund_basis(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
        transaction_id: Option<&TransactionId>,
    ) -> Result<RefundBasis, TableError> {
        let keys = [
            Some(keys::ORDER_SK.to_owned()),
            Some(keys::refund_sk(refund_no)),
            transaction_id.map(keys::payment_sk),
        ];
        let mut reads = Vec::new();
        for sk in keys.into_iter().flatten() {
            let get = Get::builder()
                .table_name(&self.table)
                .key("pk", text(self.pk(order_no)))
                .key("sk", text(sk))
                .build()?;
            reads.push(TransactGetItem::builder().get(get).build());
        }
        let sent = self
            .client
            .transact_get_items()
            .set_transact_items(Some(reads))
            .send()
            .await;
        let got = match sent {
            Ok(got) => got,
            Err(error) => {
                return Err(match error.as_service_error() {
                    Some(TransactGetItemsError::TransactionCanceledException(cancelled))
                        if cancelled
                            .cancellation_reasons()
                            .iter()
                            .any(|reason| reason.code() == Some("TransactionConflict")) =>
                    {
                        TableError::Conflict
                    }
                    Some(_) | None => unavailable("read what decides about a refund", error),
                });
            }
        };
        // One result per key, in the same order.
        let at = |at: usize| got.responses().get(at).and_then(|one| one.item());
        Ok(RefundBasis {
            order: at(0).map(item::read).transpose()?,
            refund: at(1).map(refund_item::read).transpose()?,
            parked: at(2).map(item::parked_payment).transpose()?,
        })
    }

    /// Reads a refund consistently.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn refund(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
    ) -> Result<Option<Refund>, TableError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(order_no)))
            .key("sk", text(keys::refund_sk(refund_no)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read a refund", error))?;
        got.item().map(refund_item::read).transpose()
    }

    /// All refunds of an order, read consistently, the oldest first. WeChat Pay takes 50 at most.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn refunds(&self, order_no: &OrderNo) -> Result<Vec<Refund>, TableError> {
        let mut refunds = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :refund)")
            .expression_attribute_values(":pk", text(self.pk(order_no)))
            .expression_attribute_values(":refund", text(keys::REFUND_SK_PREFIX))
            .consistent_read(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable("list refunds", error))?;
            for found in page.items() {
                refunds.push(refund_item::read(found)?);
            }
        }
        refunds.sort_by_key(|refund| refund.created_at);
        Ok(refunds)
    }

    /// The refund of an order that WeChat Pay has under this number. Its refunds are few, so they
    /// are all read.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn refund_known_as(
        &self,
        order_no: &OrderNo,
        out_refund_no: &OutRefundNo,
    ) -> Result<Option<Refund>, TableError> {
        let refunds = self.refunds(order_no).await?;
        Ok(refunds
            .into_iter()
            .find(|refund| refund.out_refund_no == *out_refund_no))
    }
}
