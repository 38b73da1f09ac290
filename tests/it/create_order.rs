//! Creating an order: one number, one order, one live prepay value.

mod rejected;

use std::{collections::HashSet, time::Duration};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use crate::{
    contract::conforms,
    support::{
        APPIDS, ApiAnswer, Lines, MCHID, Testbed, TestbedOptions, native, refused_by_wechat,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_native_order_is_answered_with_the_code_that_a_payer_can_scan() {
    let testbed = Testbed::start().await;
    let answer = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (201, &json!("awaiting_payment")),
        "{answer:?}"
    );
    let at_wechat = testbed.wechat.admin().order(answer.code_url()).unwrap();
    assert_eq!(at_wechat.order.out_trade_no, "ORDER-1");
    assert!(at_wechat.payable);
    assert!(answer.header("traceparent").is_some());
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!((shown.status, &shown.body), (200, &answer.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn jsapi_mini_program_and_app_get_parameters_that_the_merchant_key_signed() {
    for signer in ["kms", "sealed"] {
        let testbed = Testbed::with(TestbedOptions {
            signer,
            ..TestbedOptions::default()
        })
        .await;
        let ask = async |order_no: &str, product: &str, more: Value| {
            let mut body = native(order_no);
            body["product"] = json!(product);
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let answer = testbed.post_order(&body).await;
            assert_eq!(answer.status, 201, "{product}: {answer:?}");
            answer.body["prepay"][product].clone()
        };
        let openid = json!({"openid": "oUser-1", "appid": APPIDS[1]});
        let jsapi = ask("ORDER-JS", "jsapi", openid.clone()).await;
        assert_eq!(
            (&jsapi["appId"], &jsapi["signType"]),
            (&json!(APPIDS[1]), &json!("RSA"))
        );
        assert!(jsapi["timeStamp"].is_string(), "seconds as a string");
        signed_by_merchant(
            signer,
            &jsapi["paySign"],
            &[
                APPIDS[1],
                text(&jsapi["timeStamp"]),
                text(&jsapi["nonceStr"]),
                text(&jsapi["package"]),
            ],
        );
        assert!(text(&jsapi["package"]).starts_with("prepay_id="));

        let mini = ask("ORDER-MP", "mini_program", openid).await;
        assert!(mini.get("appId").is_none());
        signed_by_merchant(
            signer,
            &mini["paySign"],
            &[
                APPIDS[1],
                text(&mini["timeStamp"]),
                text(&mini["nonceStr"]),
                text(&mini["package"]),
            ],
        );

        let app = ask("ORDER-AP", "app", json!({})).await;
        assert_eq!(
            (text(&app["partnerId"]), text(&app["packageValue"])),
            (MCHID, "Sign=WXPay")
        );
        signed_by_merchant(
            signer,
            &app["sign"],
            &[
                APPIDS[0],
                text(&app["timeStamp"]),
                text(&app["nonceStr"]),
                text(&app["prepayId"]),
            ],
        );
    }
}

fn signed_by_merchant(signer: &str, signature: &Value, lines: &[&str]) {
    let key = if signer == "kms" {
        testbed::kms_key()
    } else {
        testbed::sealed_key()
    };
    let message = lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let signature = BASE64.decode(text(signature)).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_der())
        .verify(message.as_bytes(), &signature)
        .expect("the merchant's signature over these lines");
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h5_order_is_answered_with_a_page_to_open() {
    let testbed = Testbed::start().await;
    let body = json!({"order_no": "ORDER-H5", "product": "h5", "amount_fen": 100, "description": "Tea", "payer_client_ip": "203.0.113.7", "h5_type": "Wap"});
    let answer = testbed.post_order(&body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(text(&answer.body["prepay"]["h5_url"]).starts_with("http"));
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_racing_creates_with_one_key_make_one_order_and_none_gets_a_dead_value() {
    let testbed = Testbed::start().await;
    let mut body = native("unused");
    body.as_object_mut().unwrap().remove("order_no");
    let requests = (0..32).map(|_| {
        testbed.client.post_with(
            "/v1/orders",
            &body,
            &[("idempotency-key", "\"cart-7\"")],
            &testbed,
        )
    });
    let answers = join_all(requests.map(|request| testbed.send(request))).await;
    let mut values = HashSet::new();
    let mut in_progress = 0;
    for answer in &answers {
        match answer.status {
            200 | 201 => _ = values.insert(answer.code_url().to_owned()),
            409 => {
                assert_eq!(answer.code(), "in_progress");
                assert!(answer.header("retry-after").is_some());
                in_progress += 1;
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    assert_eq!(
        values.len(),
        1,
        "one live value for all of {}",
        32 - in_progress
    );
    assert_eq!(testbed.wechat.admin().orders().len(), 1);
    let live = values.into_iter().next().unwrap();
    assert!(
        testbed.wechat.admin().order(&live).unwrap().payable,
        "the value that was handed out is the live one"
    );
    let late = testbed
        .send(testbed.client.post_with(
            "/v1/orders",
            &body,
            &[("idempotency-key", "cart-7")],
            &testbed,
        ))
        .await;
    assert_eq!(
        (
            late.status,
            late.code_url(),
            late.header("idempotent-replayed")
        ),
        (200, live.as_str(), Some("true"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_order_number_is_answered_without_data() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let stranger = testbed.another_client("other").await;
    let taken = testbed
        .send(stranger.post("/v1/orders", &native("ORDER-1"), &testbed))
        .await;
    assert_eq!((taken.status, taken.code()), (409, "order_no_taken"));
    let unseen = testbed
        .send(stranger.get("/v1/orders/ORDER-1", &testbed))
        .await;
    let missing = testbed
        .send(stranger.get("/v1/orders/ORDER-2", &testbed))
        .await;
    assert_eq!((unseen.status, unseen.code()), (404, "order_not_found"));
    assert_eq!(
        unseen.body["detail"], missing.body["detail"],
        "a foreign order looks like none"
    );
    for answer in [taken, unseen] {
        assert!(!answer.body.to_string().contains("amount"), "{answer:?}");
    }
    let same_key = |client: &crate::support::Client| {
        let mut body = native("unused");
        body.as_object_mut().unwrap().remove("order_no");
        client.post_with("/v1/orders", &body, &[("idempotency-key", "k")], &testbed)
    };
    let (ours, theirs) = (
        testbed.send(same_key(&testbed.client)).await,
        testbed.send(same_key(&stranger)).await,
    );
    assert_eq!(
        (ours.status, theirs.status),
        (201, 201),
        "the same key of two clients names two orders"
    );
    assert_ne!(ours.body["order_no"], theirs.body["order_no"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_reused_on_other_terms_is_refused_and_the_order_stays() {
    let testbed = Testbed::start().await;
    let first = testbed.post_order(&native("ORDER-1")).await;
    let mut changed = native("ORDER-1");
    changed["amount_fen"] = json!(101);
    let refused = testbed.post_order(&changed).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "idempotency_key_reused")
    );
    assert_eq!(testbed.get_order("ORDER-1").await.body, first.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn respond_async_hands_the_order_to_the_queue_which_gets_the_value() {
    let testbed = Testbed::start().await;
    let accepted = testbed.post_order_async(&native("ORDER-1")).await;
    assert_eq!(
        (accepted.status, accepted.header("location")),
        (202, Some("/v1/orders/ORDER-1"))
    );
    assert!(
        testbed.wechat.admin().orders().is_empty(),
        "nothing was asked of WeChat Pay yet"
    );
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "reserved");
    assert_eq!(testbed.work_off().await, 0);
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(shown.body["state"], "awaiting_payment");
    assert!(
        testbed
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_wechat_pay_is_down_the_order_is_accepted_and_made_later_with_the_same_bytes() {
    let testbed = Testbed::start().await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ServerErrorBefore { status: 503 }, 2))
        .unwrap();
    let accepted = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert!(testbed.wechat.admin().orders().is_empty());
    assert_eq!(
        testbed.work_off().await,
        1,
        "the lease of the first attempt still holds"
    );
    testbed.advance(Duration::from_secs(16)).await;
    assert_eq!(testbed.work_off().await, 0);
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(shown.body["state"], "awaiting_payment");
    assert!(
        testbed
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_wechat_pay_is_slow_the_caller_does_not_wait_longer_than_the_budget() {
    let testbed = Testbed::with(TestbedOptions {
        prepay_budget_ms: 500,
        ..TestbedOptions::default()
    })
    .await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::SlowAnswer { delay_ms: 20_000 }))
        .unwrap();
    let started = std::time::Instant::now();
    let accepted = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "did not wait for the slow answer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_after_the_order_was_made_ends_in_the_same_order_with_the_live_value() {
    for fault in [
        Fault::TimeOutAfterOperation { hold_ms: 50 },
        Fault::ResetAfter,
        Fault::ServerErrorAfter { status: 500 },
        Fault::ProbeResponse,
    ] {
        let testbed = Testbed::start().await;
        testbed
            .wechat
            .admin()
            .add_fault(Rule::times(fault.clone(), 1))
            .unwrap();
        let answer = testbed.post_order(&native("ORDER-1")).await;
        assert_eq!(answer.status, 201, "{fault:?}: {answer:?}");
        assert_eq!(testbed.wechat.admin().orders().len(), 1, "{fault:?}");
        assert!(
            testbed
                .wechat
                .admin()
                .order(answer.code_url())
                .unwrap()
                .payable,
            "{fault:?}: the value handed out is the live one"
        );
        assert_eq!(
            testbed.wechat.admin().requests()[&Endpoint::PrepayNative],
            2,
            "{fault:?}: asked once more, identically"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_value_is_renewed_when_the_client_asks_again() {
    let testbed = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["expires_in_s"] = json!(86_400);
    let first = testbed.post_order(&body).await;
    testbed.advance(Duration::from_secs(7_201)).await;
    assert!(
        testbed
            .get_order("ORDER-1")
            .await
            .body
            .get("prepay")
            .is_none(),
        "a dead value is not shown"
    );
    let renewed = testbed.post_order(&body).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_ne!(renewed.code_url(), first.code_url());
    assert!(
        testbed
            .wechat
            .admin()
            .order(renewed.code_url())
            .unwrap()
            .payable
    );
    assert_eq!(testbed.wechat.admin().orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_the_reservation_is_recognised_as_our_own_order() {
    let testbed = Testbed::start().await;
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders),
        AwsFault::LostAnswer,
    );
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.guards),
        AwsFault::LostAnswer,
    );
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.orders),
        AwsFault::LostAnswer,
    );
    let answer = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (201, &json!("awaiting_payment")),
        "{answer:?}"
    );
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::PrepayNative],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_to_wechat_pay_is_made_when_a_table_or_the_queue_fails() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("WARM-1")).await;
    testbed.wechat.admin().reset_requests();
    for table in [&testbed.tables.orders, &testbed.tables.guards] {
        testbed.wire.break_all(
            Match::operation(Service::DynamoDb, "PutItem").on(table),
            AwsFault::ServiceFault,
        );
        let answer = testbed.post_order(&native("ORDER-1")).await;
        assert_eq!(
            (answer.status, answer.code()),
            (503, "temporarily_unavailable"),
            "{table}"
        );
        assert!(answer.header("retry-after").is_some());
        testbed.wire.mend();
    }
    assert!(testbed.wechat.admin().requests().is_empty());
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    let answer = testbed.post_order_async(&native("ORDER-2")).await;
    assert_eq!(answer.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_and_the_wechat_body_lie_sealed_in_the_table_until_no_call_can_need_them() {
    let testbed = Testbed::start().await;
    let mut body = native("ORDER-1");
    body["product"] = json!("jsapi");
    body["openid"] = json!("oSecretPerson");
    body["description"] = json!("A private description");
    assert_eq!(testbed.post_order_async(&body).await.status, 202);
    let held = format!("{:?}", testbed.items("").await);
    assert!(held.contains("sealed_body"));
    for secret in ["oSecretPerson", "A private description"] {
        assert!(!held.contains(secret), "{secret} lies open in the table");
        assert!(
            !held.contains(&format!("{:?}", secret.as_bytes()).replace(['[', ']'], "")),
            "{secret} lies open in the table's bytes"
        );
    }
    assert_eq!(testbed.work_off().await, 0);
    let held = format!("{:?}", testbed.items("").await);
    assert!(held.contains("ORDER-1") && !held.contains("sealed_body"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_body_that_does_not_open_needs_an_operator() {
    let testbed = Testbed::start().await;
    testbed.post_order_async(&native("ORDER-1")).await;
    let damaged = AttributeValue::B(Blob::new([1, 0]));
    let update = testbed.dynamo().update_item();
    let update = update
        .table_name(&testbed.tables.orders)
        .key("pk", AttributeValue::S(format!("order#{MCHID}#ORDER-1")))
        .key("sk", AttributeValue::S("order".to_owned()))
        .update_expression("SET sealed_body = :damaged")
        .expression_attribute_values(":damaged", damaged);
    update.send().await.expect("an order");
    let lines = Lines::default();
    assert_eq!(lines.of(testbed.work_off()).await, 1, "it comes again");
    let errors = lines.take("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["message"], "message needs a person");
}
