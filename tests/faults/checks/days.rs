//! Reconciled days: each difference once, decided as shared/payments/STATES.md, 7 says, and money
//! that goes back once, with two persons behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::environment::EVIDENCE_BUCKET;
use wechatpay_simulator::{Refund, RefundStatus};

use super::{Findings, field};
use crate::engine::{books::Records, deployment::Deployment};

/// Where a difference's state may lead.
const STEPS: &[(&str, &[&str])] = &[
    ("", &["open"]),
    // Approved: a person redirects a refund without progress.
    (
        "open",
        &[
            "open",
            "proposed",
            "approved",
            "on_its_way",
            "repaired",
            "explained",
        ],
    ),
    // Open: its refund makes no progress, and nothing was decided.
    (
        "proposed",
        &[
            "proposed",
            "approved",
            "rejected",
            "repaired",
            "explained",
            "open",
        ],
    ),
    // Open: the approved action failed. Repaired: an order was restored, or the refund was quick.
    // Explained: the journal records how the payer was paid.
    ("approved", &["on_its_way", "repaired", "open", "explained"]),
    // Repaired: the money has arrived.
    ("on_its_way", &["on_its_way", "repaired", "open"]),
    // Open: a later run finds it with other amounts.
    ("rejected", &["proposed", "explained", "open"]),
    // A later run finds it again.
    ("repaired", &["open"]),
    // A person opened it again.
    ("explained", &["open"]),
];

/// Kinds of differences that are money to be given back.
const MONEY_OF_OTHERS: [&str; 2] = ["duplicate_payment", "unknown_order_there"];

/// The bills of a day's movements.
const FUND_BILLS: [&str; 3] = ["fund_basic", "fund_operation", "fund_fees"];

/// All differences, with their days.
fn differences(books: &Records) -> impl Iterator<Item = (&str, &Value)> {
    books
        .days
        .iter()
        .flat_map(|(date, day)| day.differences.iter().map(move |one| (date.as_str(), one)))
}

/// A difference for people.
fn name(date: &str, difference: &Value) -> String {
    let about = field(&difference["about"], "order_no");
    format!("{date} {} {about}", field(difference, "kind"))
}

/// However often a day is run, a difference is found once.
pub(super) fn every_difference_is_found_once(books: &Records, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (date, difference) in differences(books) {
        // The row may be another one: the thing is the same.
        let mut about = difference["about"].clone();
        if let Some(about) = about.as_object_mut() {
            about.remove("line");
        }
        if !seen.insert((date, field(difference, "kind"), about.to_string())) {
            found.add(
                "every difference is found once",
                format!("{} is there twice", name(date, difference)),
            );
        }
    }
}

/// Each step starts from the state of the previous one, no step is lost, and final states stay.
pub(super) fn differences_move_as_states_md_says(books: &Records, found: &mut Findings) {
    for (date, difference) in differences(books) {
        let steps = difference["history"].as_array().expect("steps");
        let mut before = "";
        for step in steps {
            let to = field(step, "to");
            let allowed = STEPS
                .iter()
                .find(|(state, _)| *state == before)
                .is_some_and(|(_, next)| next.contains(&to));
            if !allowed {
                found.add(
                    "a difference moves only as STATES.md says",
                    format!("{}: {before:?} -> {to:?}", name(date, difference)),
                );
            }
            before = to;
        }
        if before != field(difference, "state") || difference["version"] != steps.len() {
            found.add(
                "a difference moves only as STATES.md says",
                format!(
                    "{} is {} in version {}, after the steps {steps:?}",
                    name(date, difference),
                    difference["state"],
                    difference["version"]
                ),
            );
        }
    }
}

/// A finished side of a run has all its parts and bills, each bill is stored, and each counted
/// difference exists.
pub(super) fn a_day_is_done_when_all_of_it_is(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    const CHECK: &str = "a day is done when all of it is";
    for (date, day) in &books.days {
        let run = &day.run;
        if run["state"] != "done" {
            continue;
        }
        let funds = &run["funds"];
        let mut sides = vec![run];
        let mut bills = vec!["trade"];
        if funds["state"] == "done" {
            sides.push(funds);
            bills.extend(FUND_BILLS);
        }
        for side in &sides {
            let done = side["parts_done"].as_object().expect("parts");
            let parts = side["parts"].as_u64().unwrap_or_default();
            if !(0..parts).all(|part| done.contains_key(&part.to_string())) {
                found.add(CHECK, format!("{date} has {parts} parts, and {done:?}"));
            }
        }
        for bill in bills {
            let facts = &run["bills"][bill];
            let kept = match (facts["sha1"].as_str(), facts["kept_as"].as_str()) {
                (None, None) => facts["rows"] == 0,
                (Some(sha1), Some(key)) => {
                    key.contains(sha1) && deployment.cloud.file(EVIDENCE_BUCKET, key).is_some()
                }
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !kept {
                found.add(CHECK, format!("{date}: bill {bill} is {facts}"));
            }
        }
        let parts = sides
            .iter()
            .filter_map(|side| side["parts_done"].as_object());
        let counted: u64 = parts
            .flat_map(|done| done.values())
            .filter_map(|part| part["differences"].as_object())
            .flat_map(|counts| counts.values().filter_map(Value::as_u64))
            .sum();
        let there = day.differences.len();
        if usize::try_from(counted).is_ok_and(|counted| counted > there) {
            found.add(
                CHECK,
                format!("{date} counts {counted} differences, and {there} are there"),
            );
        }
    }
}

/// What is read of the differences of a run is what the try counted that ended each part of it:
/// a try that died before has counted what it repaired, too.
pub(super) fn the_effects_of_differences_on_the_sums_are_those_of_their_run(
    books: &Records,
    found: &mut Findings,
) {
    for (date, day) in &books.days {
        for run in [&day.run, &day.preview] {
            let parts = run["parts_done"].as_object();
            for (part, done) in parts.into_iter().flatten() {
                let (id, number) = (field(run, "id"), part.parse::<u8>().expect("a part"));
                let of_each = match done["gaps_of"].as_str() {
                    Some(attempt) => {
                        let prefix = format!("gaps#{id}#{number:03}#{attempt}#");
                        let items = day.gaps.iter().filter(|(sk, _)| sk.starts_with(&prefix));
                        sum_of_gaps(items.filter_map(|(_, item)| item.as_object()).flatten())
                    }
                    None => BTreeMap::new(),
                };
                let accounted_for = sum_of_gaps([(part, &done["told"])].into_iter());
                if of_each != accounted_for {
                    found.add(
                        "what differences make of the sums is what their run says",
                        format!(
                            "{date}, part {part} of {id}: {of_each:?} is not {accounted_for:?}"
                        ),
                    );
                }
            }
        }
    }
}

/// Totals of gaps, by product and by what is counted.
fn sum_of_gaps<'a>(
    all: impl Iterator<Item = (&'a String, &'a Value)>,
) -> BTreeMap<(&'a str, &'a str), i64> {
    let mut sums = BTreeMap::new();
    for (product, gap) in all.filter_map(|(_, gaps)| gaps.as_object()).flatten() {
        for (what, number) in gap.as_object().into_iter().flatten() {
            let sum: &mut i64 = sums.entry((product.as_str(), what.as_str())).or_default();
            *sum += number.as_i64().expect("a whole number");
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// The refunds of the payment that a difference is about, but those that came to nothing.
fn refunds_of<'a>(refunds: &'a [Refund], difference: &Value) -> Vec<&'a Refund> {
    let id = field(&difference["about"], "transaction_id");
    let is_it =
        |refund: &&Refund| refund.transaction_id == id && refund.status != RefundStatus::Closed;
    refunds.iter().filter(is_it).collect()
}

/// Whether two persons wanted the lost order restored, and no refund.
fn is_restored(difference: &Value) -> bool {
    difference["wanted"]["do"] == "take_on"
}

/// Whether a payment that is not ours may be refunded: two different persons approved it.
fn is_approved(difference: &Value) -> bool {
    let steps = difference["history"].as_array();
    let was_approved = steps
        .into_iter()
        .flatten()
        .any(|step| step["to"] == "approved");
    let persons: BTreeSet<&str> = steps
        .into_iter()
        .flatten()
        .filter(|step| step["to"] == "proposed" || step["to"] == "approved")
        .filter_map(|step| step["who"]["person"].as_str())
        .collect();
    was_approved && persons.len() >= 2
}

/// Money that a difference is about moves only when two different persons approved it.
pub(super) fn money_goes_back_only_with_two_persons(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let refunds = deployment.wechat().refunds();
    for (date, difference) in differences(books) {
        if MONEY_OF_OTHERS.contains(&field(difference, "kind"))
            && !is_approved(difference)
            && !refunds_of(&refunds, difference).is_empty()
        {
            found.add(
                "money goes back only with two persons behind it",
                format!("{} is given back", name(date, difference)),
            );
        }
    }
}

/// What two persons approved went back whole, by one refund.
pub(super) fn what_was_approved_went_back_once(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let refunds = deployment.wechat().refunds();
    let approved = |one: &Value| is_approved(one) && !is_restored(one);
    for (date, difference) in differences(books).filter(|(_, one)| approved(one)) {
        let back: Vec<_> = refunds_of(&refunds, difference)
            .iter()
            .map(|refund| (refund.status, refund.refund_fen))
            .collect();
        let amount_fen = difference["there"]["amount_fen"].as_i64();
        let once = match back.as_slice() {
            [(RefundStatus::Success, fen)] => Some(*fen) == amount_fen,
            _ => false,
        };
        if !once {
            found.add(
                "what was approved went back once",
                format!(
                    "{} of {amount_fen:?} fen went back as {back:?}",
                    name(date, difference)
                ),
            );
        }
    }
}

/// Once everything rests, a day has its end, and what was approved was carried out.
pub(super) fn nothing_is_left_half_way(books: &Records, found: &mut Findings) {
    for (date, day) in &books.days {
        let begun = !day.run.is_null();
        if begun && !["done", "failed"].contains(&field(&day.run, "state")) {
            let (state, trouble) = (&day.run["state"], &day.run["trouble"]);
            found.add(
                "nothing is left half way",
                format!("{date} is still {state}: {trouble}"),
            );
        }
        let funds = &day.run["funds"];
        if begun && !["done", "failed"].contains(&field(funds, "state")) {
            let (state, trouble) = (&funds["state"], &funds["trouble"]);
            found.add(
                "nothing is left half way",
                format!("the fund side of {date} is still {state}: {trouble}"),
            );
        }
    }
    for (date, difference) in differences(books) {
        let state = field(difference, "state");
        if ["approved", "on_its_way"].contains(&state) {
            found.add(
                "nothing is left half way",
                format!("{} is still {state}", name(date, difference)),
            );
        }
    }
}
