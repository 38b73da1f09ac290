//! Every function ends by itself before Lambda ends it: also if each of its calls takes as long as
//! allowed. The calls are counted on the longest path of each, in a new sandbox with empty caches.

use std::time::Duration;

use payments::{reconcile::difference::DifferenceKind, rules::create_order::PayerKey};
use runtime::aws::CallLimits;
use serde_json::json;
use testbed::{Fault, Match, Service, template};
use wechatpay_simulator::{Damage, PayOptions};

use crate::support::{Testbed, TestbedOptions, native};

/// API Gateway's HTTP APIs wait so long for a function, and WeChat Pay for the answer to a
/// callback.
const GATEWAY: Duration = Duration::from_secs(30);
const WECHAT_PAY: Duration = Duration::from_secs(5);

/// A function's `Timeout`.
fn time_out(function: &str) -> Duration {
    let seconds = template::resource(function)["Timeout"].as_u64();
    Duration::from_secs(seconds.expect("a time-out"))
}

impl Testbed {
    /// What the calls to AWS since this was last read may take, one behind the other.
    fn calls_take(&self, limits: CallLimits) -> Duration {
        let calls = self.wire.calls().len();
        self.wire.forget();
        limits.call() * u32::try_from(calls).expect("some calls")
    }

    /// A testbed in which no function has made a call yet.
    async fn cold(options: TestbedOptions) -> Self {
        let testbed = Self::with(options).await;
        testbed.wire.forget();
        testbed
    }
}

fn fits(function: &str, takes: Duration, within: Duration) {
    println!("{function}: {takes:?} of {within:?}");
    assert!(
        takes <= within,
        "{function} may take {takes:?}, not {within:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_order_ends_before_lambda_and_the_gateway_give_up() {
    // PREPAY_BUDGET_MS at its most: all that WeChat Pay gets.
    let budget = Duration::from_millis(9_000);
    for down in [false, true] {
        let testbed = Testbed::cold(TestbedOptions {
            both_hosts_are_down: down,
            ..TestbedOptions::default()
        })
        .await;
        let mut body = native("ORDER-1");
        body["product"] = json!("jsapi");
        body["openid"] = json!("oUser");
        testbed.post_order(&body).await;
        let takes = testbed.calls_take(CallLimits::PROMPT) + budget;
        fits("CreateOrder", takes, time_out("CreateOrder"));
    }
    assert!(time_out("CreateOrder") < GATEWAY);
    // While a submission may still be at work, its payer is held: a second tap makes no second
    // order.
    let holds = u64::try_from(PayerKey::HOLDS_S).expect("positive");
    assert!(time_out("CreateOrder") <= Duration::from_secs(holds));
}

#[tokio::test(flavor = "multi_thread")]
async fn managing_an_order_ends_before_lambda_and_the_gateway_give_up() {
    // `ACT_WITHIN`; a check gets less.
    let budget = Duration::from_secs(8);
    for doing in ["close", "refund", "look"] {
        let testbed = Testbed::cold(TestbedOptions::default()).await;
        testbed.post_order(&native("ORDER-1")).await;
        if doing == "refund" {
            testbed.pay("ORDER-1").await;
            testbed.work_off().await;
        }
        // By then reading the order queries WeChat Pay too.
        testbed.advance(Duration::from_secs(61)).await;
        testbed.wire.forget();
        let answer = match doing {
            "close" => testbed.close("ORDER-1").await,
            "refund" => testbed.refund("ORDER-1", "R-1", 40).await,
            _ => testbed.get_order("ORDER-1").await,
        };
        assert!(answer.status < 300, "{doing}: {}", answer.status);
        let takes = testbed.calls_take(CallLimits::PROMPT) + budget;
        fits("ManageOrder", takes, time_out("ManageOrder"));
    }
    assert!(time_out("ManageOrder") < GATEWAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_answered_before_wechat_pay_gives_up() {
    let paid = async || {
        let testbed = Testbed::cold(TestbedOptions::default()).await;
        testbed.post_order(&native("ORDER-1")).await;
        let admin = testbed.wechat.admin();
        admin.pay("ORDER-1", &PayOptions::default()).unwrap();
        let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
        testbed.wire.forget();
        (testbed, callback)
    };
    let limits = CallLimits::CALLBACK;
    let take = |testbed: &Testbed| {
        let calls = testbed.wire.calls();
        let of = |service| calls.iter().filter(move |call| call.service == service);
        // All that a reading of the keys does has one limit.
        let readings = of(Service::DynamoDb).filter(|call| call.operation == "GetItem");
        let others = calls.len() - readings.clone().count() - of(Service::Kms).count();
        let one_by_one = readings.count() + others;
        limits.call() * u32::try_from(one_by_one).expect("some calls")
    };
    // Before the function runs, its sandbox starts.
    let start = Duration::from_secs(1);

    let (testbed, callback) = paid().await;
    assert_eq!(testbed.receive(&callback).await.status, 204);
    fits("ReceiveCallback", take(&testbed) + start, WECHAT_PAY);

    // The longest way: an unknown serial, for which the keys are read once more.
    let (testbed, mut callback) = paid().await;
    for (name, value) in &mut callback.headers {
        if name.eq_ignore_ascii_case("wechatpay-serial") {
            *value = "A".repeat(40);
        }
    }
    assert_eq!(testbed.receive(&callback).await.status, 401);
    fits("ReceiveCallback", take(&testbed) + start, WECHAT_PAY);
    assert!(time_out("ReceiveCallback") <= WECHAT_PAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_done_with_before_lambda_gives_up_its_batch() {
    // `payments::rules::issue_order::BUDGET_MS`; hiding a message that comes again is one more
    // call.
    let budget = Duration::from_millis(payments::rules::issue_order::BUDGET_MS);
    let begun_with = process_payment::handler::BEGIN_BEFORE_DEADLINE_MS;
    let begun_with = Duration::from_millis(u64::try_from(begun_with).expect("positive"));
    let hiding = CallLimits::PROMPT.call();

    let testbed = Testbed::cold(TestbedOptions::default()).await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.wire.forget();
    assert_eq!(testbed.work_off().await, 0);
    let takes = testbed.calls_take(CallLimits::PROMPT) + hiding;
    fits("a callback in ProcessPayment", takes, begun_with);

    testbed.refund("ORDER-1", "R-1", 40).await;
    testbed.advance(Duration::from_secs(61)).await;
    testbed.wire.forget();
    testbed.work_off().await;
    let takes = testbed.calls_take(CallLimits::PROMPT) + hiding + budget;
    fits("a refund in ProcessPayment", takes, begun_with);

    let testbed = Testbed::cold(TestbedOptions::default()).await;
    let asked = testbed.client.post_with(
        "/v1/orders",
        &{
            let mut body = native("ORDER-1");
            body["product"] = json!("jsapi");
            body["openid"] = json!("oUser");
            body
        },
        &[("prefer", "respond-async")],
        &testbed,
    );
    assert_eq!(testbed.send(asked).await.status, 202);
    testbed.wire.forget();
    assert_eq!(testbed.work_off().await, 0);
    let takes = testbed.calls_take(CallLimits::PROMPT) + hiding + budget;
    fits("a payment request in ProcessPayment", takes, begun_with);
    assert!(begun_with < time_out("ProcessPayment"));
}

#[test]
fn a_webhook_is_done_with_before_lambda_gives_up_its_batch() {
    // Its client's item and the two secrets in it; then writing down the answer, disabling the
    // webhook, keeping the event, which may fail and is tried once more at the last attempt, and
    // hiding the message.
    let calls = CallLimits::PROMPT.call() * 8;
    let receiver = Duration::from_secs(15);
    fits("SendWebhook", calls + receiver, time_out("SendWebhook"));
}

#[test]
fn people_on_call_are_told_before_lambda_gives_up_and_with_a_dead_channel_within_a_minute() {
    use notify_operators::handler::{AFTERWARDS_MS, BEFORE_MS, CHANNEL_MS, LEASE_S, TRIED_MAX};
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).expect("positive"));
    // The channels and the claim; the record, or the claim's end, and hiding the message.
    let call = CallLimits::PROMPT.call();
    assert_eq!((ms(BEFORE_MS), ms(AFTERWARDS_MS)), (call * 2, call * 2));
    // Unsealing, the log read and written twice, and once more after an answer of too many.
    let channel = call * 7 + ms(operator_channels::CALL_MAX_MS);
    assert_eq!(ms(CHANNEL_MS), channel);
    let tried = u32::try_from(TRIED_MAX).expect("few");
    let takes = ms(BEFORE_MS) + channel * tried + ms(AFTERWARDS_MS);
    fits("NotifyOperators", takes, time_out("NotifyOperators"));
    // From the queue on: the batch's window, and the first channel at all its limits; then the
    // second one has the message, whatever its answer takes.
    let window = template::resource("NotifyOperators")
        .pointer("/Events/Notifications/Properties/MaximumBatchingWindowInSeconds");
    let window = Duration::from_secs(
        window
            .and_then(serde_json::Value::as_u64)
            .expect("a window"),
    );
    let page = window + ms(BEFORE_MS) + channel * 2;
    fits(
        "a page with its first channel dead",
        page,
        Duration::from_secs(60),
    );
    // While an invocation may still be at work nobody else tells the same, and one that died gave
    // its claim back before SQS shows the message again.
    let lease = Duration::from_secs(u64::try_from(LEASE_S).expect("positive"));
    let queue = template::resource("NotificationsQueue");
    let hidden = Duration::from_secs(queue["VisibilityTimeout"].as_u64().expect("a time"));
    assert!(time_out("NotifyOperators") < lease && lease < hidden);
}

#[test]
fn log_lines_are_forwarded_before_lambda_gives_up_with_a_sink_that_does_not_answer() {
    use forward_errors::handler::{AFTERWARDS_MS, BEFORE_MS, REQUEST_MS};
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).expect("positive"));
    // The sinks, and their secrets side by side; what is put away, side by side.
    let call = CallLimits::PROMPT.call();
    assert_eq!((ms(BEFORE_MS), ms(AFTERWARDS_MS)), (call * 2, call));
    // A request begins while there is time for its answer and for what comes after it.
    let request = ms(log_sinks::CALL_MAX_MS) + ms(AFTERWARDS_MS);
    assert_eq!(ms(REQUEST_MS), request);
    // As many as go to Sentry of one delivery, if each takes a quarter of a second.
    let all = Duration::from_millis(250) * 100 / 4;
    let takes = ms(BEFORE_MS) + all + request;
    fits("ForwardErrors", takes, time_out("ForwardErrors"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_ends_before_lambda_and_the_gateway_give_up() {
    let testbed = Testbed::cold(TestbedOptions::default()).await;
    testbed.a_month().await;
    testbed.wire.forget();
    let yesterday = format!("/console/{}", testbed.day(1));
    let difference = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let difference = format!("{yesterday}/differences/{difference}");
    for path in [yesterday, difference] {
        let request = http::Request::get(&path).body(String::new()).unwrap();
        let claims = json!({
            "email": "a@example.com", "email_verified": "true", "cognito:groups": "[finance]",
        });
        let page = testbed.console(Some(claims), request).await;
        assert_eq!(page.status(), 200, "{path}");
        let takes = testbed.calls_take(CallLimits::PROMPT);
        assert!(!takes.is_zero(), "{path} reads what it shows");
        fits("Console", takes, time_out("Console"));
    }
    assert!(time_out("Console") < GATEWAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_read_in_time_are_answered_with_503_and_those_at_hand_serve_on() {
    let testbed = Testbed::cold(TestbedOptions::default()).await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let callback = || admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    let keys = Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.keys);
    testbed.wire.break_all(keys.clone(), Fault::TimedOut);
    assert_eq!(testbed.receive(&callback()).await.status, 503);
    testbed.wire.mend();
    assert_eq!(testbed.receive(&callback()).await.status, 204);
    testbed.advance(Duration::from_secs(61)).await;
    testbed.wire.break_all(keys, Fault::TimedOut);
    assert_eq!(testbed.receive(&callback()).await.status, 204);
}
