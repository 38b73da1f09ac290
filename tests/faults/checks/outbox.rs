//! What leaves for the merchant's own systems: the table's stream, through the filters of the
//! deployed pipe.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Findings, field, journal::first_version};
use crate::engine::{
    books::{OrderRecords, Records, number, text},
    deployment::Deployment,
    pipe::pipe,
};

/// What an event says on its way and in the journal.
const SAID: [&str; 6] = ["from", "to", "cause_kind", "cause_id", "decision", "trace"];

/// Every change of an order passes the pipe, once, with all that the pipe takes from it, and says
/// what the journal says.
pub(super) fn every_change_leaves_once(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let pipe = pipe();
    let mut left: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in deployment.cloud.stream(&deployment.tables.orders) {
        if !pipe.passes(&record) {
            continue;
        }
        let image = &record["dynamodb"]["NewImage"];
        if let Some((name, _)) = pipe
            .taken
            .iter()
            .find(|(name, kind)| image[name][kind].is_null())
        {
            found.add(
                "every change leaves once",
                format!("an event without {name}: {image}"),
            );
        }
        let version = field(&image["version"], "N").parse().unwrap_or_default();
        let order_no = field(&image["order_no"], "S");
        if let Some(book) = books.orders.get(order_no) {
            says_what_the_journal_says(book, order_no, version, image, found);
        }
        left.entry(order_no.to_owned()).or_default().push(version);
    }
    for (order_no, book) in &books.orders {
        let Some(order) = &book.order else {
            continue;
        };
        let mut versions = left.remove(order_no).unwrap_or_default();
        versions.sort_unstable();
        let last = number(order, "version");
        let first = first_version(book);
        if !versions.iter().copied().eq(first..=last) {
            found.add(
                "every change leaves once",
                format!("{order_no} has {last} changes, and {versions:?} left"),
            );
        }
    }
}

fn says_what_the_journal_says(
    book: &OrderRecords,
    order_no: &str,
    version: i64,
    image: &Value,
    found: &mut Findings,
) {
    let mut events = book.events.iter();
    let Some(event) = events.find(|event| number(event, "version") == version) else {
        return; // the check of versions reports it
    };
    // Of an order of an earlier version the second event goes out under the first one's trace.
    let embeds = book
        .order
        .as_ref()
        .is_some_and(|order| order.contains_key("event_version"));
    for name in SAID.into_iter().filter(|name| embeds || *name != "trace") {
        let (left, kept) = (field(&image[name], "S"), text(event, name));
        if left != kept {
            found.add(
                "every change leaves as the journal has it",
                format!("{order_no}, version {version}: {name} left as {left:?}, and is {kept:?}"),
            );
        }
    }
}
