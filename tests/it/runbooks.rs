//! Incidents from the runbooks, reproduced: an operator sees what the page describes.

mod certificates;
mod days;
mod keys;
mod notices;
mod refunds;
mod sweeps;
mod wechat_down;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use payments::{reconcile::run::RunState, rules::retry::retry_after_s};
use serde_json::Value;
use stores::{
    keys_table::change::{AddedApiV3Key, MerchantChange},
    queues::ReconcileWork,
};
use tokio::net::TcpListener;
use wechatpay_simulator::{Damage, Endpoint, Fault, PayOptions, Rule, SigningMode};

use crate::support::{Lines, MAX_RECEIVE_COUNT, Testbed, TestbedOptions, native, start_wechat};

/// A page for on-call.
pub(crate) fn page(name: &str) -> String {
    let path = format!("{}/../infra/runbooks/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a page")
}

/// The row of a page's table that begins so.
pub(crate) fn row(page_name: &str, begins: &str) -> String {
    let page = page(page_name);
    let mut lines = page.lines();
    let row = lines.find(|line| line.starts_with(&format!("| {begins}")));
    row.unwrap_or_else(|| panic!("{page_name} has no row `{begins}`"))
        .to_owned()
}

/// The row of a page's table that begins so, which says all of this.
pub(crate) fn row_says(page_name: &str, begins: &str, words: &[&str]) {
    let row = row(page_name, begins);
    for words in words {
        assert!(
            row.contains(words),
            "{page_name}, `{begins}`: no `{words}` in {row}"
        );
    }
}

/// All files of Rust under a directory, but tests.
fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() && !matches!(name, Some("tests" | "fuzz" | "target")) {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// The messages that a file logs at ERROR: the last text of each `error!(...)`.
fn error_messages(source: &str) -> Vec<String> {
    let source = source.replace("compile_error!(", "");
    let calls = source.split("error!(").skip(1);
    let messages = calls.map(|call| {
        let (mut depth, mut in_text, mut text, mut last) = (1, false, String::new(), String::new());
        for letter in call.chars() {
            match letter {
                '"' if in_text => {
                    in_text = false;
                    last = std::mem::take(&mut text);
                }
                '"' => in_text = true,
                _ if in_text => text.push(letter),
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        last
    });
    messages.filter(|message| !message.is_empty()).collect()
}

/// The module that a file holds, as its lines name it: `functions/send-webhook/src/handler.rs` is
/// `send_webhook::handler`.
fn module_of(file: &Path) -> String {
    let names: Vec<&str> = file
        .iter()
        .map(|name| name.to_str().expect("text"))
        .collect();
    let src = names.iter().rposition(|name| *name == "src");
    let src = src.expect("a file of a crate");
    let mut path = vec![names[src - 1].replace('-', "_")];
    for name in &names[src + 1..] {
        match name.trim_end_matches(".rs") {
            "lib" | "main" | "mod" => {}
            module => path.push(module.to_owned()),
        }
    }
    path.join("::")
}

/// Each place in the code that logs at ERROR: its module and its message.
pub(crate) fn error_places() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for directory in ["functions", "shared"] {
        sources(&root.join(directory), &mut files);
    }
    let places = files.iter().flat_map(|file| {
        let module = module_of(file);
        let source = std::fs::read_to_string(file).expect("a file");
        let messages = error_messages(&source).into_iter();
        messages.map(move |message| (module.clone(), message))
    });
    places.collect()
}

/// The last line at ERROR with this message. (What asks both hosts has two.)
fn the_line(lines: &Lines, message: &str) -> Value {
    let errors = lines.take("ERROR");
    let mut reported = errors.iter().filter(|line| line["message"] == message);
    let line = reported.next_back();
    line.unwrap_or_else(|| panic!("no line `{message}`: {errors:?}"))
        .clone()
}

const REFUSED: &str = "callback refused: none of WeChat Pay's keys here verifies it";

const NOT_BELIEVED: &str = "an answer was not believed";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_try_can_finish_says_so_at_each_and_lies_unchanged_in_its_dead_letter_queue()
 {
    let testbed = Testbed::start().await;
    let lines = Lines::default();
    let by_hand = "somebody wrote this by hand";
    testbed.forge_result(by_hand).await;
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(lines.of(testbed.work_off()).await, 1);
        let errors = lines.take("ERROR");
        let messages: Vec<_> = errors.iter().map(|line| &line["message"]).collect();
        assert_eq!(messages, ["unknown message", "message needs a person"]);
    }
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    let [_, dead_results] = testbed.dead_letters().await;
    assert_eq!(dead_results, [by_hand]);
    let page = page("dead-letters.md");
    for words in ["received eight times", "`unknown message` in the log"] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_failed_eight_times_in_an_outage_is_done_when_it_is_moved_back() {
    let testbed = Testbed::start().await;
    let down = Rule::always(Fault::ServerErrorBefore { status: 502 });
    testbed.wechat.admin().add_fault(down).unwrap();
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 202);
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(testbed.work_off().await, 1);
    }
    assert_eq!(testbed.work_off().await, 0);
    let [dead_requests, _] = testbed.dead_letters().await;
    let [request] = &dead_requests[..] else {
        panic!("one request: {dead_requests:?}");
    };
    testbed.wechat.admin().clear_faults(None);
    testbed.advance(Duration::from_secs(600)).await;
    testbed.forge_request(request).await;
    assert_eq!(testbed.work_off().await, 0);
    let state = testbed.order("ORDER-1").await.state.name().to_owned();
    assert_eq!(state, "awaiting_payment");
    // And once more, as it may come.
    testbed.forge_request(request).await;
    assert_eq!(testbed.work_off().await, 0);
    row_says(
        "dead-letters.md",
        "`payment-requests-dlq`",
        &["\"do this order\"", "nothing is lost"],
    );
    assert!(
        page("dead-letters.md").contains("`payment-requests`, `webhooks` and `reconcile-work`")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_during_an_outage_is_tried_for_eleven_hours_and_done_when_its_orders_time_is_over()
 {
    let pauses = (1..=u32::try_from(MAX_RECEIVE_COUNT).expect("a few")).map(retry_after_s);
    let hours = (pauses.sum::<i32>() + 1_800) / 3_600;
    assert_eq!(hours, 11);
    let page = page("wechat-down.md");
    for words in [
        "a request is tried for some eleven hours",
        "when its order's time is over (two hours by default)",
        "If it lasts for eleven hours",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let testbed = Testbed::start().await;
    let down = Rule::always(Fault::ServerErrorBefore { status: 502 });
    testbed.wechat.admin().add_fault(down).unwrap();
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 202);
    for minutes in [0, 1, 118] {
        testbed.clock.advance(Duration::from_secs(minutes * 60));
        assert_eq!(testbed.work_off().await, 1, "after {minutes} more minutes");
    }
    testbed.clock.advance(Duration::from_secs(60));
    assert_eq!(testbed.work_off().await, 0);
    let [dead_requests, _] = testbed.dead_letters().await;
    assert!(dead_requests.is_empty(), "{dead_requests:?}");
}

/// A day with two orders, at half past ten of the next one.
async fn a_day(testbed: &Testbed) -> payments::model::bill_date::BillDate {
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid("ORDER-2").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_waits_and_one_whose_bill_is_of_no_use_say_so_in_their_trouble() {
    for (fault, says, begins, words) in [
        (
            Fault::StatementCreating,
            "still makes the bill",
            "`waiting`; in our console red",
            "it is requested every half hour",
        ),
        (
            Fault::WrongHash,
            "is of no use",
            "`waiting`, and the `trouble` says that a bill is of no use",
            "it is fetched again in half an hour",
        ),
    ] {
        let testbed = Testbed::start().await;
        let day = a_day(&testbed).await;
        testbed
            .wechat
            .admin()
            .add_fault(Rule::always(fault))
            .unwrap();
        testbed.begin_day(day, false).await;
        assert_eq!(testbed.work_off_days().await, 1, "it comes again");
        let run = testbed.run_of(day).await;
        assert_eq!(run.state, RunState::Waiting);
        assert_eq!(run.waits_for_usable_bill, says == "is of no use");
        let trouble = run.trouble.expect("words");
        assert!(trouble.contains(says), "{trouble}");
        row_says("reconciliation.md", begins, &[words]);
        let again_s = testbed.hidden.times_s().last().copied();
        assert_eq!(again_s, Some(1_800), "every half hour");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_split_day_that_waits_shows_in_the_days_state_and_the_others_go_on() {
    let testbed = Testbed::with(TestbedOptions {
        lines_max: 1,
        ..TestbedOptions::default()
    })
    .await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid("ORDER-2").await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    // The part of the lost payment asks WeChat Pay about it.
    let admin = testbed.wechat.admin();
    let no_answer = Rule::always(Fault::ServerErrorBefore { status: 500 })
        .at(Endpoint::QueryByTransactionId)
        .at(Endpoint::QueryByOutTradeNo);
    let fault = admin.add_fault(no_answer).unwrap();
    testbed.begin_day(day, false).await;
    assert_eq!(testbed.work_off_days().await, 1, "it comes again");
    assert_eq!(testbed.hidden.times_s().last(), Some(&120));
    let run = testbed.run_of(day).await;
    assert!(run.parts > 1, "{}", run.parts);
    assert_eq!(run.state, RunState::Running);
    assert!(run.trouble.is_some());
    let waits: Vec<u8> = (0..run.parts)
        .filter(|part| !run.parts_done.contains_key(part))
        .collect();
    let [part] = waits[..] else {
        panic!("one part waits: {waits:?}");
    };
    let row = row("reconciliation.md", "`running`, `parts` above 1");
    for words in ["the day's state and `trouble`", "the others go on"] {
        assert!(row.contains(words), "{words}");
    }

    // Its message again, once WeChat Pay answers.
    admin.clear_faults(Some(fault));
    let again = ReconcileWork::PartV1 {
        date: day,
        run_id: run.id,
        part,
    };
    testbed.send_work(&again).await;
    assert_eq!(testbed.work_off_days().await, 0);
    let run = testbed.run_of(day).await;
    assert_eq!(run.parts_done.len(), usize::from(run.parts));
    assert_eq!((run.state, run.trouble), (RunState::Done, None));
    assert_eq!(testbed.order("LOST-1").await.state.name(), "paid");
}
