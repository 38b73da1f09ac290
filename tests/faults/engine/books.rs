//! Our books as the plain JSON of the tables' items, read without the product's own code.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};
use testbed::MCHID;

use crate::engine::deployment::Deployment;

/// An item: attribute names and plain values.
pub(crate) type Item = Map<String, Value>;

/// Everything about orders.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// By order number.
    pub(crate) orders: BTreeMap<String, OrderRecords>,
    /// The ledger of notices.
    pub(crate) notices: Vec<Item>,
    /// What is kept of reconciled days, by date.
    pub(crate) days: BTreeMap<String, DayRecords>,
}

/// One reconciled day: what its items say in JSON.
#[derive(Debug, Default)]
pub(crate) struct DayRecords {
    /// The latest real run.
    pub(crate) run: Value,
    /// The latest preview.
    pub(crate) preview: Value,
    pub(crate) differences: Vec<Value>,
    /// The effects of differences on a run's sums, by the sort keys of their items.
    pub(crate) gaps: BTreeMap<String, Value>,
}

/// One order number's items.
#[derive(Debug, Default)]
pub(crate) struct OrderRecords {
    pub(crate) order: Option<Item>,
    /// By version.
    pub(crate) events: Vec<Item>,
    pub(crate) payments: Vec<Item>,
    pub(crate) refunds: Vec<Item>,
    /// Refunds that wait for an operator, since they contradict the books.
    pub(crate) parked_refunds: Vec<Item>,
}

impl Records {
    /// Everything as it is now. Scans are a tenth of a case's time, so they are made again only
    /// after a write.
    pub(crate) fn read(deployment: &Deployment) -> Arc<Self> {
        deployment.records(|| Self::scan(deployment))
    }

    fn scan(deployment: &Deployment) -> Self {
        let mut books = Self::default();
        let prefix = format!("order#{MCHID}#");
        for item in deployment
            .cloud
            .scan(&deployment.tables.orders)
            .iter()
            .map(plain_item)
        {
            let Some(number) = text(&item, "pk").strip_prefix(&prefix).map(str::to_owned) else {
                continue;
            };
            let book = books.orders.entry(number).or_default();
            let sk = text(&item, "sk").to_owned();
            match sk.split('#').next().unwrap_or_default() {
                "order" => {
                    book.events.extend(embedded_events(&item));
                    book.order = Some(item);
                }
                "event" => book.events.push(item),
                "payment" => book.payments.push(item),
                "refund" => book.refunds.push(item),
                "parked-refund" => book.parked_refunds.push(item),
                other => panic!("an item of a kind that the harness does not know: {other}"),
            }
        }
        books.notices = deployment
            .cloud
            .scan(&deployment.tables.notices)
            .iter()
            .map(plain_item)
            .collect();
        books.days = days(deployment);
        for book in books.orders.values_mut() {
            book.events.sort_by_key(|event| number(event, "version"));
        }
        books
    }

    /// The sweep's next check of an item, in Unix seconds, and whether the item is in progress
    /// rather than waiting for a payer. An item that waits for an operator waits, however often it
    /// is checked.
    pub(crate) fn due(&self) -> impl Iterator<Item = (i64, bool)> {
        let items = self
            .orders
            .values()
            .flat_map(|book| book.order.iter().chain(&book.refunds));
        // A succeeded refund that is still checked went to the merchant: it is logged for an
        // operator until its payer was paid.
        let items = items.filter(|item| !matches!(text(item, "state"), "abnormal" | "succeeded"));
        items.filter_map(|item| {
            let due_s = item.get("due_at")?.as_i64()?;
            Some((due_s, text(item, "state") != "awaiting_payment"))
        })
    }
}

impl DayRecords {
    /// The run's state, that of its fund side or of the preview, the number of differences, or the
    /// state of one: of this kind, and about this order.
    pub(crate) fn state(&self, what: &str) -> String {
        let of = |value: &Value| value["state"].as_str().unwrap_or("none").to_owned();
        match what.split_once(' ') {
            None if what.is_empty() => of(&self.run),
            None if what == "parts" => self.run["parts"].to_string(),
            None if what == "funds" => of(&self.run["funds"]),
            None if what == "preview" => of(&self.preview),
            None => self.differences.len().to_string(),
            Some((kind, order_no)) => {
                let is_it =
                    |one: &&Value| one["kind"] == kind && one["about"]["order_no"] == order_no;
                of(self.differences.iter().find(is_it).unwrap_or(&Value::Null))
            }
        }
    }
}

fn days(deployment: &Deployment) -> BTreeMap<String, DayRecords> {
    let mut days: BTreeMap<String, DayRecords> = BTreeMap::new();
    let prefix = format!("day#{MCHID}#");
    let scanned = deployment.cloud.scan(&deployment.tables.reconciliation);
    for item in scanned.iter().map(plain_item) {
        let of_the_list = ["followed#", "followed-from#"];
        if of_the_list
            .iter()
            .any(|of| text(&item, "pk").starts_with(of))
        {
            continue; // a list of differences, which are read by themselves, and a place in it
        }
        let date = text(&item, "pk").strip_prefix(&prefix).expect("a day");
        let day = days.entry(date.to_owned()).or_default();
        let body: Value = serde_json::from_str(text(&item, "body")).expect("JSON");
        let sk = text(&item, "sk");
        if sk.starts_with("gaps#") {
            day.gaps.insert(sk.to_owned(), body);
            continue;
        }
        assert_eq!(text(&item, "state"), body["state"], "states that differ");
        match sk.split('#').next().unwrap_or_default() {
            "run" if sk == "run#preview" => day.preview = body,
            "run" => day.run = body,
            "difference" => day.differences.push(body),
            other => panic!("an item of a kind that the harness does not know: {other}"),
        }
    }
    days
}

impl OrderRecords {
    pub(crate) fn state(&self) -> &str {
        self.order
            .as_ref()
            .map_or("none", |order| text(order, "state"))
    }
}

/// A text attribute; empty when there is none.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number attribute; 0 when there is none.
pub(crate) fn number(item: &Item, name: &str) -> i64 {
    item.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// The events that an order's item embeds, as items of events have them. An earlier version of it
/// has a map for each.
fn embedded_events(order: &Item) -> Vec<Item> {
    let mut events: Vec<Item> = Vec::new();
    let early = order.get("early_events").and_then(Value::as_array);
    for early in early.into_iter().flatten() {
        let event = if let Value::String(stored) = early {
            let stored: Value = serde_json::from_str(stored).expect("an event");
            let by = stored["by"].as_str().expect("a cause");
            let (cause_kind, cause_id) = by.split_once(':').expect("a kind and an id");
            let before = events.last().map_or(json!(""), |event| event["to"].clone());
            json!({
                "version": stored["v"],
                "subject": "order",
                "from": before,
                "to": stored["to"],
                "cause_kind": cause_kind,
                "cause_id": cause_id,
                "at": stored["at"],
                "trace": stored["trace"],
                "wechat_request_id": stored["wechat_request_id"],
                "decision": stored["decision"],
            })
        } else {
            early.clone()
        };
        events.extend(event.as_object().cloned());
    }
    if let Some(version) = order.get("event_version") {
        let mut latest = order.clone();
        latest.insert("version".to_owned(), version.clone());
        events.push(latest);
    }
    events
}

/// An item of DynamoDB's JSON as plain JSON. Binary values stay Base64.
fn plain_item(item: &Value) -> Item {
    let attributes = item.as_object().into_iter().flatten();
    attributes
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(digits)) => digits
            .parse()
            .map_or(Value::Null, |number: i64| number.into()),
        ("L", Value::Array(list)) => list.iter().map(plain).collect(),
        ("M", map) => Value::Object(plain_item(map)),
        ("NULL", _) => Value::Null,
        (_, inner) => inner.clone(),
    }
}
