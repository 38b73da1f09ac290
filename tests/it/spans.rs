//! Spans as a collector gets them over HTTP: one order's way, what is not recorded, what is lost,
//! and CloudWatch's signature.

mod cut_off;
mod daily;
mod linked;
mod lost;
mod signature;

use std::{collections::BTreeSet, time::Duration};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use payments::model::trace::{SpanOf, span_id};
use runtime::{
    net::{Reach, WebhookUrl},
    otlp::Spans,
};
use serde_json::{Value, json};
use wechatpay_simulator::{Damage, Fault, PayOptions, Rule};

use crate::{
    support::{Collector, Got, Testbed, invocation, native},
    webhooks::{Receiver, deliver, secret},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";

/// The functions of an order's way, each with its recorder.
struct Recorded {
    testbed: Testbed,
    collector: Collector,
    create_order: Spans,
    receive_callback: Spans,
    process_payment: Spans,
    send_webhook: Spans,
}

impl Recorded {
    async fn start() -> Self {
        let (testbed, collector) = (Testbed::start().await, Collector::start().await);
        let of = |service| collector.spans_of(service, &testbed.clock);
        Self {
            create_order: of("create-order"),
            receive_callback: of("receive-callback"),
            process_payment: of("process-payment"),
            send_webhook: of("send-webhook"),
            testbed,
            collector,
        }
    }

    /// An order under the caller's trace with these flags. Gives the answer's `traceparent`.
    async fn create(
        &self,
        order_no: &str,
        trace: &str,
        flags: &str,
        more: &[(&str, &str)],
    ) -> String {
        let testbed = &self.testbed;
        let traceparent = format!("00-{trace}-{CALLERS_SPAN}-{flags}");
        let mut headers = vec![("traceparent", traceparent.as_str())];
        headers.extend(more);
        let body = native(order_no);
        let request = testbed
            .client
            .post_with("/v1/orders", &body, &headers, testbed);
        let created = self
            .create_order
            .invocation(invocation("create"), testbed.send(request));
        let answer = created.await;
        assert!([201, 202].contains(&answer.status), "{answer:?}");
        answer.header("traceparent").expect("a trace").to_owned()
    }

    /// The payer pays, and the callback comes.
    async fn pay(&self, order_no: &str) {
        let admin = self.testbed.wechat.admin();
        let lost = admin.add_fault(Rule::always(Fault::LostCallback));
        admin
            .pay(order_no, &PayOptions::default())
            .expect("a payment");
        self.testbed.deliver().await;
        admin.clear_faults(Some(lost.expect("a fault")));
        let signed = admin.signed_callback(order_no, &Damage::None);
        let signed = signed.expect("a paid order");
        let received = self.testbed.receive(&signed);
        let received = self
            .receive_callback
            .invocation(invocation("callback"), received);
        assert_eq!(received.await.status, 204);
    }

    async fn work_off(&self) {
        let worked_off = self.testbed.work_off();
        let worked_off = self
            .process_payment
            .invocation(invocation("work"), worked_off);
        assert_eq!(worked_off.await, 0);
    }

    /// An event of the order goes to its receiver. Gives the `traceparent` that this one got.
    async fn send_webhook(&self, order_no: &str, version: u64) -> String {
        let testbed = &self.testbed;
        let receiver = Receiver::start().await;
        let url = WebhookUrl::parse(&receiver.url(), Reach::PublicAndLoopback);
        let url = url.expect("a URL");
        let set_up = testbed.keys.put_webhook("shop", &url, &secret(7)).await;
        set_up.expect("a webhook");
        let path = format!("/v1/orders/{order_no}/events/{version}/replay");
        assert_eq!(testbed.post(&path, &json!({})).await.status, 202);
        let events = testbed.webhooks().await;
        let [event] = &events[..] else {
            panic!("{events:?}");
        };
        let app = testbed.send_webhook();
        let sent = deliver(&app, &testbed.clock, event);
        self.send_webhook
            .invocation(invocation("webhook"), sent)
            .await;
        let got = receiver.got();
        got[0].header("traceparent").expect("a trace").to_owned()
    }
}

fn named<'a>(got: &'a [Got], name: &str) -> &'a Got {
    let mut found = got.iter().filter(|span| span.name == name);
    let first = found.next();
    first.unwrap_or_else(|| panic!("{name}: {got:#?}"))
}

fn is(span: &Got, attributes: &[(&str, Value)]) {
    for (key, value) in attributes {
        assert_eq!(&span.attributes[*key], value, "{key}: {span:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_s_way_holds_together_from_its_creation_to_its_webhook() {
    let recorded = Recorded::start().await;
    let returned = recorded.create("ORDER-1", TRACE, "01", &[]).await;
    recorded.testbed.advance(Duration::from_millis(1_500)).await;
    recorded.pay("ORDER-1").await;
    recorded.testbed.advance(Duration::from_millis(85)).await;
    recorded.work_off().await;
    let journal = recorded.testbed.journal("ORDER-1").await;
    let order_no = crate::support::number("ORDER-1");
    let paid = journal.last().expect("events");
    assert_eq!(paid.to, "paid");
    let sent = recorded.send_webhook("ORDER-1", paid.version).await;
    let got = recorded.collector.got();

    // The request, under its caller's span, by the id that its answer named.
    let request = named(&got, "POST /v1/orders");
    assert_eq!(
        (request.kind, request.service.as_str()),
        (Kind::Server, "create-order")
    );
    assert_eq!(returned, format!("00-{TRACE}-{}-01", request.span_id));
    assert_eq!(
        (request.trace_id.as_str(), request.parent.as_str()),
        (TRACE, CALLERS_SPAN)
    );
    is(
        request,
        &[
            ("http.request.method", json!("POST")),
            ("http.route", json!("/v1/orders")),
            ("http.response.status_code", json!(201)),
            ("faas.coldstart", json!(true)),
            ("faas.invocation_id", json!("create")),
            ("faas.trigger", json!("http")),
        ],
    );
    let prepay = named(&got, "POST /v3/pay/transactions/native");
    assert_eq!(
        (prepay.kind, &prepay.parent),
        (Kind::Client, &request.span_id)
    );
    is(
        prepay,
        &[
            ("url.template", json!("/v3/pay/transactions/native")),
            ("server.address", json!("127.0.0.1")),
            ("http.response.status_code", json!(200)),
            ("wechatpay.interface", json!("prepay_native")),
        ],
    );
    let write = named(&got, "SQS.SendMessage");
    is(
        write,
        &[
            ("rpc.system", json!("aws-api")),
            ("rpc.service", json!("SQS")),
            ("rpc.method", json!("SendMessage")),
        ],
    );
    let issued = &journal[journal.len() - 2];
    assert_eq!(
        (issued.trace.as_str(), issued.to.as_str()),
        (TRACE, "awaiting_payment")
    );
    assert_ne!(paid.trace, TRACE);
    let issued = (issued.trace.clone(), issued.span_id(&order_no));
    // Each event of the journal is a span by the ids that messages and webhooks name.
    for event in &journal {
        let id = event.span_id(&order_no);
        let span = got.iter().find(|span| span.span_id == id);
        let span = span.unwrap_or_else(|| panic!("{event:?}"));
        assert_eq!(span.trace_id, event.trace, "{event:?}");
        assert_eq!(span.parent, event.parent_span_id(), "{event:?}");
        assert_eq!(span.name, format!("order {}", event.to));
        assert_eq!(i64::try_from(span.from_ms).expect("a time"), event.at_ms());
        // The callback's is linked to the order's trace, which its own begins apart from.
        let links = if event.trace == TRACE {
            vec![]
        } else {
            vec![issued.clone()]
        };
        assert_eq!(span.links, links, "{event:?}");
    }
    // The callback, by the id that its message names; what it called AWS for is under it.
    let callback = named(&got, "POST /v1/callbacks/wechatpay");
    let of = SpanOf::Callback {
        notice_id: paid.cause.id(),
    };
    assert_eq!(callback.span_id, span_id(&paid.trace, of));
    assert_eq!(
        (callback.trace_id.as_str(), callback.parent.as_str()),
        (paid.trace.as_str(), "")
    );
    let under = got.iter().filter(|span| span.parent == callback.span_id);
    let under: BTreeSet<&str> = under.map(|span| span.name.as_str()).collect();
    assert!(under.contains("SQS.SendMessage"), "{under:?}");
    assert!(
        under.iter().any(|name| name.starts_with("DynamoDB.")),
        "{under:?}"
    );
    // The batch is a trace of its own, linked to its message's context. The work on the message
    // goes on with the message's trace.
    let batch = named(&got, "process payment-results");
    assert_eq!((batch.kind, batch.parent.as_str()), (Kind::Consumer, ""));
    assert_eq!(batch.links, [callback.ids()]);
    is(
        batch,
        &[
            ("messaging.batch.message_count", json!(1)),
            ("messaging.system", json!("aws_sqs")),
        ],
    );
    let work = named(&got, "process message");
    assert_eq!(work.span_id, paid.parent_span_id());
    assert_eq!(work.parent, callback.span_id);
    assert_eq!(work.links, [callback.ids(), batch.ids()]);
    // The webhook: the receiver's own spans follow the event, and so does the attempt.
    let event_id = paid.span_id(&order_no);
    assert_eq!(sent, format!("00-{}-{event_id}-01", paid.trace));
    let webhooks = got
        .iter()
        .find(|span| span.service == "send-webhook" && span.parent.is_empty());
    let webhooks = webhooks.expect("a batch");
    assert_eq!(webhooks.links, [(paid.trace.clone(), event_id.clone())]);
    let attempt = named(&got, "send webhook");
    assert_eq!(attempt.parent, event_id);
    let post = named(&got, "POST");
    assert_eq!((post.kind, &post.parent), (Kind::Client, &attempt.span_id));
    is(
        post,
        &[
            ("http.response.status_code", json!(204)),
            ("server.address", json!("127.0.0.1")),
        ],
    );

    holds_together(&got, &["ORDER-1", "t0k3n", "1900000001"]);
}

/// Each span once, no parent that is nowhere, and nothing that names an order or holds a secret.
fn holds_together(got: &[Got], never: &[&str]) {
    let ids: BTreeSet<(String, String)> = got.iter().map(Got::ids).collect();
    assert_eq!(ids.len(), got.len(), "each span has an id of its own");
    for span in got {
        let parent = (span.trace_id.clone(), span.parent.clone());
        let is_there =
            span.parent.is_empty() || span.parent == CALLERS_SPAN || ids.contains(&parent);
        assert!(is_there, "a parent that is nowhere: {span:#?}");
        assert!(span.from_ms <= span.until_ms, "{span:#?}");
        for never in never {
            assert!(!format!("{span:?}").contains(never), "{never}: {span:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_linked_to_each_message_and_under_none() {
    let recorded = Recorded::start().await;
    let other = TRACE.replace('4', "5");
    let wait = [("prefer", "respond-async")];
    recorded.create("ORDER-1", TRACE, "01", &wait).await;
    recorded.create("ORDER-2", &other, "01", &wait).await;
    let [sent, _] = recorded.testbed.traces();
    recorded.work_off().await;
    let got = recorded.collector.got();
    let batch = named(&got, "process payment-requests");
    let links: BTreeSet<String> = batch
        .links
        .iter()
        .map(|(trace_id, span_id)| format!("00-{trace_id}-{span_id}-01"))
        .collect();
    assert_eq!(
        links,
        sent.into_iter()
            .map(|(traceparent, _)| traceparent)
            .collect()
    );
    assert!(batch.trace_id != TRACE && batch.trace_id != other);
    assert_eq!(batch.attributes["messaging.batch.message_count"], 2);
    let calls = got
        .iter()
        .filter(|span| span.name == "POST /v3/pay/transactions/native");
    let traces: BTreeSet<&str> = calls.map(|span| span.trace_id.as_str()).collect();
    assert_eq!(
        traces,
        BTreeSet::from([TRACE, other.as_str()]),
        "each call is in its order's trace"
    );
    holds_together(&got, &["ORDER-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_s_vendor_sends_along_is_exported_with_the_spans_of_its_trace() {
    let recorded = Recorded::start().await;
    let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let headers = [("prefer", "respond-async"), ("tracestate", state)];
    recorded.create("ORDER-1", TRACE, "01", &headers).await;
    recorded.work_off().await;
    let got = recorded.collector.got();
    let of_trace = got.iter().filter(|span| span.trace_id == TRACE);
    let names: BTreeSet<&str> = of_trace.clone().map(|span| span.name.as_str()).collect();
    for name in [
        "POST /v1/orders",
        "order reserved",
        "process message",
        "POST /v3/pay/transactions/native",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    for span in of_trace {
        assert_eq!(span.trace_state, state, "{span:#?}");
    }
    assert_eq!(
        named(&got, "process payment-requests").trace_state,
        "",
        "the batch is of no trace"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_keeps_no_spans_makes_us_export_none() {
    let recorded = Recorded::start().await;
    recorded
        .create("ORDER-1", TRACE, "00", &[("prefer", "respond-async")])
        .await;
    recorded.work_off().await;
    let order = recorded.testbed.get_order("ORDER-1").await;
    assert_eq!(order.body["state"], "awaiting_payment");
    // The journal keeps it, so the webhook's spans are not exported either, nor its receiver's.
    let sent = recorded.send_webhook("ORDER-1", 2).await;
    assert!(
        sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"),
        "{sent}"
    );
    assert!(recorded.collector.exports().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_named_by_what_it_was_and_not_by_what_was_asked() {
    let recorded = Recorded::start().await;
    let admin = recorded.testbed.wechat.admin();
    let fault = Rule::always(Fault::ServerErrorBefore { status: 500 });
    admin.add_fault(fault).expect("a fault");
    recorded.create("ORDER-1", TRACE, "01", &[]).await;
    let got = recorded.collector.got();
    let call = named(&got, "POST /v3/pay/transactions/native");
    assert!(call.has_failed, "{call:#?}");
    is(
        call,
        &[
            ("error.type", json!("500")),
            ("http.response.status_code", json!(500)),
        ],
    );
    assert!(
        !named(&got, "POST /v1/orders").has_failed,
        "it was put into the queue"
    );
    // The same number once more: a condition that does not hold is an answer, and no failure.
    let testbed = &recorded.testbed;
    let request = testbed
        .client
        .post("/v1/orders", &native("ORDER-1"), testbed);
    let again = recorded
        .create_order
        .invocation(invocation("again"), testbed.send(request));
    again.await;
    let got = recorded.collector.got();
    let taken = got
        .iter()
        .find(|span| span.attributes["error.type"] == "ConditionalCheckFailedException");
    let taken = taken.unwrap_or_else(|| panic!("{got:#?}"));
    assert!(!taken.has_failed, "{taken:#?}");
    is(
        taken,
        &[
            ("http.response.status_code", json!(400)),
            ("rpc.system", json!("aws-api")),
        ],
    );
    let cold = got
        .iter()
        .filter(|span| span.attributes["faas.coldstart"] == true);
    assert_eq!(cold.count(), 1, "the first request alone met a cold start");
}
