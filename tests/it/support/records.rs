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

    /// All items of the orders table whose sort key begins like this.
    pub(crate) async fn items(&self, sk_prefix: &str) -> Vec<BTreeMap<String, String>> {
        aws::items(&self.dynamo(), &self.tables.orders, "sk", sk_prefix).await
    }
}
