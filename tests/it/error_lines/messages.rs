//! Notices, messages of queues, callbacks and requests that fail on our side.

use http::Request;
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, PayOptions};

use super::common::{MINUTE, named};
use super::page::row_of;
use crate::support::{Lines, Testbed, native};
use crate::webhooks::WebhookTestbed;

pub(super) async fn money_of_another_currency_comes() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let dollars = json!({"amount": {"currency": "USD"}});
    testbed.pay_altered("ORDER-1", dollars).await;
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    assert_eq!(testbed.notices().await[0]["status"], "parked");
    lines.take("ERROR")
}

pub(super) async fn a_signed_notice_cannot_be_read() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let odd = Damage::Altered(json!({"trade_state": 7}));
    let callback = admin.signed_callback("ORDER-1", &odd).unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    let [kept] = &testbed.notices().await[..] else {
        panic!("one notice");
    };
    let lines = lines.take("ERROR");
    assert_eq!(lines[0]["notice_id"], kept["notice_id"]);
    assert_eq!(lines[0]["what_to_do"], kept["what_to_do"]);
    lines
}

pub(super) async fn messages_are_written_by_hand() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.forge_result("by hand").await;
    assert_eq!(lines.of(testbed.work_off()).await, 1);
    testbed.forge_work("by hand").await;
    assert_eq!(lines.of(testbed.work_off_days()).await, 1);
    let webhooks = WebhookTestbed::start().await;
    webhooks.send("by hand").await;
    assert_eq!(lines.of(webhooks.work_off()).await, 1);
    let lines = lines.take("ERROR");
    assert_eq!(named(&lines, "message needs a person").len(), 3);
    lines
}

pub(super) async fn callbacks_are_not_acknowledged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    let mut causes = Vec::new();
    let mut refused = async |status| {
        assert_eq!(lines.of(testbed.receive(&callback)).await.status, status);
        let errors = lines.take("ERROR");
        let cause = errors[0]["cause"].as_str().expect("a name").to_owned();
        causes.push(cause);
        errors
    };
    // No sandbox has read the keys so far.
    for (service, fault) in [
        (Service::DynamoDb, AwsFault::ServiceFault),
        (Service::Kms, AwsFault::Denied),
        (Service::Sqs, AwsFault::Denied),
    ] {
        testbed.wire.break_all(Match::service(service), fault);
        refused(503).await;
        testbed.wire.mend();
        testbed.clock.advance(MINUTE);
    }
    // An APIv3 key that is not here.
    let callback = admin.signed_callback("ORDER-1", &Damage::ForeignApiv3Key);
    let answer = lines.of(testbed.receive(&callback.unwrap())).await;
    assert_eq!(answer.status, 500);
    let all = lines.take("ERROR");
    assert_eq!(
        causes,
        ["keys_unavailable", "keys_unavailable", "queue_unavailable"]
    );
    assert_eq!(all[0]["cause"], "does_not_open");
    // It comes again.
    let again = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(testbed.receive(&again).await.status, 204);
    all
}

fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).expect("a request")
}

pub(super) async fn services_fail_behind_the_api_and_the_console() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let mut all = Vec::new();
    for (service, fault, named) in [
        (
            Service::DynamoDb,
            AwsFault::Unreachable,
            "`did not reach the service`",
        ),
        (
            Service::DynamoDb,
            AwsFault::ServiceFault,
            "`failed inside the service`",
        ),
        (Service::DynamoDb, AwsFault::Throttled, "`was throttled`"),
        (
            Service::DynamoDb,
            AwsFault::Denied,
            "`AccessDeniedException`",
        ),
        (Service::Kms, AwsFault::Denied, "KMS"),
        (Service::Sqs, AwsFault::Denied, "queue"),
    ] {
        testbed.wire.break_all(Match::service(service), fault);
        let later = [("prefer", "respond-async")];
        let body = native("ORDER-1");
        let ordered = testbed
            .client
            .post_with("/v1/orders", &body, &later, &testbed);
        let answer = lines.of(testbed.send(ordered)).await;
        testbed.wire.mend();
        let errors = lines.take("ERROR");
        assert_eq!(answer.status, 503, "{service:?} {fault:?}: {errors:?}");
        let error = errors[0]["error"].as_str().expect("words");
        assert!(
            error.contains(named.trim_matches('`')),
            "{service:?} {fault:?}: {error}"
        );
        let (_, row) = row_of("request failed on our side");
        assert!(row.contains(named), "{named}: {row}");
        all.extend(errors);
    }
    let dynamo = Match::service(Service::DynamoDb);
    testbed.wire.break_all(dynamo, AwsFault::ServiceFault);
    let day = format!("/v1/reconciliations/{}", testbed.day(1));
    let li = json!({
        "email": "li@example.com", "email_verified": "true", "cognito:groups": "[finance]",
    });
    let answer = lines.of(testbed.console(Some(li), get(&day))).await;
    assert_eq!(answer.status(), 503);
    all.extend(lines.take("ERROR"));
    all
}

pub(super) async fn parked_notices_may_not_be_read() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let counts = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.notices);
    testbed.wire.break_all(counts, AwsFault::Denied);
    lines.of(testbed.certificates()).await;
    lines.take("ERROR")
}
