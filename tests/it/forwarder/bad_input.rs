//! Deliveries that are none, or none to be forwarded.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{Forwarder, GROUP, OWN_GROUP, delivery, line, packed};
use crate::support::Lines;

#[tokio::test]
async fn a_control_message_is_answered_with_nothing() {
    let forwarder = Forwarder::start().await;
    forwarder.wire.forget();
    let control = packed(&json!({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "",
        "logStream": "", "subscriptionFilters": [],
        "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE"}],
    }));
    assert!(forwarder.invoke(&control).await);
    assert!(forwarder.wire.calls().is_empty());
    assert_eq!(forwarder.sentry.requests() + forwarder.loki.requests(), 0);
}

#[tokio::test]
async fn its_own_lines_are_not_forwarded_and_no_line_is_written_of_them() {
    let forwarder = Forwarder::start().await;
    forwarder.wire.forget();
    let lines = Lines::at_trace(forwarder.clock.clone());
    let own = delivery(OWN_GROUP, &[line("ERROR", "one")]);
    assert!(lines.of(forwarder.invoke(&own)).await);
    assert!(lines.take_all().is_empty(), "each would bring the next");
    assert!(forwarder.wire.calls().is_empty());
    assert_eq!(forwarder.sentry.requests() + forwarder.loki.requests(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_put_away_as_it_came_and_no_sink_is_asked() {
    let whole = delivery(GROUP, &[line("ERROR", "one")]);
    let data = whole["awslogs"]["data"].as_str().expect("data");
    let bytes = STANDARD.decode(data).expect("Base64");
    let cut = STANDARD.encode(&bytes[..bytes.len() - 12]);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let part = vec![b' '; 1024 * 1024];
    for _ in 0..=(log_sinks::PLAIN_MAX / 1024 / 1024) {
        bomb.write_all(&part).expect("in memory");
    }
    let bomb = STANDARD.encode(bomb.finish().expect("in memory"));
    assert!(bomb.len() < 100_000, "a small packet: {}", bomb.len());
    let of = |data: &str| json!({"awslogs": {"data": data}});
    for (event, why) in [
        (json!({}), "without awslogs.data"),
        (json!(null), "without awslogs.data"),
        (json!({"Records": [{"body": "{}"}]}), "without awslogs.data"),
        (of("?"), "no Base64"),
        (of(&cut), "no gzip, or was cut"),
        (of(&bomb), "more than"),
        (packed(&json!([1])), "no log lines"),
        (packed(&json!({"messageType": "OTHER"})), "neither"),
        (
            packed(&json!({"messageType": "DATA_MESSAGE", "logEvents": [{}]})),
            "no log lines",
        ),
    ] {
        let forwarder = Forwarder::start().await;
        let log = Lines::by(forwarder.clock.clone());
        assert!(
            log.of(forwarder.invoke(&event)).await,
            "it does not come again"
        );
        let away = forwarder.put_away();
        let [(kept, said)] = &away[..] else {
            panic!("{away:?}")
        };
        assert_eq!(kept, &event);
        let said = said.as_deref().expect("a cause");
        assert!(said.contains(why), "{said}");
        assert_eq!(log.take("WARN").len(), 1);
        assert_eq!(forwarder.sentry.requests() + forwarder.loki.requests(), 0);
    }
}

#[tokio::test]
async fn lines_of_any_form_are_forwarded_to_loki_as_they_are() {
    let forwarder = Forwarder::start().await;
    let odd = [
        json!(""),
        json!("[1,2]"),
        json!("{\"level\":7}"),
        json!("{\"level\":\"ERROR\""),
        json!("\u{0}\u{fffe}\u{1f375}"),
        json!("x".repeat(300_000)),
    ];
    let event = delivery(GROUP, &odd);
    assert!(forwarder.invoke(&event).await);
    let entries = forwarder.loki.entries();
    assert_eq!(entries.len(), odd.len());
    let labelled = |(labels, ..): &super::sinks::Entry| labels["level"] == "unknown";
    assert!(entries.iter().all(labelled), "{entries:?}");
    let texts: Vec<Value> = entries.iter().map(|(_, _, text, _)| json!(text)).collect();
    assert!(
        odd[..5].iter().all(|text| texts.contains(text)),
        "{texts:?}"
    );
    assert!(forwarder.sentry.events().is_empty());
}
