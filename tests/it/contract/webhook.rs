//! `GET /v1/webhook` and `POST /v1/webhook/resend`: what a client sees of its webhook, and how it
//! gets what it missed.

use std::time::Duration;

use payments::rules::webhook::{GoneRun, LastAnswer, OutgoingEvent};
use runtime::net::{Reach, WebhookUrl};
use serde_json::{Value, json};
use standard_webhooks::Secret;
use stores::{
    keys_table::Webhook,
    undelivered::{UndeliveredEvents, UndeliveredReason},
};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay::UnixSeconds;

use super::{held, text_post, unsigned};
use crate::support::{MCHID, Testbed};

const WEBHOOK: &str = "/v1/webhook";
const RESEND: &str = "/v1/webhook/resend";

/// When the events of these tests happen.
const AT: i64 = 1_785_556_801;

impl Testbed {
    async fn set_webhook_up(&self, client_id: &str) {
        let url = WebhookUrl::parse("https://shop.example/hooks?t=1", Reach::Public);
        let url = url.expect("a URL");
        let secret = Secret::new(&[1; 32]).expect("a secret");
        let put = self.keys.put_webhook(client_id, &url, &secret);
        put.await.expect("written");
    }

    /// The receiver of the usual client answers 410 since now.
    async fn say_410(&self, disable: bool) {
        let webhook = self.keys.webhook("shop").await.expect("read");
        let Some(Webhook::Active(endpoint)) = webhook.as_deref() else {
            panic!("{webhook:?}")
        };
        let now = self.clock.now();
        let next = LastAnswer::after(None, "410", now).expect("to be written");
        let run = next.gone.expect("a run");
        let noted = self.keys.note_answer("shop", &endpoint.url, None, &next);
        assert!(noted.await.expect("written"));
        if disable {
            let disabled = self
                .keys
                .disable_webhook("shop", &endpoint.url, &run, "410 Gone", now);
            disabled.await.expect("written");
        }
    }

    fn undelivered(&self) -> UndeliveredEvents {
        UndeliveredEvents::new(self.dynamo(), &self.tables.undelivered_events, MCHID)
    }

    /// So many events of a client are on record as undelivered, a second apart.
    async fn miss(&self, client_id: &str, count: i64) {
        for n in 0..count {
            let event = json!({
                "order_no": format!("{client_id}-{n:04}"),
                "client_id": client_id,
                "version": 3,
                "subject": "order",
                "subject_id": format!("{client_id}-{n:04}"),
                "from": "awaiting_payment",
                "to": "paid",
                "amount_fen": 100,
                "cause_kind": "notice",
                "cause_id": "n-1",
                "at": AT + n,
                "trace": "0af7651916cd43dd8448eb211c80319c",
            });
            let event: OutgoingEvent = serde_json::from_value(event).expect("an event");
            let because = UndeliveredReason::WebhookDisabled;
            let kept = self.undelivered();
            kept.keep(&event, because, self.clock.now())
                .await
                .expect("kept");
        }
    }

    fn resend(&self, body: &Value) -> http::Request<Vec<u8>> {
        self.client.post(RESEND, body, self)
    }

    /// The orders of all messages in the queue of webhooks, sorted.
    async fn sent_again(&self) -> Vec<String> {
        let mut order_nos = Vec::new();
        loop {
            let messages = self.webhooks().await;
            if messages.is_empty() {
                order_nos.sort();
                return order_nos;
            }
            assert!(messages.iter().all(|message| message["replay"] == true));
            let order_no =
                |message: &Value| message["detail"]["order_no"].as_str().map(str::to_owned);
            order_nos.extend(messages.iter().filter_map(order_no));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sees_the_state_of_its_webhook_without_a_webhook() {
    let testbed = Testbed::start().await;
    let get = || testbed.client.get(WEBHOOK, &testbed);
    let answer = held(&testbed, WEBHOOK, get(), 404).await;
    assert_eq!(answer.code(), "webhook_not_found");
    testbed.set_webhook_up("shop").await;
    testbed.miss("kiosk", 1).await;
    let answer = held(&testbed, WEBHOOK, get(), 200).await;
    assert_eq!(
        answer.body,
        json!({"state": "active", "host": "shop.example"})
    );

    testbed.say_410(false).await;
    testbed.miss("shop", 2).await;
    let answer = held(&testbed, WEBHOOK, get(), 200).await;
    let now = wechatpay::time::format_rfc3339_beijing(testbed.clock.now());
    let ends = UnixSeconds(testbed.clock.now().0 + GoneRun::LEAST_S);
    assert_eq!(
        answer.body,
        json!({
            "state": "active",
            "host": "shop.example",
            "last_answer": {"answer": "410", "at": now, "since": now},
            "gone_since": now,
            "disabled_from": wechatpay::time::format_rfc3339_beijing(ends),
            "oldest_undelivered_at": "2026-08-01T12:00:01+08:00",
        })
    );

    testbed.set_webhook_up("shop").await;
    testbed.say_410(true).await;
    let answer = held(&testbed, WEBHOOK, get(), 200).await;
    assert_eq!(
        (
            &answer.body["state"],
            &answer.body["why"],
            &answer.body["disabled_since"]
        ),
        (&json!("disabled"), &json!("410 Gone"), &json!(now))
    );
    held(&testbed, WEBHOOK, unsigned("GET", WEBHOOK), 401).await;
    let query = testbed.client.get("/v1/webhook?client_id=kiosk", &testbed);
    held(&testbed, WEBHOOK, query, 400).await;
    let reads = Match::operation(Service::DynamoDb, "Query");
    testbed.wire.break_all(reads, AwsFault::ServiceFault);
    held(&testbed, WEBHOOK, get(), 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_events_are_sent_again_in_parts_at_a_bounded_rate_and_only_the_client_s_own() {
    let testbed = Testbed::start().await;
    testbed.set_webhook_up("shop").await;
    testbed.miss("shop", 103).await;
    testbed.miss("kiosk", 1).await;
    // From the second event on, up to the last but one.
    let range = json!({
        "from": "2026-08-01T12:00:02+08:00",
        "to": wechatpay::time::format_rfc3339_beijing(UnixSeconds(AT + 101)),
    });
    let answer = held(&testbed, RESEND, testbed.resend(&range), 202).await;
    assert_eq!(
        (&answer.body["resent"], answer.header("retry-after")),
        (&json!(100), Some("5"))
    );
    let mut next = range.clone();
    next["after"] = answer.body["after"].clone();

    let answer = held(&testbed, RESEND, testbed.resend(&next), 429).await;
    assert_eq!(
        (answer.code(), answer.header("retry-after")),
        ("resent_just_now", Some("5"))
    );
    testbed.advance(Duration::from_secs(5)).await;
    let answer = held(&testbed, RESEND, testbed.resend(&next), 202).await;
    assert_eq!(
        (answer.body, answer.headers.get("retry-after")),
        (json!({"resent": 1}), None)
    );
    let expected: Vec<String> = (1..=101).map(|n| format!("shop-{n:04}")).collect();
    assert_eq!(testbed.sent_again().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resending_that_broke_off_is_repeated_and_loses_nothing() {
    let testbed = Testbed::start().await;
    testbed.set_webhook_up("shop").await;
    testbed.miss("shop", 3).await;
    let all = json!({"from": "2026-08-01T00:00:00+08:00", "to": "2026-08-02T00:00:00+08:00"});
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::LostAnswer);
    held(&testbed, RESEND, testbed.resend(&all), 503).await;
    testbed.wire.mend();
    testbed.advance(Duration::from_secs(5)).await;
    let answer = held(&testbed, RESEND, testbed.resend(&all), 202).await;
    assert_eq!(answer.body, json!({"resent": 3}));
    let mut sent = testbed.sent_again().await;
    sent.dedup();
    assert_eq!(sent, ["shop-0000", "shop-0001", "shop-0002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_a_resending_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    let all = json!({"from": "2026-08-01T00:00:00+08:00"});
    let answer = held(&testbed, RESEND, testbed.resend(&all), 404).await;
    assert_eq!(answer.code(), "webhook_not_found");
    testbed.set_webhook_up("shop").await;
    testbed.say_410(true).await;
    let answer = held(&testbed, RESEND, testbed.resend(&all), 409).await;
    assert_eq!(answer.code(), "webhook_disabled");
    held(
        &testbed,
        RESEND,
        testbed.resend(&json!({"from": "yesterday"})),
        400,
    )
    .await;
    held(&testbed, RESEND, text_post(&testbed, RESEND, &all), 415).await;
    let large = json!({"from": "x".repeat(20_000)});
    held(&testbed, RESEND, testbed.resend(&large), 413).await;
    held(&testbed, RESEND, unsigned("POST", RESEND), 401).await;
    assert!(testbed.sent_again().await.is_empty());
}
