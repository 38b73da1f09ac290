//! `GET /v1/orders/{order_no}/events` and the replay of one of them.

use serde_json::json;
use testbed::{Fault as AwsFault, Match, Service};

use super::{CONTRACT, bare_post, held, paid, unsigned, validator};
use crate::support::Testbed;

const EVENTS: &str = "/v1/orders/{order_no}/events";
const REPLAY: &str = "/v1/orders/{order_no}/events/{version}/replay";

fn replay_of(order_no: &str, version: &str) -> String {
    REPLAY
        .replace("{order_no}", order_no)
        .replace("{version}", version)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_and_its_replays_are_as_the_contract_says() {
    let testbed = Testbed::start().await;
    paid(&testbed, "ORDER-1", 100).await;
    assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);

    let events = EVENTS.replace("{order_no}", "ORDER-1");
    let listed = held(&testbed, EVENTS, testbed.client.get(&events, &testbed), 200).await;
    let events = listed.body["events"].as_array().expect("events").clone();
    let steps: Vec<_> = events
        .iter()
        .map(|event| (&event["version"], &event["subject"], &event["to"]))
        .collect();
    assert_eq!(
        json!(steps),
        json!([
            [1, "order", "reserved"],
            [2, "order", "awaiting_payment"],
            [3, "order", "paid"],
            [4, "refund", "reserved"],
            [5, "refund", "processing"],
        ])
    );

    let schema = &CONTRACT["components"]["schemas"]["OrderChanged"]["properties"]["data"];
    for event in &events {
        let version = event["version"].to_string();
        let replay = bare_post(&testbed, &replay_of("ORDER-1", &version));
        held(&testbed, REPLAY, replay, 202).await;
        let sent = testbed.webhooks().await;
        let of_this = sent
            .iter()
            .find(|message| message["detail"]["version"] == event["version"]);
        let detail = &of_this.expect("a webhook")["detail"];
        for member in ["subject", "subject_id", "to"] {
            assert_eq!(detail[member], event[member], "{member} of {version}");
        }
        assert!(validator(&schema["properties"]["amount_fen"]).is_valid(&detail["amount_fen"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_the_events_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    paid(&testbed, "ORDER-1", 100).await;
    let events = |order_no: &str| EVENTS.replace("{order_no}", order_no);
    for order_no in ["ORDER-99", "x"] {
        let request = testbed.client.get(&events(order_no), &testbed);
        let answer = held(&testbed, EVENTS, request, 404).await;
        assert_eq!(answer.code(), "order_not_found");
        let replay = bare_post(&testbed, &replay_of(order_no, "1"));
        let answer = held(&testbed, REPLAY, replay, 404).await;
        assert_eq!(answer.code(), "order_not_found");
    }
    for version in ["0", "99", "last", "-1", "1.5", "18446744073709551616"] {
        let replay = bare_post(&testbed, &replay_of("ORDER-1", version));
        let answer = held(&testbed, REPLAY, replay, 404).await;
        assert_eq!(answer.code(), "event_not_found", "{version}");
    }
    held(&testbed, EVENTS, unsigned("GET", &events("ORDER-1")), 401).await;
    held(
        &testbed,
        REPLAY,
        unsigned("POST", &replay_of("ORDER-1", "1")),
        401,
    )
    .await;
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    held(
        &testbed,
        REPLAY,
        bare_post(&testbed, &replay_of("ORDER-1", "1")),
        503,
    )
    .await;
    let reads = Match::operation(Service::DynamoDb, "Query");
    testbed.wire.break_all(reads, AwsFault::ServiceFault);
    let request = testbed.client.get(&events("ORDER-1"), &testbed);
    held(&testbed, EVENTS, request, 503).await;
}
