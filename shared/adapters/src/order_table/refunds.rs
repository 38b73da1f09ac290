//! Reading refunds. They are written by [`OrderTable::apply`], with their order.

use payments::{
    ids::{OrderNo, OutRefundNo, RefundNo},
    refund::Refund,
};

use super::{OrderTable, TableError, refund_item, text, unavailable};

impl OrderTable {
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
            .key("sk", text(refund_item::sk(refund_no)))
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
            .expression_attribute_values(":refund", text(refund_item::SK_PREFIX))
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

    /// The refund of an order that WeChat Pay knows by this number. Its refunds are few, so they are all read.
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
