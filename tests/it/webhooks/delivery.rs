//! Events reach their receiver: signed, under one id, tried again, and no other client's.

use std::time::Duration;

use axum::http::{StatusCode, header};
use payments::model::ids::ClientId;
use serde_json::{Value, json};
use testbed::{Fault, Match, Service, environment::WEBHOOKS};

use super::{
    CAUSE_IS_OURS, Got, PLENTY_MS, Receiver, WebhookTestbed, event, failed, not_delivered,
    on_the_bus, record_of,
};
use crate::{
    runbooks,
    support::{Lines, MAX_RECEIVE_COUNT, batch},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_receiver_signed() {
    let testbed = WebhookTestbed::start().await;
    testbed.publish(&event("ORDER-1", 3)).await;
    assert_eq!(testbed.work_off().await, 0);
    let [got] = &testbed.receiver.got()[..] else {
        panic!("one webhook")
    };
    assert!(testbed.believes(got, 1));
    assert!(!testbed.believes(got, 2));
    assert_eq!(got.id(), "ORDER-1_3");
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(
        got.json(),
        json!({
            "type": "order.changed",
            "timestamp": "2026-08-01T12:00:01+08:00",
            "data": {
                "order_no": "ORDER-1",
                "version": 3,
                "subject": "order",
                "subject_id": "ORDER-1",
                "from": "awaiting_payment",
                "to": "paid",
                "amount_fen": 100,
                "currency": "CNY",
                "cause": {"kind": "notice", "id": "notice-1"},
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
            },
        })
    );
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.receiver.got().len(), 1, "the message is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_is_as_the_contract_says() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../infra/openapi.yaml"
    ));
    let contract: Value = serde_saphyr::from_str(&text.expect("the contract")).expect("YAML");
    let validator = |schema: &Value| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": contract["components"],
        });
        let options = jsonschema::options().should_validate_formats(true);
        options.build(&whole).expect("a schema")
    };
    let described = &contract["webhooks"]["orderChanged"]["post"];

    let testbed = WebhookTestbed::start().await;
    let mut first = event("ORDER-1", 1);
    first.from.clear();
    testbed.publish(&first).await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.set_up("shop", &testbed.receiver.url(), 2).await;
    testbed.clock.advance(Duration::from_secs(60));
    testbed.publish(&event("ORDER-1", 2)).await;
    assert_eq!(testbed.work_off().await, 0);

    let body = validator(&described["requestBody"]["content"]["application/json"]["schema"]);
    let got = testbed.receiver.got();
    assert_eq!(got.len(), 2);
    for got in got {
        body.validate(&got.json()).expect("a body of the contract");
        let headers = described["parameters"].as_array().expect("headers");
        assert_eq!(headers.len(), 4);
        for header in headers {
            let name = header["name"].as_str().expect("a name");
            let sent = json!(got.header(name).expect(name));
            let valid = validator(&header["schema"]).is_valid(&sent);
            assert!(valid, "{name} is {sent}");
        }
    }
    let mut wrong = event("ORDER-1", 1);
    wrong.version = 0;
    let wrong: Value = serde_json::from_str(&wrong.body()).expect("JSON");
    assert!(!body.is_valid(&wrong), "the schema refuses something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_comes_again_after_five_seconds_under_the_same_id_and_signed_again() {
    let testbed = WebhookTestbed::start().await;
    testbed
        .receiver
        .answer_next(StatusCode::INTERNAL_SERVER_ERROR);
    testbed.publish(&event("ORDER-1", 3)).await;
    assert_eq!(testbed.work_off().await, 1);
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.receiver.got().len(), 1, "it is hidden");
    testbed.clock.advance(Duration::from_secs(5));
    assert_eq!(testbed.work_off().await, 0);
    let got = testbed.receiver.got();
    let [first, second] = &got[..] else {
        panic!("two attempts")
    };
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    let time = |got: &Got| got.header("webhook-timestamp").unwrap().parse::<i64>();
    assert_eq!(time(second).unwrap() - time(first).unwrap(), 5);
    assert!(testbed.believes(first, 1) && testbed.believes(second, 1));
    assert_eq!(testbed.hidden.times_s(), [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_hides_the_message_for_the_next_step_until_it_is_a_dead_letter() {
    let testbed = WebhookTestbed::start().await;
    testbed.publish(&event("ORDER-1", 3)).await;
    for _ in 1..=MAX_RECEIVE_COUNT {
        testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
        let messages = testbed.received();
        let [message] = &messages[..] else {
            panic!("one message")
        };
        let records = batch(WEBHOOKS, &messages).records;
        let answer = testbed.process(records, PLENTY_MS).await;
        assert_eq!(failed(&answer), [&*message.id]);
        // The hours pass.
        testbed.engines.queues().show(WEBHOOKS, &message.id);
    }
    assert_eq!(
        testbed.hidden.times_s(),
        [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 0]
    );
    assert_eq!(testbed.receiver.got().len(), 8);
    assert!(testbed.received().is_empty());
    let queues = testbed.engines.queues();
    let [(_, dead)] = queues.dead()[..] else {
        panic!("one dead letter")
    };
    assert_eq!(dead.body, on_the_bus(&event("ORDER-1", 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_sent_again_says_whose_it_is_so_that_the_queue_is_fair() {
    let testbed = WebhookTestbed::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = event("ORDER-1", 3);
    let sent = testbed.queue.send_webhook(&event, traceparent);
    sent.await.expect("queued");
    let [message] = &testbed.received()[..] else {
        panic!("one message")
    };
    assert_eq!(message.group_id.as_deref(), Some("shop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let testbed = WebhookTestbed::start().await;
    let elsewhere = Receiver::start().await;
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let to = [(header::LOCATION, elsewhere.url())];
        testbed.receiver.answer_next((status, to));
        testbed.publish(&event("ORDER-1", 3)).await;
        assert_eq!(testbed.work_off().await, 1);
    }
    assert_eq!(testbed.receiver.got().len(), 2);
    assert!(elsewhere.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_by_name_and_by_number() {
    let testbed = WebhookTestbed::without_webhook("false").await;
    let lines = Lines::default();
    runbooks::row_says(
        "webhooks.md",
        "`the webhook may not be sent there`",
        &[
            "`no answer: the host of the webhook has no public address`",
            "the address is not public, or not HTTPS",
        ],
    );
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("bound").port();
    let (refused, unknown) = (
        "the webhook may not be sent there",
        "no answer: the host of the webhook has no public address",
    );
    for (client_id, url, says) in [
        ("by-name", format!("https://localhost:{port}/"), unknown),
        ("by-number", format!("https://127.0.0.1:{port}/"), refused),
        (
            "by-odd-number",
            format!("https://2130706433:{port}/"),
            refused,
        ),
        ("in-the-clear", format!("http://127.0.0.1:{port}/"), refused),
    ] {
        testbed.set_up(client_id, &url, 1).await;
        let mut event = event("ORDER-1", 3);
        event.client_id = ClientId::new(client_id);
        testbed.publish(&event).await;
        assert_eq!(lines.of(testbed.work_off()).await, 1, "{url}");
        let error = not_delivered(&lines.take("WARN")).expect("a line");
        assert!(error.contains(says), "{url}: {error}");
        // Not even a connection was opened.
        let none_came = trap.accept().expect_err("nobody came");
        assert_eq!(none_came.kind(), std::io::ErrorKind::WouldBlock, "{url}");
    }
    assert_eq!(
        testbed.hidden.times_s(),
        [5; 4],
        "a person may still mend it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_does_not_hold_up_the_others() {
    let testbed = WebhookTestbed::start().await;
    let of_another_kind = on_the_bus(&event("ORDER-9", 1)).replace("order.changed", "order.lost");
    let batch = vec![
        record_of("1", on_the_bus(&event("ORDER-1", 2)), 1),
        record_of("2", "not a message".to_owned(), 1),
        record_of("3", of_another_kind, 1),
        record_of("4", on_the_bus(&event("ORDER-2", 2)), 1),
    ];
    let answer = testbed.process(batch, PLENTY_MS).await;
    let mut failed = failed(&answer);
    failed.sort_unstable();
    assert_eq!(failed, ["2", "3"]);
    let mut ids = testbed.receiver.ids();
    ids.sort_unstable();
    assert_eq!(ids, ["ORDER-1_2", "ORDER-2_2"]);
    assert!(testbed.hidden.times_s().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_has_the_same_id_when_it_is_delivered_twice_and_when_it_is_replayed() {
    let testbed = WebhookTestbed::start().await;
    let event = event("ORDER-1", 3);
    testbed.publish(&event).await;
    testbed.publish(&event).await;
    assert_eq!(testbed.work_off().await, 0);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    testbed
        .queue
        .send_webhook(&event, traceparent)
        .await
        .expect("queued");
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_3"; 3]);
    let got = testbed.receiver.got();
    assert!(got.iter().all(|other| other.body == got[0].body));
    assert!(got.iter().all(|got| testbed.believes(got, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_changed_both_sign() {
    let testbed = WebhookTestbed::start().await;
    testbed.set_up("shop", &testbed.receiver.url(), 2).await;
    testbed.publish(&event("ORDER-1", 3)).await;
    assert_eq!(testbed.work_off().await, 0);
    let got = &testbed.receiver.got()[0];
    let signatures = got.header("webhook-signature").unwrap();
    assert_eq!(signatures.split(' ').count(), 2);
    assert!(testbed.believes(got, 1) && testbed.believes(got, 2));
    assert!(!testbed.believes(got, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_webhooks_of_its_own_orders_only() {
    let testbed = WebhookTestbed::start().await;
    let kiosk = Receiver::start().await;
    testbed.set_up("kiosk", &kiosk.url(), 7).await;
    let mut of_kiosk = event("ORDER-2", 2);
    of_kiosk.client_id = ClientId::new("kiosk");
    let mut without_webhook = event("ORDER-3", 2);
    without_webhook.client_id = ClientId::new("without-webhook");
    for event in [&event("ORDER-1", 2), &of_kiosk, &without_webhook] {
        testbed.publish(event).await;
    }
    assert_eq!(
        testbed.work_off().await,
        0,
        "a client without a webhook gets none"
    );
    assert_eq!(testbed.receiver.ids(), ["ORDER-1_2"]);
    assert_eq!(kiosk.ids(), ["ORDER-2_2"]);
    assert!(testbed.believes(&kiosk.got()[0], 7) && !testbed.believes(&kiosk.got()[0], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_our_side_is_tried_again_too() {
    let lines = Lines::default();
    for (down, is_the_receivers) in [
        (Match::service(Service::DynamoDb), false),
        (Match::service(Service::Kms), false),
        (
            Match::operation(Service::Sqs, "ChangeMessageVisibility"),
            true,
        ),
    ] {
        let testbed = WebhookTestbed::start().await;
        testbed.wire.break_all(down.clone(), Fault::ServiceFault);
        testbed
            .receiver
            .answer_next(StatusCode::INTERNAL_SERVER_ERROR);
        let body = on_the_bus(&event("ORDER-1", 3));
        let second = vec![record_of("1", body.clone(), 2)];
        let answer = lines.of(testbed.process(second, PLENTY_MS)).await;
        assert_eq!(failed(&answer), ["1"], "{down:?}");
        let counts = |line: &Value| line["WebhooksNotTakenAgain"] == 1;
        let mut logged = lines.take_all();
        let ours = |line: &&Value| line["message"] == CAUSE_IS_OURS;
        let ours = logged.iter().filter(ours).count();
        assert_eq!(ours, usize::from(!is_the_receivers), "{down:?}");
        logged.retain(|line| line["level"] == "WARN");
        assert_eq!(logged.iter().any(counts), is_the_receivers, "{down:?}");
        if !is_the_receivers {
            let unread = "where the webhook goes could not be read or changed";
            let error = not_delivered(&logged).expect("a line");
            assert!(error.starts_with(&format!("{unread}: ")), "{error}");
            let row = runbooks::row("webhooks.md", &format!("all fail alike, `{unread}`"));
            assert!(row.contains("the keys table, or the secrets key in KMS"));
        }
        testbed.wire.mend();
        testbed.receiver.answer_next(StatusCode::OK);
        testbed
            .process(vec![record_of("1", body, 3)], PLENTY_MS)
            .await;
        let last = testbed.receiver.got().pop().expect("a webhook");
        assert!(testbed.believes(&last, 1), "{down:?}");
    }
}
