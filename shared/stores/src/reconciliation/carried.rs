//! Trades near midnight that wait for the next day's bill.

use aws_sdk_dynamodb::operation::{put_item::PutItemError, update_item::UpdateItemError};
use payments::{model::bill_date::BillDate, reconcile::carried::CarriedTrade};

use super::{ReconciliationError, ReconciliationTable, item, unavailable};
use crate::attributes::text;

impl ReconciliationTable {
    /// Leaves a trade to the next day's run. One that the next day has reconciled already stays so:
    /// `false`.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn carry(&self, carried: &CarriedTrade) -> Result<bool, ReconciliationError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::carried(self.pk(carried.date), carried)))
            .condition_expression("attribute_not_exists(pk) OR #state = :waiting")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":waiting", text(item::carried_state(false)))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(unavailable("carry a trade", error)),
        }
    }

    /// All trades that were left to a day's run, reconciled or not, in the order of their ids. Read
    /// consistently.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn carried(&self, date: BillDate) -> Result<Vec<CarriedTrade>, ReconciliationError> {
        const PAGE: i32 = 500;
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let (found, next) = self
                .list("list carried trades", date, item::CARRIED, from, PAGE)
                .await?;
            for found in &found {
                all.push(item::read_carried(found)?);
            }
            if next.is_none() {
                return Ok(all);
            }
            from = next;
        }
    }

    /// Records that the day's run has decided about a carried trade. Does nothing if there is none.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn settle_carried(
        &self,
        date: BillDate,
        id: &str,
    ) -> Result<(), ReconciliationError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(date, format!("{}{id}", item::CARRIED))))
            .update_expression("SET #state = :settled")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":settled", text(item::carried_state(true)))
            .send()
            .await;
        match update {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(unavailable("settle a carried trade", error)),
        }
    }
}
