//! The journal of an order.

use payments::{
    model::{ids::OrderNo, journal::Event, order::Order},
    rules::webhook::OutgoingEvent,
};

use crate::attributes::text;

use super::{OrderTable, TableError, event_item, item, unavailable};

impl OrderTable {
    /// All events of an order and its parts, oldest first; none if there is no such order.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn journal(&self, order_no: &OrderNo) -> Result<Vec<Event>, TableError> {
        let mut events = Vec::new();
        // From `event#` to `order`, which hold the events; payments and refunds sort behind them.
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(self.pk(order_no)))
            .expression_attribute_values(":first", text("event#"))
            .expression_attribute_values(":last", text("order"))
            .consistent_read(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable("read the journal", error))?;
            for found in page.items() {
                events.extend(item::events(found)?);
            }
        }
        events.sort_by_key(|event| event.version);
        Ok(events)
    }

    /// One event of an order as it is sent to the merchant's systems; `None` if there is none with
    /// that version. An event of the order alone is embedded in its item; any other is an item with
    /// all published attributes.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn outgoing_event(
        &self,
        order: &Order,
        version: u64,
    ) -> Result<Option<OutgoingEvent>, TableError> {
        let sks = [event_item::event_sk(version), "order".to_owned()];
        for sk in sks {
            let got = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("pk", text(self.pk(&order.order_no)))
                .key("sk", text(sk))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| unavailable("read an event", error))?;
            let Some(found) = got.item() else { continue };
            let events = item::events(found)?;
            if let Some(event) = events.iter().find(|event| event.version == version) {
                return event_item::outgoing(found, order, event).map(Some);
            }
        }
        Ok(None)
    }
}
