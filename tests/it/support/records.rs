//! The records in the tables, read and changed past the functions.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::{journal::Event, order::Order};

use super::{MCHID, Testbed, aws, number};

impl Testbed {
    /// The order as the table has it.
    pub(crate) async fn order(&self, order_no: &str) -> Order {
        self.orders
            .read(&number(order_no))
            .await
            .expect("a table")
            .expect("an order")
    }

    /// The order's journal.
    pub(crate) async fn journal(&self, order_no: &str) -> Vec<Event> {
        self.orders
            .journal(&number(order_no))
            .await
            .expect("a table")
    }

    /// The tables' engine, for changes that no function makes.
    pub(crate) fn dynamo(&self) -> aws_sdk_dynamodb::Client {
        self.engines.aws().dynamodb()
    }

    /// Deletes an order here, so that WeChat Pay has it as another system's would be.
    pub(crate) async fn forget(&self, order_no: &str) {
        let deleted = self
            .dynamo()
            .delete_item()
            .table_name(&self.tables.orders)
            .key("pk", AttributeValue::S(format!("order#{MCHID}#{order_no}")))
            .key("sk", AttributeValue::S("order".to_owned()))
            .send()
            .await;
        deleted.expect("a table");
    }

    /// Sets an attribute of a client's key, or removes it.
    pub(crate) async fn set_key_attribute(
        &self,
        keyid: &str,
        attribute: &str,
        to: Option<AttributeValue>,
    ) {
        let update = self
            .dynamo()
            .update_item()
            .table_name(&self.tables.keys)
            .key("pk", AttributeValue::S(format!("client#{keyid}")))
            .expression_attribute_names("#a", attribute);
        let update = match to {
            Some(to) => update
                .update_expression("SET #a = :to")
                .expression_attribute_values(":to", to),
            None => update.update_expression("REMOVE #a"),
        };
        update.send().await.expect("a table");
    }

    /// Removes an attribute from an order's item.
    pub(crate) async fn damage(&self, order_no: &str, attribute: &str) {
        let damaged = self
            .dynamo()
            .update_item()
            .table_name(&self.tables.orders)
            .key("pk", AttributeValue::S(format!("order#{MCHID}#{order_no}")))
            .key("sk", AttributeValue::S("order".to_owned()))
            .update_expression("REMOVE #a")
            .expression_attribute_names("#a", attribute)
            .send()
            .await;
        damaged.expect("a table");
    }

    /// Everything in the ledger of notices.
    pub(crate) async fn notices(&self) -> Vec<BTreeMap<String, String>> {
        aws::items(&self.dynamo(), &self.tables.notices, "pk", "").await
    }

    /// Deletes everything about an order, as a restore from before it does.
    pub(crate) async fn restore_from_before(&self, order_no: &str) {
        let client = self.dynamo();
        for item in self.items("").await {
            if item["pk"].ends_with(&format!("#{order_no}")) {
                let key = |name: &str| AttributeValue::S(item[name].clone());
                let gone = client
                    .delete_item()
                    .table_name(&self.tables.orders)
                    .key("pk", key("pk"))
                    .key("sk", key("sk"))
                    .send();
                gone.await.expect("a table");
            }
        }
    }

    /// All items of the tables that functions write.
    pub(crate) async fn all_items(&self) -> Vec<BTreeMap<String, String>> {
        let tables = &self.tables;
        let mut all = Vec::new();
        for table in [
            &tables.orders,
            &tables.guards,
            &tables.notices,
            &tables.reconciliation,
        ] {
            all.extend(aws::items(&self.dynamo(), table, "pk", "").await);
        }
        all
    }

    /// The bodies of all messages that are or were in a queue, with the queues' URLs.
    pub(crate) fn all_messages(&self) -> Vec<(String, String)> {
        let queues = self.engines.queues();
        let taken = queues.taken().into_iter();
        let taken = taken.map(|(url, body)| (url.to_owned(), body.to_owned()));
        let there = queues.waiting().into_iter().chain(queues.dead());
        let there = there.map(|(url, message)| (url.to_owned(), message.body.clone()));
        taken.chain(there).collect()
    }

    /// All items of the orders table whose sort key begins like this.
    pub(crate) async fn items(&self, sk_prefix: &str) -> Vec<BTreeMap<String, String>> {
        aws::items(&self.dynamo(), &self.tables.orders, "sk", sk_prefix).await
    }
}
