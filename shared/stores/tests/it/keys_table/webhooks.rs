//! The items of webhooks.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::rules::webhook::{FailingRun, GoneRun, LastAnswer};
use runtime::net::{Reach, WebhookUrl};
use standard_webhooks::Secret;
use stores::keys_table::{Endpoint, KeysError, KeysTable, StoredUrl, Webhook};
use testbed::{Fault, Match, Service};
use testbed::{NOW, chain};
use wechatpay::UnixSeconds;

use super::Bench;

const URL: &str = "https://shop.example/hooks?token=t0k3n";

fn url(text: &str) -> WebhookUrl {
    WebhookUrl::parse(text, Reach::Public).expect("a URL")
}

fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32]).expect("a secret")
}

async fn put(table: &KeysTable, url_text: &str, byte: u8) {
    table
        .put_webhook("shop", &url(url_text), &secret(byte))
        .await
        .expect("written");
}

async fn read(table: &KeysTable) -> Option<Arc<Webhook>> {
    table.webhook("shop").await.expect("read")
}

fn active(webhook: Option<&Webhook>) -> &Endpoint {
    match webhook {
        Some(Webhook::Active(endpoint)) => endpoint,
        Some(Webhook::Disabled { .. }) | None => panic!("no active webhook: {webhook:?}"),
    }
}

/// The first byte of each secret.
fn first_bytes(endpoint: &Endpoint) -> Vec<u8> {
    let secrets = endpoint.secrets.iter();
    secrets.map(|secret| secret.as_bytes()[0]).collect()
}

#[tokio::test]
async fn a_client_s_webhook_is_read_and_unsealed_once_a_minute_and_once_a_sandbox() {
    let bench = Bench::new().await;
    put(&bench.sandbox(), URL, 1).await;
    bench.wire.forget();
    let sandbox = bench.sandbox();
    for _ in 0..10 {
        let webhook = read(&sandbox).await;
        let endpoint = active(webhook.as_deref());
        assert_eq!(endpoint.url.as_str(), URL);
        assert_eq!(first_bytes(endpoint), [1]);
    }
    assert_eq!((bench.reads(), bench.kms.asked("Decrypt")), (1, 1));
    bench.kms.pass(60);
    read(&sandbox).await;
    assert_eq!((bench.reads(), bench.kms.asked("Decrypt")), (2, 1));
    assert!(sandbox.webhook("kiosk").await.expect("read").is_none());
}

#[tokio::test]
async fn the_newest_two_secrets_sign() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    for (byte, kept) in [(1, &[1][..]), (2, &[2, 1]), (3, &[3, 2])] {
        put(&table, URL, byte).await;
        let webhook = read(&table).await;
        assert_eq!(first_bytes(active(webhook.as_deref())), kept);
    }
}

#[tokio::test]
async fn a_secret_that_is_given_again_pushes_none_out() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    for (byte, kept) in [
        (1, &[1][..]),
        (1, &[1]),
        (2, &[2, 1]),
        (2, &[2, 1]),
        (1, &[1, 2]),
        (3, &[3, 1]),
    ] {
        put(&table, URL, byte).await;
        let webhook = read(&table).await;
        assert_eq!(first_bytes(active(webhook.as_deref())), kept);
    }
}

#[tokio::test]
async fn a_change_of_a_webhook_whose_answer_was_lost_counts_as_done() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let writes = Match::operation(Service::DynamoDb, "UpdateItem");
    for secret_of_it in [Some(secret(1)), Some(secret(2)), None] {
        bench.wire.forget();
        bench.wire.break_next(writes.clone(), Fault::LostAnswer);
        let target = url(URL);
        let changed = table
            .change_webhook("shop", Some(&target), secret_of_it.as_ref())
            .await;
        changed.expect("the SDK's second attempt meets our own write");
        assert_eq!(bench.wire.count(&writes), 2);
    }
    let webhook = read(&table).await;
    assert_eq!(first_bytes(active(webhook.as_deref())), [2, 1]);
}

#[tokio::test]
async fn a_webhook_that_is_set_up_again_keeps_what_a_later_version_added_and_nothing_of_deliveries()
{
    let bench = Bench::new().await;
    let table = bench.sandbox();
    put(&table, URL, 1).await;
    let webhook = read(&table).await;
    let seen = &active(webhook.as_deref()).url;
    let run = gone(&table, seen, 4).await;
    let disabled = table
        .disable_webhook("shop", seen, &run, "410 Gone", NOW)
        .await;
    disabled.expect("written");
    let later = AttributeValue::S("by a later version".to_owned());
    bench.set("webhook#shop", "added_later", later).await;
    put(&table, URL, 2).await;
    let item = bench.item("webhook#shop").await;
    let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "added_later",
        "client_id",
        "pk",
        "secrets",
        "secrets_made_at",
        "state",
        "url",
        "version",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_missing_webhook_is_looked_up_every_five_seconds() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    for _ in 0..10 {
        assert!(read(&sandbox).await.is_none());
    }
    assert_eq!(bench.reads(), 1);
    put(&bench.sandbox(), URL, 1).await;
    bench.kms.pass(5);
    assert!(read(&sandbox).await.is_some());
}

#[tokio::test]
async fn a_disabled_webhook_says_why_and_since_when_until_it_is_set_up_again() {
    let bench = Bench::new().await;
    let (sandbox, other) = (bench.sandbox(), bench.sandbox());
    put(&sandbox, URL, 1).await;
    let webhook = read(&sandbox).await;
    let seen = &active(webhook.as_deref()).url;
    let run = gone(&sandbox, seen, 4).await;
    let disabled = sandbox
        .disable_webhook("shop", seen, &run, "410 Gone", NOW)
        .await;
    disabled.expect("written");
    // Another sandbox that still has it cached gets the same answer a minute later; the first
    // record stays.
    let later = UnixSeconds(NOW.0 + 60);
    let again = other
        .disable_webhook("shop", seen, &run, "410 again", later)
        .await;
    again.expect("already so");
    for table in [&sandbox, &other] {
        match read(table).await.as_deref() {
            Some(Webhook::Disabled { why, since }) => {
                assert_eq!((why.as_str(), *since), ("410 Gone", NOW));
            }
            other => panic!("not disabled: {other:?}"),
        }
    }
    put(&sandbox, URL, 2).await;
    let webhook = read(&sandbox).await;
    assert_eq!(first_bytes(active(webhook.as_deref())), [2, 1]);
}

#[tokio::test]
async fn a_webhook_that_goes_elsewhere_by_now_is_not_disabled_by_the_old_place() {
    let bench = Bench::new().await;
    let (sandbox, operator) = (bench.sandbox(), bench.sandbox());
    put(&operator, URL, 1).await;
    let webhook = read(&sandbox).await;
    let old = &active(webhook.as_deref()).url;
    let run = gone(&sandbox, old, 4).await;
    put(&operator, "https://new.example/", 2).await;
    let refused = sandbox
        .disable_webhook("shop", old, &run, "410 Gone", NOW)
        .await;
    assert!(matches!(refused, Err(KeysError::Changed { .. })));
    let webhook = read(&sandbox).await;
    assert_eq!(
        active(webhook.as_deref()).url.as_str(),
        "https://new.example/"
    );
    operator.remove_webhook("shop").await.expect("removed");
    let refused = sandbox
        .disable_webhook("shop", old, &run, "410 Gone", NOW)
        .await;
    assert!(matches!(refused, Err(KeysError::Changed { .. })));
}

/// A run of 410s from [`NOW`] on, written down.
async fn gone(table: &KeysTable, url: &StoredUrl, count: u32) -> GoneRun {
    let run = GoneRun {
        since: NOW,
        counted_at: NOW,
        count,
    };
    let next = LastAnswer {
        answer: "410".to_owned(),
        at: NOW,
        since: NOW,
        gone: Some(run),
        failing: None,
    };
    let noted = table.note_answer("shop", url, None, &next).await;
    assert!(noted.expect("written"));
    run
}

#[tokio::test]
async fn a_run_of_410s_that_another_answer_ended_disables_nothing() {
    let bench = Bench::new().await;
    let (sandbox, other) = (bench.sandbox(), bench.sandbox());
    put(&sandbox, URL, 1).await;
    let webhook = read(&sandbox).await;
    let url = &active(webhook.as_deref()).url;
    let run = gone(&sandbox, url, 4).await;
    let state = sandbox.webhook_state("shop").await.expect("read");
    let last = state.expect("a webhook").last_answer;
    assert_eq!(last.as_ref().and_then(|last| last.gone), Some(run));
    // Another sandbox gets a 204 meanwhile. The one with the old record writes nothing over it.
    let well = LastAnswer::after(last.as_ref(), "204", NOW).expect("to be written");
    let noted = other.note_answer("shop", url, last.as_ref(), &well).await;
    assert!(noted.expect("written"));
    let stale = LastAnswer::after(last.as_ref(), "500", NOW).expect("to be written");
    let noted = sandbox
        .note_answer("shop", url, last.as_ref(), &stale)
        .await;
    assert!(!noted.expect("answered"), "another was first");
    let refused = sandbox
        .disable_webhook("shop", url, &run, "410 Gone", NOW)
        .await;
    assert!(matches!(refused, Err(KeysError::Changed { .. })));
    let state = sandbox.webhook_state("shop").await.expect("read");
    let state = state.expect("a webhook");
    assert_eq!((state.disabled, state.last_answer), (None, Some(well)));
    assert_eq!(state.host.as_deref(), Some("shop.example"));
    // After a new set-up nothing is left of the old receiver's answers.
    put(&sandbox, URL, 2).await;
    let state = sandbox.webhook_state("shop").await.expect("read");
    assert_eq!(state.expect("a webhook").last_answer, None);
    assert_eq!(sandbox.webhook_state("kiosk").await.expect("read"), None);
}

#[tokio::test]
async fn a_run_of_failures_stays_what_was_stored_until_the_receiver_takes_something() {
    let bench = Bench::new().await;
    let (sandbox, other) = (bench.sandbox(), bench.sandbox());
    put(&sandbox, URL, 1).await;
    let webhook = read(&sandbox).await;
    let url = &active(webhook.as_deref()).url;
    let at = |age_s: i64| UnixSeconds(NOW.0 + age_s);
    let last = async || {
        let state = sandbox.webhook_state("shop").await.expect("read");
        state.expect("a webhook").last_answer
    };
    let first = LastAnswer::after(None, "502", NOW).expect("to be written");
    let noted = sandbox.note_answer("shop", url, None, &first).await;
    assert!(noted.expect("written"));
    assert_eq!(last().await, Some(first.clone()));
    let long = LastAnswer::after(Some(&first), "502", at(1_800)).expect("to be written");
    let reported = Some(FailingRun {
        since: NOW,
        reported_at: Some(at(1_800)),
    });
    assert_eq!(long.failing, reported);
    let noted = other.note_answer("shop", url, Some(&first), &long).await;
    assert!(noted.expect("written"));
    assert_eq!(last().await, Some(long.clone()));
    // The one with the old record, and another failure, keeps what was reported.
    let stale = LastAnswer::after(Some(&first), "404", at(1_799)).expect("to be written");
    assert!(stale.failing.is_some_and(|run| run.reported_at.is_none()));
    let noted = sandbox.note_answer_unconditionally("shop", url, &stale);
    assert!(noted.await.expect("written"));
    let known = last().await.expect("an answer");
    assert_eq!((known.answer.as_str(), known.failing), ("404", reported));
    let well = LastAnswer::after(Some(&first), "204", at(1_900)).expect("to be written");
    let noted = sandbox.note_answer_unconditionally("shop", url, &well);
    assert!(noted.await.expect("written"));
    assert_eq!(last().await, Some(well));
}

#[tokio::test]
async fn a_disabling_whose_answer_was_lost_counts_as_done() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    put(&sandbox, URL, 1).await;
    let webhook = read(&sandbox).await;
    let seen = &active(webhook.as_deref()).url;
    let run = gone(&sandbox, seen, 4).await;
    let update = Match::operation(Service::DynamoDb, "UpdateItem");
    let before = bench.wire.count(&update);
    bench.wire.break_next(update.clone(), Fault::LostAnswer);
    let disabled = sandbox
        .disable_webhook("shop", seen, &run, "410 Gone", NOW)
        .await;
    disabled.expect("the SDK's second attempt meets our own write");
    assert_eq!(bench.wire.count(&update) - before, 2);
}

#[tokio::test]
async fn a_removed_webhook_is_gone_and_cannot_be_removed_twice() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    put(&table, URL, 1).await;
    assert!(read(&table).await.is_some());
    table.remove_webhook("shop").await.expect("removed");
    assert!(read(&table).await.is_none());
    let refused = table.remove_webhook("shop").await;
    assert!(matches!(refused, Err(KeysError::NoItem { .. })));
}

#[tokio::test]
async fn two_set_ups_at_once_lose_no_secret() {
    let bench = Bench::new().await;
    let (one, two) = (bench.sandbox(), bench.sandbox());
    put(&one, URL, 1).await;
    let (target, second, third) = (url(URL), secret(2), secret(3));
    let (first, second) = tokio::join!(
        one.put_webhook("shop", &target, &second),
        two.put_webhook("shop", &target, &third),
    );
    let written = [&first, &second].into_iter().filter(|put| put.is_ok());
    let lost = [&first, &second]
        .into_iter()
        .filter(|put| matches!(put, Err(KeysError::Changed { .. })));
    // They may run one after the other; if they collide, one of them gets an error.
    assert_eq!(written.count() + lost.count(), 2);
    let webhook = read(&bench.sandbox()).await;
    let secrets = first_bytes(active(webhook.as_deref()));
    match (first.is_ok(), second.is_ok()) {
        (true, true) => assert!([[2, 3], [3, 2]].contains(&[secrets[0], secrets[1]])),
        (true, false) => assert_eq!(secrets, [2, 1]),
        (false, true) => assert_eq!(secrets, [3, 1]),
        (false, false) => panic!("nobody won"),
    }
}

#[tokio::test]
async fn a_sealed_secret_copied_to_another_client_does_not_open_there() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    put(&table, URL, 1).await;
    let elsewhere = url("https://thief.example/");
    let thief = table.put_webhook("thief", &elsewhere, &secret(2)).await;
    thief.expect("written");
    let sealed = bench.attribute("webhook#shop", "secrets").await;
    bench.set("webhook#thief", "secrets", sealed).await;
    // Also not in a sandbox that has unsealed it in its own place.
    read(&table).await;
    let refused = table.webhook("thief").await.expect_err("another context");
    assert!(
        matches!(&refused, KeysError::Secret { .. }) && !refused.is_transient(),
        "{}",
        chain(&refused)
    );
}

#[tokio::test]
async fn a_damaged_item_is_an_error_and_not_a_client_without_webhook() {
    let bench = Bench::new().await;
    for attribute in ["state", "url", "secrets"] {
        put(&bench.sandbox(), URL, 1).await;
        bench
            .set("webhook#shop", attribute, AttributeValue::Null(true))
            .await;
        let failure = bench.sandbox().webhook("shop").await.expect_err(attribute);
        assert!(
            matches!(failure, KeysError::Damaged { .. }),
            "{attribute}: {failure}"
        );
    }
    bench
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::Throttled);
    let failure = bench.sandbox().webhook("shop").await.expect_err("away");
    assert!(failure.is_transient(), "{}", chain(&failure));
}

#[tokio::test]
async fn neither_secret_nor_url_is_stored_or_shown_in_plain_text() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    put(&table, URL, 0x5A).await;
    let AttributeValue::L(stored) = bench.attribute("webhook#shop", "secrets").await else {
        panic!("no list")
    };
    let sealed = stored[0].as_b().expect("bytes").as_ref();
    assert!(!sealed.windows(8).any(|part| part == [0x5A; 8]));
    let shown = format!("{:?} {table:?}", read(&table).await);
    assert!(
        !shown.contains("t0k3n") && !shown.contains("90, 90"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_impossible_client_id_gets_no_webhook() {
    let bench = Bench::new().await;
    for client_id in ["", "with space", &"x".repeat(129)] {
        let refused = bench
            .sandbox()
            .put_webhook(client_id, &url(URL), &secret(1))
            .await;
        assert!(matches!(refused, Err(KeysError::Client(_))));
    }
}

#[tokio::test]
async fn each_secret_has_the_date_on_which_it_was_made_whatever_else_changes() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let made = async || {
        let overview = table.overview().await.expect("read");
        overview.webhooks[0].secrets_made.clone()
    };
    put(&table, URL, 1).await;
    bench.kms.pass(60);
    put(&table, URL, 2).await;
    let second = Some(NOW.plus_s(60));
    assert_eq!(made().await, [second, Some(NOW)]);
    bench.kms.pass(60);
    // Another address, and a secret that signs already.
    let other = url("https://shop.example/");
    let changed = table.change_webhook("shop", Some(&other), None);
    changed.await.expect("written");
    put(&table, URL, 2).await;
    assert_eq!(made().await, [second, Some(NOW)]);
    // Those of an earlier version have none.
    let client = bench.engine.client(&bench.kms.clock);
    let undated = client
        .update_item()
        .table_name(&bench.tables.keys)
        .key("pk", AttributeValue::S("webhook#shop".to_owned()))
        .update_expression("REMOVE secrets_made_at");
    undated.send().await.expect("written");
    assert_eq!(made().await, [None, None]);
    put(&table, URL, 3).await;
    assert_eq!(made().await, [Some(NOW.plus_s(120)), None]);
}
