//! An operator's decisions about a refund: `retry`, `release`, `abnormal` and `payer-paid` under
//! `/v1/orders/{order_no}/refunds/{refund_no}`.

use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome, Rule};

use super::refunds::{REFUND, REFUNDED_IN};
use super::values::{good_or_bad, object, runner, text};
use super::{CONTRACT, bare_post, conforms, held, paid, text_post, unsigned, validator};
use crate::support::{ApiAnswer, Testbed};

const RETRY: &str = "/v1/orders/{order_no}/refunds/{refund_no}/retry";
const RELEASE: &str = "/v1/orders/{order_no}/refunds/{refund_no}/release";
const PAYER_PAID: &str = "/v1/orders/{order_no}/refunds/{refund_no}/payer-paid";
const ABNORMAL: &str = "/v1/orders/{order_no}/refunds/{refund_no}/abnormal";

/// A route's path for a refund.
fn path(route: &str, order_no: &str, refund_no: &str) -> String {
    route
        .replace("{order_no}", order_no)
        .replace("{refund_no}", refund_no)
}

/// Bodies of these members are taken by the route exactly when the schema takes them: what a refund
/// in another state is answered comes after that.
async fn decisions(
    route: &str,
    schema: &str,
    members: &[&str],
    values: Vec<BoxedStrategy<Option<Value>>>,
) {
    let testbed = Testbed::start().await;
    paid(&testbed, "ORDER-1", 100).await;
    assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
    let schema = validator(&CONTRACT["components"]["schemas"][schema]);
    let mut runner = runner();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..200 {
        let drawn = values.new_tree(&mut runner).expect("a value").current();
        let body = Value::Object(object(members, drawn));
        let post = testbed
            .client
            .post(&path(route, "ORDER-1", "R1"), &body, &testbed);
        let answer = testbed.send(post).await;
        conforms(route, "post", &answer);
        let expected = if schema.is_valid(&body) { 409 } else { 400 };
        assert_eq!(answer.status, expected, "{body}: {}", answer.body);
        taken += usize::from(expected == 409);
        refused += usize::from(expected == 400);
    }
    assert!(
        taken > 30 && refused > 30,
        "{taken} taken, {refused} refused"
    );
}

fn mostly(values: BoxedStrategy<Value>) -> BoxedStrategy<Option<Value>> {
    proptest::option::weighted(0.9, values).boxed()
}

fn seldom(values: BoxedStrategy<Value>) -> BoxedStrategy<Option<Value>> {
    proptest::option::weighted(0.05, values).boxed()
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_releases_are_taken_exactly_when_the_contract_takes_them() {
    let unknown = seldom(Just(json!("?")).boxed());
    let values = vec![mostly(text(64)), mostly(text(256)), unknown];
    decisions(
        RELEASE,
        "PersonDecides",
        &["who", "why", "unknown_member"],
        values,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_redirections_are_taken_exactly_when_the_contract_takes_them() {
    let user = vec![
        mostly(good_or_bad(vec![json!("user")], vec![json!("bank")])),
        mostly(text(16)),
        mostly(text(64)),
        mostly(text(64)),
        mostly(Just(json!("li")).boxed()),
        mostly(Just(json!("card gone")).boxed()),
        seldom(Just(json!("?")).boxed()),
    ];
    let members = [
        "to",
        "bank_type",
        "bank_account",
        "real_name",
        "who",
        "why",
        "unknown_member",
    ];
    decisions(ABNORMAL, "RedirectRefund", &members, user).await;
    let merchant = vec![
        mostly(good_or_bad(
            vec![json!("merchant")],
            vec![json!(1), json!("")],
        )),
        seldom(text(16)),
        seldom(text(64)),
        seldom(text(64)),
        mostly(text(64)),
        mostly(text(256)),
        proptest::option::weighted(0.2, Just(json!("?"))).boxed(),
    ];
    decisions(ABNORMAL, "RedirectRefund", &members, merchant).await;
}

/// A refund of a paid order that came to this.
async fn refunded(testbed: &Testbed, order_no: &str, outcome: RefundOutcome, state: &str) {
    paid(testbed, order_no, 100).await;
    testbed.wechat.admin().set_refund_outcome(outcome);
    assert_eq!(testbed.refund(order_no, "R1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
    testbed.advance(REFUNDED_IN).await;
    assert_eq!(testbed.work_off().await, 0);
    let path = path(REFUND, order_no, "R1");
    let shown = held(testbed, REFUND, testbed.client.get(&path, testbed), 200).await;
    assert_eq!(shown.body["state"], state, "{}", shown.body);
    assert!(shown.body["what_to_do"].is_string(), "{}", shown.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_about_a_refused_refund_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    refunded(&testbed, "ORDER-1", RefundOutcome::Refused, "refused").await;
    let decision = json!({"who": "li", "why": "Paid in cash"});
    let retry = async |order_no: &str, refund_no: &str, status| -> ApiAnswer {
        let request = bare_post(&testbed, &path(RETRY, order_no, refund_no));
        held(&testbed, RETRY, request, status).await
    };
    let release = async |order_no: &str, refund_no: &str, status| -> ApiAnswer {
        let request = testbed
            .client
            .post(&path(RELEASE, order_no, refund_no), &decision, &testbed);
        held(&testbed, RELEASE, request, status).await
    };
    let again = retry("ORDER-1", "R1", 202).await;
    assert_eq!(again.body["state"], "reserved");
    let repeated = retry("ORDER-1", "R1", 202).await;
    assert_eq!(repeated.body["state"], "reserved", "it was taken before");
    assert_eq!(release("ORDER-1", "R1", 409).await.code(), "refund_state");
    assert_eq!(testbed.work_off().await, 0);

    let silent = Rule::always(Fault::ServerErrorBefore { status: 500 }).at(Endpoint::QueryRefund);
    testbed.wechat.admin().add_fault(silent).expect("a rule");
    assert_eq!(
        release("ORDER-1", "R1", 503).await.code(),
        "wechatpay_silent"
    );
    testbed.wechat.admin().clear_faults(None);
    let released = release("ORDER-1", "R1", 200).await;
    assert_eq!(released.body["state"], "closed");
    let repeated = release("ORDER-1", "R1", 200).await;
    assert_eq!(repeated.body, released.body, "it was taken before");
    assert_eq!(retry("ORDER-1", "R1", 409).await.code(), "refund_state");

    for (order_no, refund_no) in [
        ("ORDER-1", "R9"),
        ("ORDER-1", "has.stop"),
        ("ORDER-9", "R1"),
        ("x", "R1"),
    ] {
        retry(order_no, refund_no, 404).await;
        release(order_no, refund_no, 404).await;
    }
    let target = path(RELEASE, "ORDER-1", "R1");
    let post = |body: &Value| testbed.client.post(&target, body, &testbed);
    assert_eq!(
        held(&testbed, RELEASE, post(&json!([])), 400).await.code(),
        "malformed"
    );
    let without_who = json!({"who": "", "why": "x"});
    assert_eq!(
        held(&testbed, RELEASE, post(&without_who), 400)
            .await
            .code(),
        "invalid_request"
    );
    let large = json!({"who": "li", "why": "x".repeat(17_000)});
    held(&testbed, RELEASE, post(&large), 413).await;
    held(
        &testbed,
        RELEASE,
        text_post(&testbed, &target, &decision),
        415,
    )
    .await;
    held(&testbed, RELEASE, unsigned("POST", &target), 401).await;
    held(
        &testbed,
        RETRY,
        unsigned("POST", &path(RETRY, "ORDER-1", "R1")),
        401,
    )
    .await;
    testbed.wire.break_all(
        Match::service(Service::DynamoDb).on(&testbed.tables.orders),
        AwsFault::ServiceFault,
    );
    retry("ORDER-1", "R1", 503).await;
    release("ORDER-1", "R1", 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_about_an_abnormal_refund_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    refunded(&testbed, "ORDER-1", RefundOutcome::Abnormal, "abnormal").await;
    let target = path(ABNORMAL, "ORDER-1", "R1");
    let merchant = json!({"to": "merchant", "who": "li", "why": "card gone"});
    let post = |body: &Value| testbed.client.post(&target, body, &testbed);

    let silent =
        Rule::always(Fault::ServerErrorBefore { status: 500 }).at(Endpoint::AbnormalRefund);
    testbed.wechat.admin().add_fault(silent).expect("a rule");
    let answer = held(&testbed, ABNORMAL, post(&merchant), 503).await;
    assert_eq!(answer.code(), "wechatpay_silent");
    testbed.wechat.admin().clear_faults(None);
    let card = json!({"to": "user", "bank_type": "ICBC_DEBIT", "bank_account": "6222020000000000000", "real_name": "张三", "who": "li", "why": "another card"});
    let at_once = held(&testbed, ABNORMAL, post(&card), 409).await;
    assert_eq!(at_once.code(), "refund_state", "the first may be under way");
    testbed.advance(std::time::Duration::from_secs(60)).await;
    held(&testbed, ABNORMAL, post(&card), 202).await;
    let again = held(&testbed, ABNORMAL, post(&merchant), 409).await;
    assert_eq!(again.code(), "refund_state", "it is being paid out");

    assert_eq!(
        held(&testbed, ABNORMAL, post(&json!({"to": "bank"})), 400)
            .await
            .code(),
        "invalid_request"
    );
    let mut large = card.clone();
    large["real_name"] = json!("x".repeat(17_000));
    held(&testbed, ABNORMAL, post(&large), 413).await;
    held(
        &testbed,
        ABNORMAL,
        text_post(&testbed, &target, &merchant),
        415,
    )
    .await;
    held(&testbed, ABNORMAL, unsigned("POST", &target), 401).await;
    for (order_no, refund_no) in [
        ("ORDER-1", "R9"),
        ("ORDER-1", "has.stop"),
        ("ORDER-9", "R1"),
        ("x", "R1"),
    ] {
        let request =
            testbed
                .client
                .post(&path(ABNORMAL, order_no, refund_no), &merchant, &testbed);
        held(&testbed, ABNORMAL, request, 404).await;
    }
    testbed.advance(REFUNDED_IN).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(
        held(&testbed, ABNORMAL, post(&merchant), 409).await.code(),
        "refund_state"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_about_a_payer_who_is_owed_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    refunded(&testbed, "ORDER-1", RefundOutcome::Abnormal, "abnormal").await;
    let paid = json!({"who": "li", "why": "by bank"});
    let target = path(PAYER_PAID, "ORDER-1", "R1");
    let post = |body: &Value| testbed.client.post(&target, body, &testbed);
    let early = held(&testbed, PAYER_PAID, post(&paid), 409).await;
    assert_eq!(early.code(), "refund_state");
    let merchant = json!({"to": "merchant", "who": "li", "why": "card gone"});
    let redirect = path(ABNORMAL, "ORDER-1", "R1");
    let redirect = testbed.client.post(&redirect, &merchant, &testbed);
    let sent = held(&testbed, ABNORMAL, redirect, 202).await;
    assert_eq!(sent.body["redirected"]["to"], "merchant");
    testbed.advance(REFUNDED_IN).await;
    assert_eq!(testbed.work_off().await, 0);
    let shown = testbed.client.get(&path(REFUND, "ORDER-1", "R1"), &testbed);
    let shown = held(&testbed, REFUND, shown, 200).await;
    assert_eq!(shown.body["payer_owed"], true, "{}", shown.body);
    let order = async || {
        let get = testbed.client.get("/v1/orders/ORDER-1", &testbed);
        held(&testbed, "/v1/orders/{order_no}", get, 200).await.body
    };
    assert_eq!(order().await["payer_owed"], true);

    held(&testbed, PAYER_PAID, post(&json!({"who": "li"})), 400).await;
    let large = json!({"who": "li", "why": "x".repeat(17_000)});
    held(&testbed, PAYER_PAID, post(&large), 413).await;
    held(
        &testbed,
        PAYER_PAID,
        text_post(&testbed, &target, &paid),
        415,
    )
    .await;
    held(&testbed, PAYER_PAID, unsigned("POST", &target), 401).await;
    let other = path(PAYER_PAID, "ORDER-1", "R9");
    held(
        &testbed,
        PAYER_PAID,
        testbed.client.post(&other, &paid, &testbed),
        404,
    )
    .await;
    let closed = held(&testbed, PAYER_PAID, post(&paid), 200).await;
    assert_eq!(closed.body["payer_paid"]["why"], "by bank");
    assert!(order().await.get("payer_owed").is_none());
    let events = "/v1/orders/{order_no}/events";
    let listed = testbed.client.get("/v1/orders/ORDER-1/events", &testbed);
    held(&testbed, events, listed, 200).await;
    testbed.wire.break_all(
        Match::service(Service::DynamoDb).on(&testbed.tables.orders),
        AwsFault::ServiceFault,
    );
    held(&testbed, PAYER_PAID, post(&paid), 503).await;
}
