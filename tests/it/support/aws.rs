//! What tests read from AWS's engines.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use testbed::AwsEngines;

/// For how long the functions hid messages that failed, in seconds, in order.
pub(crate) struct HiddenTimes(pub(crate) AwsEngines);

impl HiddenTimes {
    /// The times so far.
    pub(crate) fn times_s(&self) -> Vec<i64> {
        self.0.queues().hidden_s()
    }
}

/// A table's content as plain text, to search for what must or must not be there.
pub(crate) async fn items(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    key: &str,
    prefix: &str,
) -> Vec<BTreeMap<String, String>> {
    let scanned = client
        .scan()
        .table_name(table)
        .send()
        .await
        .expect("a scan");
    let plain = |value: &AttributeValue| {
        let text = value.as_s().or_else(|_| value.as_n()).cloned();
        text.unwrap_or_else(|other| format!("{other:?}"))
    };
    let items = scanned.items().iter().map(|item| {
        item.iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<BTreeMap<_, _>>()
    });
    items
        .filter(|item| item.get(key).is_some_and(|value| value.starts_with(prefix)))
        .collect()
}
