//! From WeChat Pay's callback to a paid order, with all kinds of invalid callbacks.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use stores::{
    keys_table::{VerificationEntry, VerificationKind},
    notices::id_of_echo,
};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, Fault, ManualNotice, PayOptions, Rule, SigningMode};

use crate::support::{MAX_RECEIVE_COUNT, Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_arrives_as_a_callback_and_the_merchant_reads_it() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment",
        "the queue has it, nobody has worked it off"
    );
    assert_eq!(testbed.work_off().await, 0);
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(shown.body["state"], "paid");
    let payment = testbed
        .wechat
        .admin()
        .order("ORDER-1")
        .unwrap()
        .order
        .payment
        .unwrap();
    assert_eq!(shown.body["transaction_id"], json!(payment.transaction_id));
    assert!(shown.body["paid_at"].as_str().unwrap().ends_with("+08:00"));
    assert!(shown.body.get("prepay").is_none());
    let journal = testbed.journal("ORDER-1").await;
    assert_eq!(
        journal
            .iter()
            .map(|event| event.to.as_str())
            .collect::<Vec<_>>(),
        ["reserved", "awaiting_payment", "paid"]
    );
    assert_eq!(
        journal
            .iter()
            .map(|event| event.version)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        testbed.order("ORDER-1").await.due.is_none(),
        "a final state is not checked again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_in_certificate_mode_is_taken_too() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    testbed
        .wechat
        .admin()
        .rotate(SigningMode::Certificate)
        .unwrap();
    let (id, pem) = testbed
        .wechat
        .admin()
        .newest_key(SigningMode::Certificate)
        .unwrap();
    let seen = testbed.keys.merchant().await.unwrap();
    let mut entries = seen.entries.clone();
    entries.push(VerificationEntry {
        id,
        kind: VerificationKind::Certificate,
        pem,
    });
    testbed
        .keys
        .set_verification_keys(&seen, &entries, &seen.response_serial)
        .await
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_callback_a_hundred_times_at_once_settles_once() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    let callback = testbed
        .wechat
        .admin()
        .signed_callback("ORDER-1", &Damage::None)
        .unwrap();
    let answers = join_all((0..100).map(|_| testbed.receive(&callback))).await;
    assert!(answers.iter().all(|answer| answer.status == 204));
    while testbed.work_off().await > 0 {}
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    let paid = testbed
        .journal("ORDER-1")
        .await
        .into_iter()
        .filter(|event| event.to == "paid")
        .count();
    assert_eq!(paid, 1);
    assert!(
        testbed.items("payment#").await.is_empty(),
        "nothing was parked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_differs_from_the_order_is_parked_and_never_applied() {
    for (alter, reason) in [
        (json!({"amount": {"total": 99}}), "amount"),
        (json!({"amount": {"currency": "USD"}}), "currency"),
        (json!({"mchid": "1900000002"}), "mchid"),
        (json!({"appid": "wx00000000000000bb"}), "appid"),
        (json!({"out_trade_no": "ORDER-9"}), "unknown_order"),
    ] {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        testbed.pay_altered("ORDER-1", alter).await;
        assert_eq!(testbed.work_off().await, 0);
        assert_eq!(
            testbed.get_order("ORDER-1").await.body["state"],
            "awaiting_payment",
            "{reason}"
        );
        let parked = testbed.items("payment#").await;
        assert_eq!(parked.len(), 1, "{reason}");
        assert_eq!(
            (parked[0]["reason"].as_str(), parked[0]["state"].as_str()),
            (reason, "parked")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_different_payment_is_parked_beside_the_first() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    let first = testbed.get_order("ORDER-1").await;
    testbed.post_order(&native("ORDER-2")).await;
    let disguise = json!({"out_trade_no": "ORDER-1"});
    testbed.pay_altered("ORDER-2", disguise).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body, first.body);
    let parked = testbed.items("payment#").await;
    assert_eq!(
        (parked.len(), parked[0]["reason"].as_str()),
        (1, "second_payment")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_callback_gets_its_status_and_its_name_and_changes_nothing() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    for (damage, status, name) in [
        (Damage::WrongSignature, 401, "wrong_signature"),
        (Damage::Stale(301), 401, "stale"),
        (Damage::Stale(-301), 401, "from_the_future"),
        (Damage::UnknownSerial, 401, "unknown_serial"),
        (Damage::Probe, 401, "probe"),
        (Damage::CutCiphertext, 500, "does_not_open"),
        (Damage::ForeignApiv3Key, 500, "does_not_open"),
    ] {
        let callback = testbed
            .wechat
            .admin()
            .signed_callback("ORDER-1", &damage)
            .unwrap();
        let answer = testbed.receive(&callback).await;
        assert_eq!(
            (
                answer.status,
                answer.body["message"].as_str(),
                answer.body["code"].as_str()
            ),
            (status, Some(name), Some("FAIL")),
            "{damage:?}"
        );
    }
    let good = testbed
        .wechat
        .admin()
        .signed_callback("ORDER-1", &Damage::None)
        .unwrap();
    for (name, status, expected) in [
        ("wechatpay-signature", 400, "missing_header"),
        ("wechatpay-timestamp", 400, "missing_header"),
    ] {
        let mut callback = good.clone();
        callback
            .headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        let answer = testbed.receive(&callback).await;
        assert_eq!(
            (answer.status, answer.body["message"].as_str()),
            (status, Some(expected)),
            "without {name}"
        );
    }
    let mut changed = good.clone();
    changed.body = changed.body.replace("encrypt-resource", "encrypt-resourcf");
    assert_eq!(testbed.receive(&changed).await.status, 401);
    let mut huge = good;
    huge.body = "x".repeat(64 * 1024 + 1);
    assert_eq!(testbed.receive(&huge).await.status, 413);
    assert_eq!(testbed.work_off().await, 0, "nothing reached the queue");
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );
}

/// The gateway does so with what it takes for no text.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_in_base64_is_taken_and_one_that_is_no_base64_is_refused() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    let callback = testbed
        .wechat
        .admin()
        .signed_callback("ORDER-1", &Damage::None)
        .unwrap();
    let headers: Map<String, Value> = callback
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    let event = |body: &str| {
        let event = json!({"headers": headers, "body": body, "isBase64Encoded": true});
        serde_json::from_value(event).unwrap()
    };
    let answer = testbed.receive_event(event(&callback.body)).await;
    assert_eq!(
        (answer.status, answer.body["message"].as_str()),
        (400, Some("not_base64"))
    );
    let wrapped = STANDARD.encode(&callback.body);
    assert_eq!(testbed.receive_event(event(&wrapped)).await.status, 204);
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_the_queue_did_not_take_is_not_acknowledged_and_comes_again() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    testbed.pay("ORDER-1").await;
    let tries = testbed.wechat.admin().callbacks()[0].tries.clone();
    assert_eq!(
        tries.iter().map(|one| one.status).collect::<Vec<_>>(),
        [Some(503)]
    );
    testbed.wire.mend();
    testbed.advance(Duration::from_secs(15)).await;
    assert!(
        testbed.wechat.admin().callbacks()[0]
            .tries
            .last()
            .unwrap()
            .is_success()
    );
    testbed.work_off().await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_unknown_message_pays_nothing_and_ends_unchanged_in_its_dead_letter_queue() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    let forged = testbed
        .wechat
        .admin()
        .signed_callback("ORDER-1", &Damage::WrongSignature)
        .unwrap();
    let header = |name: &str| {
        forged
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
            .unwrap()
    };
    let message = json!({
        "v": "callback.v1",
        "headers": {
            "timestamp": header("wechatpay-timestamp"), "nonce": header("wechatpay-nonce"),
            "serial": header("wechatpay-serial"), "signature": header("wechatpay-signature"),
        },
        "body": forged.body,
    });
    let mut results = [
        message.to_string(),
        "not JSON".to_owned(),
        json!({"v": "callback.v9"}).to_string(),
    ];
    let requests = [json!({"v": "issue.v9", "order_no": "ORDER-1"}).to_string()];
    for body in &results {
        testbed.forge_result(body).await;
    }
    for body in &requests {
        testbed.forge_request(body).await;
    }
    // Understood, and nothing to do.
    testbed
        .forge_request(&json!({"v": "issue.v1", "order_no": "NO-SUCH"}).to_string())
        .await;
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(testbed.work_off().await, results.len() + requests.len());
    }
    assert_eq!(testbed.work_off().await, 0, "SQS has put them away");
    results.sort();
    let [dead_requests, dead_results] = testbed.dead_letters().await;
    assert_eq!(dead_requests, requests);
    assert_eq!(dead_results, results);
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );
    assert!(testbed.items("payment#").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_before_the_prepay_value_was_stored_is_booked() {
    let testbed = Testbed::start().await;
    testbed
        .wire
        .break_all(testbed.order_changes(), AwsFault::ServiceFault);
    let answer = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    testbed.wire.mend();
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "reserved");
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    let repeat = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(
        (repeat.status, &repeat.body["state"]),
        (200, &json!("paid")),
        "a repeat shows that it is paid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_refused_and_the_real_callback_that_follows_is_taken() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ProbeCallback, 1))
        .unwrap();
    testbed.pay("ORDER-1").await;
    testbed.advance(Duration::from_secs(15)).await;
    let statuses: Vec<Option<u16>> = testbed.wechat.admin().callbacks()[0]
        .tries
        .iter()
        .map(|one| one.status)
        .collect();
    assert_eq!(statuses, [Some(401), Some(204)]);
    testbed.work_off().await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_and_reordered_callbacks_end_in_the_same_orders() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::DuplicateCallback { copies: 3 }))
        .unwrap();
    admin
        .add_fault(Rule::times(Fault::OutOfOrderCallback, 1))
        .unwrap();
    for order_no in ["ORDER-1", "ORDER-2"] {
        testbed.post_order(&native(order_no)).await;
        testbed.pay(order_no).await;
    }
    testbed.advance(Duration::from_secs(61)).await;
    while testbed.work_off().await > 0 {}
    for order_no in ["ORDER-1", "ORDER-2"] {
        assert_eq!(testbed.get_order(order_no).await.body["state"], "paid");
        assert_eq!(testbed.journal(order_no).await.len(), 3);
    }
    assert!(testbed.items("payment#").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_another_transaction_is_tried_again_and_never_taken_for_done() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    let change = testbed.order_changes();
    testbed
        .wire
        .break_after(change.clone(), 0, 2, AwsFault::Conflict);
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert!(testbed.wire.count(&change) >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_was_lost_is_not_booked_twice() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed
        .wire
        .break_next(testbed.order_changes(), AwsFault::LostAnswer);
    while testbed.work_off().await > 0 {}
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert_eq!(testbed.journal("ORDER-1").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_our_own_self_test_leaves_a_settled_record_and_any_other_leaves_none() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let (ours, foreign) = ("doctor-00112233445566778899aabbccddeeff", "hello");
    for message in [ours, ours, foreign, "doctor-with a blank"] {
        let echo = ManualNotice::Other {
            event_type: "SECURITY_ECHO.SUCCESS".to_owned(),
            original_type: "security".to_owned(),
            plaintext: json!({ "echo_message": message }),
        };
        let admin = testbed.wechat.admin();
        admin.send_notice(&echo, "ORDER-1", None).unwrap();
        testbed.deliver().await;
        assert_eq!(testbed.work_off().await, 0);
    }
    let kept = testbed.notices().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let id = id_of_echo(ours).unwrap();
    assert!(kept[0]["pk"].ends_with(&id), "{kept:?}");
    assert_eq!(
        (kept[0]["status"].as_str(), kept[0]["event_type"].as_str()),
        ("ok", "SECURITY_ECHO.SUCCESS")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_notice_about_something_else_is_parked_and_acknowledged() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let alter = json!({"trade_state": "SOMETHING_NEW"});
    testbed.pay_altered("ORDER-1", alter).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.notices().await.len(), 1);
    assert_eq!(
        testbed.get_order("ORDER-1").await.body["state"],
        "awaiting_payment"
    );
}
