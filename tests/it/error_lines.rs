//! The page for ERROR lines, row by row: each line is brought about, has the fields that the page's
//! query shows, and what its row promises comes true. A message of the page without a stage fails
//! the test, and so does a place in the code whose line no stage brings about.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use http::Request;
use payments::reconcile::{difference::DifferenceState, run::RunState};
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{
    Damage, Endpoint, Fault, PayOptions, RefundOutcome, RefundStatus, Rule, SigningMode,
};

use crate::{
    blocked, console,
    payer_owed::{ConsoleDifference, could_not_be_paid_out},
    refunds,
    runbooks::{error_places, page},
    support::{Lines, MCHID, Testbed, TestbedOptions, native},
    webhooks::{self, WebhookTestbed},
};

const PAGE: &str = "error-lines.md";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A line as the page has it.
struct Line {
    /// Which module logs it.
    module: &'static str,
    message: &'static str,
    /// What an operator needs: what it is about, why, and what to do.
    fields: &'static [&'static str],
    /// What its row says, and the stage shows.
    row: &'static str,
}

const fn line(
    module: &'static str,
    message: &'static str,
    fields: &'static [&'static str],
    row: &'static str,
) -> Line {
    Line {
        module,
        message,
        fields,
        row,
    }
}

/// Brings lines about, and gives all at ERROR.
type Stage = fn() -> LocalBoxFuture<'static, Vec<Value>>;

/// All stages, with the lines that each brings about.
const STAGES: &[(Stage, &[Line])] = &[
    (
        || money_of_another_currency_comes().boxed_local(),
        &[
            line(
                "flows::settle_payment",
                "money parked for a person",
                &["order_no", "reason", "what_to_do", "wechat_request_id"],
                "`notices-parked` stays on until a person has decided",
            ),
            line(
                "process_payment::ledger",
                "notice parked for a person",
                &["notice_id", "order_no", "what_to_do"],
                "`notices-parked` stays on until a person has decided",
            ),
        ],
    ),
    (
        || a_signed_notice_cannot_be_read().boxed_local(),
        &[line(
            "process_payment::ledger",
            "notice parked for a person",
            &["notice_id", "what_to_do"],
            "[notices.md](notices.md)",
        )],
    ),
    (
        || messages_are_written_by_hand().boxed_local(),
        &[
            line(
                "process_payment::handler",
                "unknown message",
                &[],
                "a queue's message that no try can finish",
            ),
            line(
                "reconcile::handler",
                "unknown message",
                &[],
                "a queue's message that no try can finish",
            ),
            line(
                "send_webhook::handler",
                "unknown message",
                &[],
                "a queue's message that no try can finish",
            ),
            line(
                "flows::verdict",
                "message needs a person",
                &["error"],
                "It goes on to the dead-letter queue",
            ),
        ],
    ),
    (
        || the_merchant_is_refused().boxed_local(),
        &[line(
            "wechat_client::api::answer",
            "WeChat Pay refuses the merchant, and not this request alone",
            &["refusal", "what_to_do", "wechat_request_id"],
            "Orders and refunds wait and go on by themselves",
        )],
    ),
    (
        || wechat_pay_signs_with_an_unknown_key().boxed_local(),
        &[
            line(
                "receive_callback::handler",
                "callback refused: none of WeChat Pay's keys here verifies it",
                &["error", "what_to_do"],
                "the alarms `callbacks-unverified` and `answers-unverified`",
            ),
            line(
                "wechat_client::api::answer",
                "an answer was not believed",
                &["error", "what_to_do", "wechat_request_id"],
                "the alarms `callbacks-unverified` and `answers-unverified`",
            ),
        ],
    ),
    (
        || callbacks_are_not_acknowledged().boxed_local(),
        &[line(
            "receive_callback::handler",
            "callback not acknowledged",
            &["error"],
            "it comes again. SQS, KMS, or [keys.md](keys.md)",
        )],
    ),
    (
        || services_fail_behind_the_api_and_the_console().boxed_local(),
        &[
            line(
                "flows::problem",
                "request failed on our side",
                &["error"],
                "a client, or somebody at our console, got a 503",
            ),
            line(
                "flows::problem::reconciliation",
                "request failed on our side",
                &["error"],
                "a client, or somebody at our console, got a 503",
            ),
        ],
    ),
    (
        || a_webhook_fails_for_the_eighth_time().boxed_local(),
        &[line(
            "send_webhook::handler",
            "webhook given up: it goes to the dead-letter queue",
            &["order_no", "client_id", "error", "what_to_do", "trace_id"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || a_receiver_says_410_for_hours().boxed_local(),
        &[line(
            "send_webhook::handler",
            "a webhook is disabled: its events are kept and not sent",
            &["client_id", "reason", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || a_receiver_takes_nothing_for_half_an_hour().boxed_local(),
        &[line(
            "send_webhook::handler",
            webhooks::TAKES_NOTHING,
            &["client_id", "reason", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || events_cannot_be_sent_for_a_cause_of_ours().boxed_local(),
        &[line(
            "send_webhook::handler",
            webhooks::CAUSE_IS_OURS,
            &["client_id", "error", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || answers_about_orders_cannot_be_read().boxed_local(),
        &[
            line(
                "flows::query_order",
                "WeChat Pay's answer about an order cannot be read",
                &["order_no", "error", "what_to_do"],
                "Nothing is applied",
            ),
            line(
                "reconcile::sweep",
                "what is due needs a person",
                &["order_no", "error"],
                "Nothing is applied",
            ),
        ],
    ),
    (
        || certificates_are_refused().boxed_local(),
        &[line(
            "reconcile::certificates",
            "WeChat Pay's certificates were not refreshed",
            &["error", "what_to_do"],
            "[keys.md](keys.md)",
        )],
    ),
    (
        || an_approved_refund_cannot_be_paid_out().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "a difference is open again: its refund does not get on",
            &["date", "what_to_do"],
            "finance staff decide in our console what becomes of the refund",
        )],
    ),
    (
        || what_two_persons_approved_is_refused().boxed_local(),
        &[line(
            "reconcile::apply",
            "what was approved could not be done",
            &["date", "reason", "what_to_do"],
            "finance staff decide in our console what becomes of the refund",
        )],
    ),
    (
        || an_entry_of_the_list_of_refunds_is_damaged().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "differences that wait for refunds cannot be looked at",
            &["error", "what_to_do"],
            "as long as the list, or an entry of it, cannot be read",
        )],
    ),
    (
        || a_difference_that_waits_for_a_refund_is_damaged().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "a difference cannot be told how its refund stands",
            &["date", "error", "what_to_do"],
            "the difference (`date`, `id`) or its refund cannot be read, or a table may not be read or written",
        )],
    ),
    (
        || parked_notices_may_not_be_read().boxed_local(),
        &[line(
            "reconcile::handler",
            "notices that wait for a person cannot be counted",
            &["error", "what_to_do"],
            "Until that is put right `notices-parked` stays as it is",
        )],
    ),
    (
        || a_bill_is_of_no_use_four_times().boxed_local(),
        &[line(
            "reconcile::handler",
            "the day needs a person",
            &["error"],
            "`error` is the day's `trouble`",
        )],
    ),
    (
        || an_approval_cannot_be_handed_over().boxed_local(),
        &[
            line(
                "flows::problem::reconciliation",
                "an approved refund was not started",
                &["error"],
                "the approval is written, and the next one who looks at the difference",
            ),
            line(
                "console::handler::act",
                "an approved refund was not started again",
                &["error"],
                "the approval is written, and the next one who looks at the difference",
            ),
        ],
    ),
    (
        || an_order_is_not_closed_for_an_hour().boxed_local(),
        &[line(
            "flows::close_order",
            "an order cannot be closed",
            &["order_no", "what_to_do", "wechat_request_id"],
            "for an hour after its time WeChat Pay has not closed it; the lines before say why",
        )],
    ),
    (
        || an_order_is_forgotten_at_wechat_pay().boxed_local(),
        &[line(
            "flows::close_order",
            "WeChat Pay had the order and does not know it now",
            &["order_no", "what_to_do", "wechat_request_id"],
            "look the order up on the merchant platform",
        )],
    ),
    (
        || a_refund_is_abnormal().boxed_local(),
        &[
            line(
                "flows::order_store",
                "refund needs a person",
                &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
                "[refunds.md](refunds.md)",
            ),
            line(
                "flows::process_refund::overdue",
                "refund needs a person",
                &["order_no", "refund_no", "what_to_do"],
                "[refunds.md](refunds.md)",
            ),
        ],
    ),
    (
        || a_refund_is_refused_for_an_hour().boxed_local(),
        &[line(
            "flows::process_refund::send",
            "a refund does not get on",
            &["order_no", "refund_no", "refusal", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || the_balance_is_too_low().boxed_local(),
        &[line(
            "flows::process_refund::send",
            "all refunds rest: the balance is too low",
            &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || a_refund_of_another_amount_is_logged().boxed_local(),
        &[line(
            "flows::process_refund::settle",
            "refund parked for a person",
            &["order_no", "reason", "what_to_do", "wechat_request_id"],
            "a parked one stands in the ledger too",
        )],
    ),
    (
        || a_refund_is_forgotten_at_wechat_pay().boxed_local(),
        &[line(
            "flows::process_refund::advance",
            "WeChat Pay accepted the refund before and does not know it now",
            &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || answers_about_a_refund_cannot_be_read().boxed_local(),
        &[line(
            "flows::process_refund::accepted",
            "WeChat Pay's answer about a refund cannot be read",
            &["order_no", "refund_no", "error", "what_to_do"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || a_payer_has_the_money_that_went_to_the_merchant().boxed_local(),
        &[line(
            "flows::process_refund::settle",
            "a refund was sent to the merchant's account, and WeChat Pay says that the payer has it",
            &["order_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
];

fn always(fault: Fault, at: Endpoint) -> Rule {
    Rule::always(fault).at(at)
}

fn refuse(status: u16, code: &str) -> Fault {
    Fault::Refuse {
        status,
        code: code.to_owned(),
    }
}

fn named<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let lines = lines.iter();
    lines.filter(|line| line["message"] == message).collect()
}

async fn money_of_another_currency_comes() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let dollars = json!({"amount": {"currency": "USD"}});
    testbed.pay_altered("ORDER-1", dollars).await;
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    assert_eq!(testbed.notices().await[0]["status"], "parked");
    lines.take("ERROR")
}

async fn a_signed_notice_cannot_be_read() -> Vec<Value> {
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

async fn messages_are_written_by_hand() -> Vec<Value> {
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

async fn the_merchant_is_refused() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(refuse(403, "NO_AUTH")))
        .unwrap();
    let ordered = lines.of(testbed.post_order(&native("ORDER-2"))).await;
    assert_eq!(ordered.status, 202);
    testbed.refund("ORDER-1", "R1", 40).await;
    lines.of(testbed.work_off()).await;
    let lines = lines.take("ERROR");
    let refused = lines[0]["refusal"].as_str().expect("words");
    assert!(refused.contains("NO_AUTH"), "{refused}");
    admin.clear_faults(None);
    blocked::minutes(&testbed, 25).await;
    assert_eq!(
        testbed.order("ORDER-2").await.state.name(),
        "awaiting_payment"
    );
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "{refund}");
    lines
}

async fn wechat_pay_signs_with_an_unknown_key() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    admin.rotate(SigningMode::PublicKey).unwrap();
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(lines.of(testbed.receive(&callback)).await.status, 401);
    let ordered = lines.of(testbed.post_order(&native("ORDER-2"))).await;
    assert_eq!(ordered.status, 202);
    lines.take("ERROR")
}

async fn callbacks_are_not_acknowledged() -> Vec<Value> {
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

async fn services_fail_behind_the_api_and_the_console() -> Vec<Value> {
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

async fn a_webhook_fails_for_the_eighth_time() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
    assert_eq!(lines.of(testbed.again("ORDER-1", 8)).await, 1);
    let lines = lines.take("ERROR");
    let error = lines[0]["error"].as_str().expect("words");
    assert!(error.contains("the receiver answered 502"), "{error}");
    lines
}

async fn a_receiver_takes_nothing_for_half_an_hour() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    for attempt in 2..=3 {
        testbed.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(lines.of(testbed.again("ORDER-1", attempt)).await, 1);
        testbed.clock.advance(HOUR / 2);
    }
    let lines = lines.take("ERROR");
    assert_eq!(lines[0]["answer"], "502");
    let since = lines[0]["since"].as_str().expect("a time");
    let reason = lines[0]["reason"].as_str().expect("a text");
    assert!(reason.contains("502") && reason.contains(since), "{reason}");
    lines
}

async fn a_receiver_says_410_for_hours() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    lines.of(testbed.say_410_for_hours()).await;
    lines.take("ERROR")
}

async fn answers_about_orders_cannot_be_read() -> Vec<Value> {
    let mut all = Vec::new();
    for patch in [
        json!({"trade_state": 7}),
        json!({"trade_state": "A_NEW_ONE"}),
        json!({"amount": null}),
        json!({"out_trade_no": null}),
    ] {
        let (testbed, lines) = (Testbed::start().await, Lines::default());
        testbed.paid_in_silence("ORDER-1").await;
        testbed.paid_in_silence("ORDER-2").await;
        let admin = testbed.wechat.admin();
        let unreadable = Fault::AlteredAnswer { patch };
        admin
            .add_fault(always(unreadable, Endpoint::QueryByOutTradeNo))
            .unwrap();
        let closed = lines.of(testbed.close("ORDER-1")).await;
        assert_eq!(closed.body["state"], "closing");
        testbed.advance(MINUTE * 2).await;
        lines.of(testbed.sweep()).await;
        for order_no in ["ORDER-1", "ORDER-2"] {
            let order = testbed.order(order_no).await;
            assert_ne!(order.state.name(), "paid", "nothing is applied");
        }
        let new_errors = lines.take("ERROR");
        let due = named(&new_errors, "what is due needs a person");
        let [due] = due[..] else {
            panic!("one line: {new_errors:?}");
        };
        let error = due["error"].as_str().expect("words");
        assert!(error.contains("cannot be read"), "{error}");
        all.extend(new_errors);
    }
    assert!(page(PAGE).contains("`what is due needs a person` with `cannot be read`"));
    all.extend(an_item_is_damaged().await);
    all
}

/// A line for the developers.
async fn an_item_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    testbed.damage("ORDER-1", "amount_fen").await;
    testbed.advance(MINUTE * 2).await;
    lines.of(testbed.sweep()).await;
    let lines = lines.take("ERROR");
    let error = lines[0]["error"].as_str().expect("words");
    assert!(error.contains("has no usable"), "{error}");
    assert!(page(PAGE).contains("(\"has no usable ...\")"));
    lines
}

async fn certificates_are_refused() -> Vec<Value> {
    let options = TestbedOptions {
        by_certificate: true,
        ..TestbedOptions::default()
    };
    let (testbed, lines) = (Testbed::with(options).await, Lines::default());
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(refuse(401, "SIGN_ERROR")))
        .unwrap();
    let refreshed = lines.of(testbed.certificates()).await;
    assert_eq!(refreshed, reconcile::RefreshOutcome::Failed);
    lines.take("ERROR")
}

async fn an_approved_refund_cannot_be_paid_out() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.two_approve(&found).await;
    testbed.work_off().await;
    testbed.advance(MINUTE).await;
    testbed.work_off().await;
    lines.of(testbed.sweep()).await;
    let [stands] = &testbed.differences_of(day).await[..] else {
        panic!("one difference");
    };
    assert_eq!(stands.state, DifferenceState::Open);
    let errors = lines.take("ERROR");
    assert_eq!(errors[0]["id"], stands.id);
    errors
}

async fn what_two_persons_approved_is_refused() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let difference = could_not_be_paid_out(&testbed).await;
    let rule = always(refuse(400, "PARAM_ERROR"), Endpoint::AbnormalRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    difference
        .decides("li", "redirect", "the card is gone")
        .await;
    difference
        .decides("wang", "approve", "asked the payer")
        .await;
    assert_eq!(lines.of(testbed.work_off_days()).await, 0);
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
    lines.take("ERROR")
}

async fn an_entry_of_the_list_of_refunds_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    testbed.two_approve(&found).await;
    let text = |value: String| AttributeValue::S(value);
    let put = testbed.dynamo().put_item();
    let put = put.table_name(&testbed.tables.reconciliation);
    let put = put.item("pk", text(format!("followed#{MCHID}")));
    let put = put.item("sk", text("damaged".to_owned()));
    put.send().await.expect("a table");
    testbed.work_off().await;
    testbed.advance(MINUTE).await;
    testbed.work_off().await;
    lines.of(testbed.sweep()).await;
    let [stands] = &testbed.differences_of(day).await[..] else {
        panic!("one difference");
    };
    assert_eq!(stands.state, DifferenceState::Repaired, "it is told");
    lines.take("ERROR")
}

/// First its orders may not be read, then its own item is damaged; between them a call fails that
/// passes by itself.
async fn a_difference_that_waits_for_a_refund_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    testbed.two_approve(&found).await;
    let message = "a difference cannot be told how its refund stands";
    let reads = || Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.orders);
    let mut all = Vec::new();
    for (fault, is_logged) in [(AwsFault::Denied, true), (AwsFault::ServiceFault, false)] {
        testbed.wire.break_all(reads(), fault);
        testbed.advance(MINUTE).await;
        lines.of(testbed.sweep()).await;
        testbed.wire.mend();
        let new = lines.take("ERROR");
        assert_eq!(!named(&new, message).is_empty(), is_logged, "{fault:?}");
        all.extend(new);
    }
    let sk = format!("difference#{}", found.id);
    console::damage(&testbed, day, &sk).await;
    testbed.advance(MINUTE).await;
    lines.of(testbed.sweep()).await;
    let new = lines.take("ERROR");
    let [line] = &named(&new, message)[..] else {
        panic!("{new:?}");
    };
    let (date, id) = (day.to_string(), found.id.as_str());
    assert_eq!((&line["date"], &line["id"]), (&json!(date), &json!(id)));
    all.extend(new);
    all
}

async fn parked_notices_may_not_be_read() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let counts = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.notices);
    testbed.wire.break_all(counts, AwsFault::Denied);
    lines.of(testbed.certificates()).await;
    lines.take("ERROR")
}

async fn events_cannot_be_sent_for_a_cause_of_ours() -> Vec<Value> {
    let (testbed, lines) = (WebhookTestbed::start().await, Lines::default());
    let down = Match::service(Service::DynamoDb);
    testbed.wire.break_all(down, AwsFault::Denied);
    assert_eq!(lines.of(testbed.again("ORDER-1", 2)).await, 1);
    lines.take("ERROR")
}

async fn a_bill_is_of_no_use_four_times() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let wrong = always(Fault::WrongHash, Endpoint::TradeBill);
    testbed.wechat.admin().add_fault(wrong).unwrap();
    let work = stores::queues::ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "fails".to_owned(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    for _ in 0..4 {
        assert!(lines.take("ERROR").is_empty(), "it is fetched again");
        testbed.send_work(&work).await;
        lines.of(testbed.work_off_days()).await;
        testbed.advance(MINUTE * 30).await;
    }
    let run = testbed.run_of(day).await;
    assert_eq!(run.state, RunState::Failed);
    let errors = lines.take("ERROR");
    assert_eq!(errors[0]["error"], json!(run.trouble));
    errors
}

async fn an_approval_cannot_be_handed_over() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    let app = ConsoleDifference {
        testbed: &testbed,
        day,
        id: found.id,
        order_no: "TWICE-1",
    };
    app.decides("li", "approve", "paid twice").await;
    let send = Match::operation(Service::Sqs, "SendMessage");
    testbed.wire.break_all(send, AwsFault::Denied);
    let version = ConsoleDifference::version(&app.page("wang").await);
    let approves = app.presses("wang", ("approve", "so it is"), version);
    assert_eq!(lines.of(approves).await.status(), 503);
    assert_eq!(app.stands().await.state, DifferenceState::Approved);
    testbed.advance(MINUTE * 2).await;
    lines.of(app.page("wang")).await;
    let errors = lines.take("ERROR");
    testbed.wire.mend();
    app.page("zhao").await;
    assert_eq!(testbed.work_off_days().await, 0);
    assert_ne!(app.stands().await.state, DifferenceState::Approved);
    assert_eq!(testbed.wechat.admin().refunds().len(), 0);
    testbed.work_off().await;
    assert_eq!(testbed.wechat.admin().refunds().len(), 1);
    errors
}

async fn an_order_is_not_closed_for_an_hour() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(120);
    testbed.post_order(&body).await;
    let admin = testbed.wechat.admin();
    let down = Fault::ServerErrorBefore { status: 500 };
    admin.add_fault(always(down, Endpoint::Close)).unwrap();
    for wait in [MINUTE * 3, HOUR] {
        testbed.advance(wait).await;
        assert!(lines.take("ERROR").is_empty(), "it is tried again");
        lines.of(testbed.sweep()).await;
    }
    let mut errors = lines.take_all();
    let why = errors
        .iter()
        .position(|line| line["WechatCallsFailed"] == 1);
    let stuck = errors.iter().position(|line| line["level"] == "ERROR");
    assert!(why.is_some() && why < stuck, "{errors:?}");
    errors.retain(|line| line["level"] == "ERROR");
    admin.clear_faults(None);
    testbed.advance(HOUR).await;
    testbed.sweep().await;
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "closed");
    errors
}

async fn an_order_is_forgotten_at_wechat_pay() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let unknown = || refuse(404, "ORDER_NOT_EXIST");
    for endpoint in [Endpoint::Close, Endpoint::QueryByOutTradeNo] {
        let rule = always(unknown(), endpoint);
        testbed.wechat.admin().add_fault(rule).unwrap();
    }
    let closed = lines.of(testbed.close("ORDER-1")).await;
    assert_eq!(closed.body["state"], "closing", "not closed here");
    let lines = lines.take("ERROR");
    let what_to_do = lines[0]["what_to_do"].as_str().expect("words");
    assert!(what_to_do.contains("look the order up in WeChat Pay's console"));
    lines
}

async fn a_refund_is_abnormal() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(refunds::minutes(&testbed, 2)).await;
    testbed.advance(HOUR * 7).await;
    lines.of(testbed.sweep()).await;
    lines.take("ERROR")
}

async fn a_refund_is_refused_for_an_hour() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    let no_auth = refuse(403, "NO_AUTH");
    admin
        .add_fault(always(no_auth, Endpoint::CreateRefund))
        .unwrap();
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(refunds::minutes(&testbed, 2)).await;
    let message = "a refund does not get on";
    assert!(named(&lines.take("ERROR"), message).is_empty());
    testbed.advance(HOUR).await;
    lines.of(testbed.sweep()).await;
    let lines = lines.take("ERROR");
    let refused = named(&lines, message)[0]["refusal"].to_string();
    assert!(refused.contains("NO_AUTH"), "{refused}");
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NO_AUTH");
    lines
}

async fn the_balance_is_too_low() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    admin.set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    lines.of(testbed.work_off()).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NOT_ENOUGH");
    admin.set_balance(1_000);
    refunds::minutes(&testbed, 20).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded", "it goes on by itself");
    lines.take("ERROR")
}

async fn a_refund_of_another_amount_is_logged() -> Vec<Value> {
    let (testbed, lines) = (refunds::processing().await, Lines::default());
    let admin = testbed.wechat.admin();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    let altered = Damage::Altered(json!({"amount": {"refund": 41}}));
    let callback = admin.signed_callback(&number, &altered).unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(lines.of(testbed.work_off()).await, 0);
    let [kept] = &testbed.notices().await[..] else {
        panic!("one notice");
    };
    assert_eq!(kept["status"], "parked");
    assert!(kept["notice_id"].starts_with("refund#"), "{kept:?}");
    lines.take("ERROR")
}

async fn a_refund_is_forgotten_at_wechat_pay() -> Vec<Value> {
    let (testbed, lines) = (refunds::processing().await, Lines::default());
    let unknown = refuse(404, "RESOURCE_NOT_EXISTS");
    let rule = always(unknown, Endpoint::QueryRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    testbed.advance(HOUR).await;
    lines.of(testbed.sweep()).await;
    assert_eq!(testbed.wechat.admin().refunds().len(), 1, "no second one");
    lines.take("ERROR")
}

async fn answers_about_a_refund_cannot_be_read() -> Vec<Value> {
    let (testbed, lines) = (refunds::paid().await, Lines::default());
    let admin = testbed.wechat.admin();
    for endpoint in [Endpoint::CreateRefund, Endpoint::QueryRefund] {
        let patch = json!({"status": null});
        let rule = always(Fault::AlteredAnswer { patch }, endpoint);
        admin.add_fault(rule).unwrap();
    }
    testbed.refund("ORDER-1", "R1", 40).await;
    testbed.in_silence(lines.of(testbed.work_off())).await;
    lines.take("ERROR")
}

async fn a_payer_has_the_money_that_went_to_the_merchant() -> Vec<Value> {
    let (testbed, lines) = (refunds::abnormal().await, Lines::default());
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    let asked = testbed.post(refunds::REDIRECT, &to).await;
    assert_eq!(asked.status, 202);
    let admin = testbed.wechat.admin();
    let patch = json!({"user_received_account": "招商银行信用卡0403"});
    let rule = always(Fault::AlteredAnswer { patch }, Endpoint::QueryRefund);
    admin.add_fault(rule).unwrap();
    let minutes = lines.of(refunds::minutes(&testbed, 3));
    testbed.in_silence(minutes).await;
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    let there = admin.refund(&number).expect("the refund");
    assert_eq!(there.status, RefundStatus::Success);
    lines.take("ERROR")
}

/// The fields that the page's query shows.
fn shown() -> BTreeSet<String> {
    let page = page(PAGE);
    let (_, query) = page.split_once("```insights\nfields ").expect("a query");
    let fields = query.lines().next().expect("a line").split(", ");
    fields.map(str::to_owned).collect()
}

/// The page's messages, each with its row.
fn rows() -> Vec<(String, String)> {
    let page = page(PAGE);
    let (_, table) = page.split_once("|---|---|\n").expect("a table");
    let rows = table.lines().take_while(|line| line.starts_with("| "));
    let rows = rows.flat_map(|row| {
        let messages = row.split(" | ").next().expect("a cell").split('`');
        let messages = messages.skip(1).step_by(2);
        messages.map(move |message| (message.to_owned(), row.to_owned()))
    });
    rows.collect()
}

fn row_of(message: &str) -> (String, String) {
    let mut rows = rows().into_iter();
    let row = rows.find(|(of, _)| of == message);
    row.unwrap_or_else(|| panic!("no row: {message}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_that_calls_a_person_is_brought_about_and_says_what_the_page_promises() {
    let stages = STAGES.iter().map(async |(stage, lines)| {
        // One that fails has said why on standard error; the others still run.
        match AssertUnwindSafe(stage()).catch_unwind().await {
            Ok(all) => lines
                .iter()
                .flat_map(|line| amiss(line, &all))
                .collect::<Vec<_>>(),
            Err(_) => vec![format!("the stage of `{}` failed", lines[0].message)],
        }
    });
    let stages = stream::iter(stages).buffer_unordered(4);
    let amiss: Vec<Vec<String>> = stages.collect().await;
    let amiss = amiss.concat();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

/// What is wrong with a line that was to be among these.
fn amiss(line: &Line, all: &[Value]) -> Vec<String> {
    let mut found = named(all, line.message);
    found.retain(|one| one["target"] == line.module);
    if found.is_empty() {
        return vec![format!(
            "no line `{}` of {} in {all:#?}",
            line.message, line.module
        )];
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places = error_places();
    let of_no_row = all.iter().find(|one| {
        let place = (text(&one["target"]), text(&one["message"]));
        !places.contains(&place)
    });
    if let Some(one) = of_no_row {
        return vec![format!(
            "a line at ERROR that the page does not have: {one}"
        )];
    }
    let lacks = |one: &Value| {
        let fields = line.fields.iter().filter(|field| !one[**field].is_string());
        let lacking = fields.map(|field| format!("no {field} in {one}"));
        lacking.collect::<Vec<_>>()
    };
    found.into_iter().flat_map(lacks).collect()
}

#[test]
fn each_place_that_logs_at_error_has_a_stage_and_a_row_with_what_its_stage_shows() {
    let lines = || STAGES.iter().flat_map(|(_, lines)| lines.iter());
    let staged: BTreeSet<(String, String)> = lines()
        .map(|line| (line.module.to_owned(), line.message.to_owned()))
        .collect();
    let places = error_places();
    assert!(places.len() > 25, "{places:?}");
    assert_eq!(places, staged, "places in the code, and stages");
    let (rows, shown) = (rows(), shown());
    for line in lines() {
        let (_, row) = row_of(line.message);
        assert!(row.contains(line.row), "{}: {row}", line.message);
        for field in line.fields {
            assert!(shown.contains(*field), "the query does not show {field}");
        }
    }
    let messages: BTreeSet<&str> = lines().map(|line| line.message).collect();
    for (message, row) in &rows {
        let words = ["is not as documented", "cannot be read"];
        let is_staged = messages.contains(message.as_str()) || words.contains(&message.as_str());
        assert!(is_staged, "no stage of `{message}`: {row}");
    }
}
