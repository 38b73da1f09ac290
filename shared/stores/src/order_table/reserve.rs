//! Reserving an order's number.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure,
};
use payments::model::{journal::Event, order::Order};

use super::{OrderTable, ReserveOutcome, TableError, item, unavailable};

impl OrderTable {
    /// Reserves the order's number by one conditional write, its first event inside. A number that
    /// is taken comes back with the order that has it, in the same round trip.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn reserve(
        &self,
        order: &Order,
        event: &Event,
    ) -> Result<ReserveOutcome, TableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::write(order, &self.pk(&order.order_no), event)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            return Ok(ReserveOutcome::New);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                Ok(ReserveOutcome::Taken(Box::new(item::read(
                    found.item().unwrap_or(&HashMap::new()),
                )?)))
            }
            Some(_) | None => Err(unavailable("reserve", error)),
        }
    }
}
