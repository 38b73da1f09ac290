//! DEPLOY.md on spans, on the stack of `cargo local`: deployed with a collector's address while it
//! runs, its compiled functions export the spans of one payment.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use serde_json::{Value, json};

use super::{CommandRun, DEPLOY};
use crate::support::{Collector, Got};

/// How long a payment's way may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(90);

pub(super) fn are_looked_at(testbed: &mut CommandRun, admin: &impl Fn(&str, Value)) {
    let machine = tokio::runtime::Runtime::new().expect("a runtime");
    let collector = machine.block_on(Collector::start());
    let port = collector.url.rsplit(':').next().expect("a port");
    let port = port.split('/').next().expect("a port").to_owned();
    let values = [("4318", port.as_str())];
    testbed.run(DEPLOY, "cargo local deploy OtlpEndpoint=http", &values);
    testbed.shell.forget_outputs();
    admin("pay", json!({ "order": "TEA-0005" }));
    testbed.await_output("cargo client get TEA-0005", "\"state\": \"paid\"");
    let spans = one_payment(&collector);
    for service in ["create-order", "receive-callback", "process-payment"] {
        assert!(
            spans.iter().any(|span| span.service == service),
            "{service}"
        );
    }
    assert!(
        spans
            .iter()
            .all(|span| !format!("{span:?}").contains("TEA-"))
    );
    testbed.run(DEPLOY, "cargo local deploy OtlpEndpoint=", &[]);
    testbed.shell.forget_outputs();
}

/// The spans, when those of a payment have come: from the request by the callback to the event.
fn one_payment(collector: &Collector) -> Vec<Got> {
    let began = Instant::now();
    loop {
        let spans = collector.got();
        if is_there(&spans).is_some() {
            return spans;
        }
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert!(began.elapsed() < WITHIN, "{names:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn is_there(spans: &[Got]) -> Option<()> {
    let is = |name: &'static str, kind| move |span: &&Got| span.name == name && span.kind == kind;
    let request = spans.iter().find(is("POST /v1/orders", Kind::Server))?;
    let is_under =
        |span: &&Got| (&span.trace_id, &span.parent) == (&request.trace_id, &request.span_id);
    let under: Vec<&Got> = spans.iter().filter(is_under).collect();
    under
        .iter()
        .find(|span| span.name == "POST /v3/pay/transactions/native")?;
    let issued = under
        .iter()
        .find(|span| span.name == "order awaiting_payment")?;
    let callback = spans
        .iter()
        .find(is("POST /v1/callbacks/wechatpay", Kind::Server))?;
    let work = spans
        .iter()
        .find(|span| span.name == "process message" && span.parent == callback.span_id)?;
    let paid = spans
        .iter()
        .find(|span| span.name == "order paid" && span.parent == work.span_id)?;
    paid.links.contains(&issued.ids()).then_some(())
}
