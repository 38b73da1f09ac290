//! The page for ERROR lines, row by row: each line is brought about, has the fields that the page's
//! query shows, and what its row promises comes true. A message of the page without a stage fails
//! the test, and so does a place in the code whose line no stage brings about.
//!
//! `stages` is the table of stages and lines; the stages have a file for each topic.

mod channels;
mod common;
mod days;
mod messages;
mod orders;
mod page;
mod refunds;
mod spans;
mod stages;
mod webhooks;
mod wechat_pay;

use std::{collections::BTreeSet, panic::AssertUnwindSafe};

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;

use crate::runbooks::error_places;
use common::named;
use page::{row_of, rows, shown};
use stages::{Line, STAGES};

#[tokio::test(flavor = "multi_thread")]
async fn each_line_that_calls_a_person_is_brought_about_and_says_what_the_page_promises() {
    let stages = STAGES.iter().map(async |(stage, lines)| {
        // One that fails has said why on standard error; the others still run.
        match AssertUnwindSafe(stage()).catch_unwind().await {
            Ok(all) => lines
                .iter()
                .flat_map(|line| amiss(line, &all))
                .collect::<Vec<_>>(),
            Err(_) => vec![format!("the stage of `{}` failed", lines[0].message)],
        }
    });
    let stages = stream::iter(stages).buffer_unordered(4);
    let amiss: Vec<Vec<String>> = stages.collect().await;
    let amiss = amiss.concat();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

/// What is wrong with a line that was to be among these.
fn amiss(line: &Line, all: &[Value]) -> Vec<String> {
    let mut found = named(all, line.message);
    found.retain(|one| one["target"] == line.module);
    if found.is_empty() {
        return vec![format!(
            "no line `{}` of {} in {all:#?}",
            line.message, line.module
        )];
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places = error_places();
    let of_no_row = all.iter().find(|one| {
        let place = (text(&one["target"]), text(&one["message"]));
        !places.contains(&place)
    });
    if let Some(one) = of_no_row {
        return vec![format!(
            "a line at ERROR that the page does not have: {one}"
        )];
    }
    let lacks = |one: &Value| {
        let fields = line.fields.iter().filter(|field| !one[**field].is_string());
        let lacking = fields.map(|field| format!("no {field} in {one}"));
        lacking.collect::<Vec<_>>()
    };
    let twice = all.iter().filter_map(|one| {
        let cause = said_twice(one["error"].as_str()?)?;
        Some(format!("`{cause}` is said twice in {one}"))
    });
    let twice: Vec<String> = twice.collect();
    found.into_iter().flat_map(lacks).chain(twice).collect()
}

/// A cause that a chain of causes has a second time.
fn said_twice(chain: &str) -> Option<&str> {
    let parts: Vec<&str> = chain.split(": ").collect();
    // Short ones are names, as of an operation.
    let long = parts.iter().enumerate().filter(|(_, part)| part.len() > 20);
    let mut again = long.filter(|(at, part)| parts[..*at].contains(part));
    again.next().map(|(_, part)| *part)
}

#[test]
fn a_chain_that_says_a_cause_twice_is_found() {
    let cause = "the table did not answer in time";
    assert_eq!(
        said_twice(&format!("not read: {cause}: {cause}")),
        Some(cause)
    );
    assert_eq!(said_twice(&format!("not read: {cause}: timed out")), None);
}

#[test]
fn each_place_that_logs_at_error_has_a_stage_and_a_row_with_what_its_stage_shows() {
    let lines = || STAGES.iter().flat_map(|(_, lines)| lines.iter());
    let staged: BTreeSet<(String, String)> = lines()
        .map(|line| (line.module.to_owned(), line.message.to_owned()))
        .collect();
    let places = error_places();
    assert!(places.len() > 25, "{places:?}");
    assert_eq!(places, staged, "places in the code, and stages");
    let (rows, shown) = (rows(), shown());
    for line in lines() {
        let (_, row) = row_of(line.message);
        assert!(row.contains(line.row), "{}: {row}", line.message);
        for field in line.fields {
            assert!(shown.contains(*field), "the query does not show {field}");
        }
    }
    let messages: BTreeSet<&str> = lines().map(|line| line.message).collect();
    for (message, row) in &rows {
        let words = ["is not as documented", "cannot be read"];
        let is_staged = messages.contains(message.as_str()) || words.contains(&message.as_str());
        assert!(is_staged, "no stage of `{message}`: {row}");
    }
}
