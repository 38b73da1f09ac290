//! What a later release is assumed to add: a member that no release has, in every item and every
//! message that this release wrote.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testbed::environment::{REQUESTS, RESULTS, WEBHOOKS, WORK};

use crate::engine::{call::Function, deployment::Deployment, release::Release};

/// What is added.
const MARK: &str = "added_later";

/// Where an item is: its table, `pk` and `sk`.
type Place = (String, String, String);

/// The items that have the mark, and those that lost it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    on: BTreeSet<Place>,
    lost: Vec<String>,
    /// How many writes the tables had when they were read last.
    writes: u64,
}

impl Marks {
    pub(super) fn lost(&self) -> &[String] {
        &self.lost
    }

    /// Checks for marks that were lost in an invocation of `release`. If it was one of this
    /// release, whatever has no mark gets one.
    pub(super) fn check(&mut self, deployment: &Deployment, function: Function, release: Release) {
        if release == Release::This {
            mark_messages(deployment);
        }
        if self.writes == deployment.cloud.writes() {
            return;
        }
        let tables = &deployment.tables;
        let mut there = BTreeSet::new();
        for table in [
            &tables.orders,
            &tables.notices,
            &tables.keys,
            &tables.reconciliation,
        ] {
            for item in deployment.cloud.scan(table) {
                let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
                let place = (table.clone(), text("pk"), text("sk"));
                // Of a day, only differences are carried on from run to run: as records.
                let of_a_day = *table == tables.reconciliation;
                if of_a_day && !place.2.starts_with("difference#") {
                    continue;
                }
                let record = of_a_day.then(|| record(&item)).flatten();
                let has_mark = match &record {
                    Some(record) => record.get(MARK).is_some(),
                    None => item.get(MARK).is_some(),
                };
                if !has_mark && self.on.remove(&place) {
                    self.lost.push(format!(
                        "{} of {} release lost {MARK} of {} {} {}",
                        function.name(),
                        release.name(),
                        place.0,
                        place.1,
                        place.2
                    ));
                }
                if !has_mark && release == Release::This {
                    mark(deployment, &place, record);
                    self.on.insert(place.clone());
                }
                there.insert(place);
            }
        }
        self.on.retain(|place| there.contains(place));
        self.writes = deployment.cloud.writes();
    }
}

/// The record in an item, if it has one.
fn record(item: &Value) -> Option<Value> {
    serde_json::from_str(item["body"]["S"].as_str()?).ok()
}

fn mark(deployment: &Deployment, (table, pk, sk): &Place, record: Option<Value>) {
    let (name, value) = match record {
        Some(mut record) => {
            record[MARK] = json!({"by": "a later release"});
            ("body", record.to_string())
        }
        None => (MARK, "by a later release".to_owned()),
    };
    let mut key = json!({"pk": {"S": pk}});
    if !sk.is_empty() {
        key["sk"] = json!({"S": sk});
    }
    deployment.cloud.update(&json!({
        "TableName": table,
        "Key": key,
        "UpdateExpression": "SET #name = :value",
        "ExpressionAttributeNames": {"#name": name},
        "ExpressionAttributeValues": {":value": {"S": value}},
    }));
}

fn mark_messages(deployment: &Deployment) {
    for url in [REQUESTS, RESULTS, WEBHOOKS, WORK] {
        deployment.cloud.queues().rewrite(url, |body| {
            let Ok(Value::Object(mut message)) = serde_json::from_str(body) else {
                return body.to_owned();
            };
            if message.contains_key(MARK) {
                return body.to_owned();
            }
            message.insert(MARK.to_owned(), json!({"by": "a later release"}));
            if let Some(Value::Object(detail)) = message.get_mut("detail") {
                detail.insert(MARK.to_owned(), json!({"by": "a later release"}));
            }
            Value::Object(message).to_string()
        });
    }
}
