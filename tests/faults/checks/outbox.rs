//! What leaves for the merchant's own systems: the table's stream, through the filters of the
//! deployed pipe.

use std::collections::BTreeMap;

use super::{Findings, field, journal::first_version};
use crate::engine::{
    books::{Records, number},
    deployment::Deployment,
    pipe::pipe,
};

/// Every change of an order passes the pipe, once, with all that the pipe takes from it.
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
        left.entry(field(&image["order_no"], "S").to_owned())
            .or_default()
            .push(version);
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
