//! How a reconciled day is stored.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk` | `day#<mchid>#<date>`, the date as `2026-08-01`; `followed#<mchid>` of the list of refunds that are waited for |
//! | `sk` | `run`, `run#preview`, `difference#<id>`, `carried#<id>`, `gaps#<run id>#<part>#<attempt>#<number>` or `left#` and the same; in that list `<date>#<id>` of the difference |
//! | `state` | the run's or the difference's, by its name; of a carried trade `waiting` or `settled` |
//! | `kind` | of a difference, or `payment` and `refund` of a carried trade |
//! | `version` | counts the writes of a run or a difference; each is conditional on the one before. In the list, of the difference's |
//! | `amount_fen` | what a difference or a carried trade is about: WeChat Pay's amount, or ours where it has none |
//! | `body` | the whole as JSON: the types in `payments::reconcile` |
//!
//! `body` is what is read; the other attributes are for conditions, and for people who read the
//! table. Nothing here expires.
//!
//! An item is written as a whole. What a later version adds is a member of `body` or of a part of
//! it, beside the others: every write of a run or a difference keeps it (`WrittenLater`).

use std::collections::BTreeMap;

use matching::totals::Gaps;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        carried::CarriedTrade, day_runs::DayRuns, difference::Difference, run::Run,
        written_later::WrittenLater,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use strict_json::Null;

use crate::attributes::{Item, number, text, text_of};

use super::{error::ReconciliationError, tracked::TrackedDifference};

/// The sort key of a day's latest real run. Earlier versions wrote previews there too.
pub(super) const RUN_SK: &str = "run";
/// The sort key of its latest preview. Both have the same prefix, so that one query reads both.
pub(super) const PREVIEW_SK: &str = "run#preview";
/// What the sort keys of differences begin with.
pub(super) const DIFFERENCE: &str = "difference#";
/// What the sort keys of carried trades begin with.
pub(super) const CARRIED: &str = "carried#";

/// How the sort keys begin of items with the effect on the sums of the differences that one attempt
/// at a part of a run found.
pub(super) fn gaps_prefix(run_id: &str, part: u8, attempt: &str) -> String {
    format!("gaps#{run_id}#{part:03}#{attempt}#")
}

/// The same for trades that were left to the next day's bill.
pub(super) fn left_prefix(run_id: &str, part: u8, attempt: &str) -> String {
    format!("left#{run_id}#{part:03}#{attempt}#")
}

/// The sort key of an item of one of these two kinds.
pub(super) fn gaps_sk(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:06}")
}

/// An item of one of these two kinds.
pub(super) fn gaps(pk: String, sk: String, gaps: &BTreeMap<&String, &Gaps>) -> Item {
    Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(sk)),
        ("body".to_owned(), text(json(gaps))),
    ])
}

/// Reads an item of one of these two kinds.
pub(super) fn read_gaps(item: &Item) -> Result<BTreeMap<String, Gaps>, ReconciliationError> {
    body(item)
}

/// The item of a run.
pub(super) fn run(pk: String, run: &Run) -> Item {
    let sk = if run.dry_run { PREVIEW_SK } else { RUN_SK };
    Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(sk)),
        ("state".to_owned(), text(run.state.name())),
        ("version".to_owned(), number(run.version)),
        ("body".to_owned(), text(json_with(run, &run.later))),
    ])
}

/// The item of a difference.
pub(super) fn difference(pk: String, difference: &Difference) -> Item {
    let mut item = Item::from([
        ("pk".to_owned(), text(pk)),
        (
            "sk".to_owned(),
            text(format!("{DIFFERENCE}{}", difference.id)),
        ),
        ("state".to_owned(), text(difference.state.name())),
        ("kind".to_owned(), text(difference.kind.name())),
        ("version".to_owned(), number(difference.version)),
        (
            "body".to_owned(),
            text(json_with(difference, &difference.later)),
        ),
    ]);
    let sides = [&difference.there, &difference.here];
    let mut amounts = sides
        .into_iter()
        .filter_map(|side| side.as_ref()?.amount_fen);
    if let Some(amount_fen) = amounts.next() {
        item.insert("amount_fen".to_owned(), number(amount_fen));
    }
    item
}

/// The item of a carried trade.
pub(super) fn carried(pk: String, carried: &CarriedTrade) -> Item {
    Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(format!("{CARRIED}{}", carried.id))),
        ("state".to_owned(), text(carried_state(carried.settled))),
        ("kind".to_owned(), text(carried.trade.kind.name())),
        ("amount_fen".to_owned(), number(carried.trade.amount_fen)),
        ("body".to_owned(), text(json(carried))),
    ])
}

/// The sort key of a difference in the list of those that are tracked.
pub(super) fn tracked_sk(date: BillDate, id: &str) -> String {
    format!("{date}#{id}")
}

/// The item of a difference in that list.
pub(super) fn tracked(pk: String, difference: &Difference) -> Item {
    let sk = tracked_sk(difference.date, &difference.id);
    Item::from([
        ("pk".to_owned(), text(pk)),
        ("sk".to_owned(), text(sk)),
        ("version".to_owned(), number(difference.version)),
    ])
}

/// Reads an item of that list.
pub(super) fn read_tracked(item: &Item) -> Result<TrackedDifference, ReconciliationError> {
    let place = sk(item)?.split_once('#');
    let (date, id) = place.ok_or_else(|| damaged(item, "sk"))?;
    let version = item.get("version").and_then(|value| value.as_n().ok());
    Ok(TrackedDifference::new(
        BillDate::parse(date).map_err(|_| damaged(item, "sk"))?,
        id.to_owned(),
        version
            .and_then(|version| version.parse().ok())
            .ok_or_else(|| damaged(item, "version"))?,
    ))
}

/// The state of a carried trade.
pub(super) const fn carried_state(settled: bool) -> &'static str {
    if settled { "settled" } else { "waiting" }
}

/// Reads a run.
pub(super) fn read_run(item: &Item) -> Result<Run, ReconciliationError> {
    let run: Run = body(item)?;
    same_version(item, run.version)?;
    let later = later(item, &run);
    Ok(Run { later, ..run })
}

/// Parses the two items of a day's runs.
pub(super) fn read_day_runs(items: &[Item]) -> Result<DayRuns, ReconciliationError> {
    let (mut run, mut preview) = (None, None);
    for item in items {
        let place = match sk(item)? {
            RUN_SK => &mut run,
            PREVIEW_SK => &mut preview,
            _ => return Err(damaged(item, "sk")),
        };
        *place = Some(read_run(item)?);
    }
    Ok(DayRuns::new(run, preview))
}

/// Reads a difference.
pub(super) fn read_difference(item: &Item) -> Result<Difference, ReconciliationError> {
    let difference: Difference = body(item)?;
    same_version(item, difference.version)?;
    let later = later(item, &difference);
    Ok(Difference {
        later,
        ..difference
    }
    .with_mark_of_history())
}

/// Reads a carried trade.
pub(super) fn read_carried(item: &Item) -> Result<CarriedTrade, ReconciliationError> {
    let carried: CarriedTrade = body(item)?;
    let settled = match text_of(item, "state") {
        Some("waiting") => false,
        Some("settled") => true,
        Some(_) | None => return Err(damaged(item, "state")),
    };
    Ok(CarriedTrade { settled, ..carried })
}

/// The partition key of an item.
pub(super) fn pk(item: &Item) -> Result<&str, ReconciliationError> {
    text_of(item, "pk").ok_or_else(|| damaged(item, "pk"))
}

/// The sort key of an item.
pub(super) fn sk(item: &Item) -> Result<&str, ReconciliationError> {
    text_of(item, "sk").ok_or_else(|| damaged(item, "sk"))
}

/// `body` is decided on, `version` is what conditions compare: apart, a decision could be written
/// over another.
fn same_version(item: &Item, version: u64) -> Result<(), ReconciliationError> {
    let stored = item.get("version").and_then(|value| value.as_n().ok());
    if stored.is_some_and(|stored| *stored == version.to_string()) {
        Ok(())
    } else {
        Err(damaged(item, "version"))
    }
}

fn body<T: DeserializeOwned>(item: &Item) -> Result<T, ReconciliationError> {
    text_of(item, "body")
        .and_then(|json| strict_json::read(json.as_bytes(), Null::Absent).ok())
        .ok_or_else(|| damaged(item, "body"))
}

/// Serialising cannot fail: the types hold only texts, whole numbers and maps with text keys.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The same, with the members that a later version added.
fn json_with<T: Serialize>(value: &T, later: &WrittenLater) -> String {
    match serde_json::to_value(value) {
        Ok(mut written) if !later.is_empty() => {
            later.kept_in(&mut written);
            json(&written)
        }
        Ok(_) | Err(_) => json(value),
    }
}

/// The members of `body` that a later version added and this one does not know.
fn later<T: Serialize>(item: &Item, read: &T) -> WrittenLater {
    let json = text_of(item, "body");
    let stored: Option<serde_json::Value> = json.and_then(|json| serde_json::from_str(json).ok());
    let both = stored.zip(serde_json::to_value(read).ok());
    both.map_or_else(WrittenLater::default, |(stored, known)| {
        WrittenLater::beside(&stored, &known)
    })
}

fn damaged(item: &Item, attribute: &'static str) -> ReconciliationError {
    let part = |name| text_of(item, name).unwrap_or("?");
    ReconciliationError::Damaged {
        item: format!("{} {}", part("pk"), part("sk")),
        attribute,
    }
}
