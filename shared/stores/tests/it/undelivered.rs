//! Events that a receiver does not have, in the table.

use payments::rules::webhook::OutgoingEvent;
use runtime::clock::Clock;
use serde_json::json;
use stores::undelivered::{EventCursor, UndeliveredEvents, UndeliveredReason};
use testbed::DynamoEngine;
use testbed::NOW;
use wechatpay::UnixSeconds;

const AT: i64 = 1_785_556_801;

fn event(client_id: &str, order_no: &str, version: u64, at: i64) -> OutgoingEvent {
    serde_json::from_value(json!({
        "order_no": order_no,
        "client_id": client_id,
        "version": version,
        "subject": "order",
        "subject_id": order_no,
        "from": "",
        "to": "paid",
        "amount_fen": 100,
        "cause_kind": "notice",
        "cause_id": "n-1",
        "at": at,
        "trace": "0af7651916cd43dd8448eb211c80319c",
    }))
    .expect("an event")
}

struct Bench {
    events: UndeliveredEvents,
    _engine: DynamoEngine,
}

impl Bench {
    async fn new() -> Self {
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("").await;
        let client = engine.client(&Clock::manual(NOW));
        Self {
            events: UndeliveredEvents::new(client, tables.undelivered_events, "1900000001"),
            _engine: engine,
        }
    }

    async fn keep(&self, event: &OutgoingEvent) {
        let because = UndeliveredReason::WebhookDisabled;
        self.events.keep(event, because, NOW).await.expect("kept");
    }

    async fn ids(
        &self,
        from: i64,
        to: i64,
        after: Option<&EventCursor>,
        most: usize,
    ) -> Vec<String> {
        let (from, to) = (UnixSeconds(from), UnixSeconds(to));
        let page = self.events.page("shop", from, to, after, most).await;
        let page = page.expect("read");
        let mut ids: Vec<String> = page.events.iter().map(OutgoingEvent::webhook_id).collect();
        ids.extend(page.next.map(|_| "...".to_owned()));
        ids
    }
}

#[tokio::test]
async fn a_client_s_events_of_a_range_are_listed_oldest_first_and_each_once() {
    let bench = Bench::new().await;
    bench.keep(&event("shop", "ORDER-2", 3, AT + 1)).await;
    for _ in 0..2 {
        bench.keep(&event("shop", "ORDER-1", 3, AT)).await;
    }
    bench.keep(&event("shop", "ORDER-1", 10, AT)).await;
    bench.keep(&event("shop", "ORDER-3", 1, AT + 2)).await;
    bench.keep(&event("kiosk", "ORDER-9", 1, AT)).await;
    assert_eq!(
        bench.ids(AT, AT + 1, None, 10).await,
        ["ORDER-1_3", "ORDER-1_10", "ORDER-2_3"]
    );
    assert_eq!(bench.ids(AT + 1, AT + 1, None, 10).await, ["ORDER-2_3"]);
    assert!(bench.ids(AT + 3, AT + 9, None, 10).await.is_empty());
    assert!(bench.ids(AT + 9, AT, None, 10).await.is_empty());
    let oldest = bench.events.oldest("shop").await.expect("read");
    assert_eq!(oldest, Some(UnixSeconds(AT)));
    assert_eq!(bench.events.oldest("nobody").await.expect("read"), None);
}

#[tokio::test]
async fn a_list_goes_on_behind_the_last_event_of_a_page_also_when_that_was_delivered_meanwhile() {
    let bench = Bench::new().await;
    let events = [1, 2, 3].map(|version| event("shop", "ORDER-1", version, AT));
    for event in &events {
        bench.keep(event).await;
    }
    let (from, to) = (UnixSeconds(AT), UnixSeconds(AT));
    let page = bench.events.page("shop", from, to, None, 2).await.unwrap();
    assert_eq!(page.events, events[..2]);
    let next_text = page.next.expect("there is more").as_str().to_owned();
    let next = EventCursor::parse(&next_text).expect("a place");
    for _ in 0..2 {
        bench.events.delivered(&events[1]).await.expect("dropped");
    }
    assert_eq!(bench.ids(AT, AT, Some(&next), 2).await, ["ORDER-1_3"]);
    assert_eq!(bench.ids(AT, AT, None, 3).await, ["ORDER-1_1", "ORDER-1_3"]);
    assert!(bench.ids(0, 5, Some(&next), 2).await.is_empty(), "beyond");
    assert_eq!(EventCursor::parse("no place!"), None);
}
