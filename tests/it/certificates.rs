//! WeChat Pay's platform certificates change while payments go on.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use reconcile::RefreshOutcome;
use serde_json::Value;
use stores::keys_table::VerificationKind;
use wechatpay_simulator::{Damage, Endpoint, Fault, PayOptions, Rule, SigningMode};

use crate::support::{Lines, MCHID, Testbed, TestbedOptions, native};

const HOUR: Duration = Duration::from_secs(3600);

impl Testbed {
    /// A merchant who verifies by platform certificate alone.
    async fn by_certificate() -> Self {
        Self::with(TestbedOptions {
            by_certificate: true,
            ..TestbedOptions::default()
        })
        .await
    }

    /// How often WeChat Pay was asked for its certificates.
    fn downloads(&self) -> u64 {
        let requests = self.wechat.admin().requests();
        requests
            .get(&Endpoint::Certificates)
            .copied()
            .unwrap_or_default()
    }

    /// A callback under an unknown certificate, without a valid signature.
    async fn receive_unknown(&self, serial: &str) -> u16 {
        let admin = self.wechat.admin();
        let mut callback = admin
            .signed_callback("ORDER-1", &Damage::None)
            .expect("an order that was paid");
        for (name, value) in &mut callback.headers {
            if name.eq_ignore_ascii_case("wechatpay-serial") {
                serial.clone_into(value);
            }
        }
        self.receive(&callback).await.status
    }

    /// An order that was paid and whose callback was not received yet.
    async fn paid_untold(&self, order_no: &str) {
        assert_eq!(self.post_order(&native(order_no)).await.status, 201);
        self.wechat
            .admin()
            .pay(order_no, &PayOptions::default())
            .expect("an order that can be paid");
    }

    /// The ids of the keys that verify, in order.
    async fn verifying(&self) -> Vec<String> {
        let keys = self.keys.merchant().await.expect("keys");
        let ids = keys.entries.iter().map(|entry| entry.id.clone());
        ids.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unannounced_rotation_loses_no_callback() {
    let testbed = Testbed::by_certificate().await;
    assert_eq!(
        testbed.certificates().await,
        RefreshOutcome::Unchanged,
        "in time"
    );
    testbed.advance(Duration::from_secs(1)).await;
    testbed.paid_untold("ORDER-1").await;
    let old = testbed.verifying().await;
    let new = testbed
        .wechat
        .admin()
        .rotate(SigningMode::Certificate)
        .expect("a key");
    testbed.deliver().await;
    let tries = |testbed: &Testbed| {
        let callbacks = testbed.wechat.admin().callbacks_about("ORDER-1");
        let tries = callbacks.iter().flat_map(|callback| &callback.tries);
        tries.map(|of| of.status).collect::<Vec<_>>()
    };
    assert_eq!(tries(&testbed), [Some(401)], "it is not believed");
    assert_eq!(testbed.certificates().await, RefreshOutcome::Changed);
    assert_eq!(testbed.downloads(), 2);
    // Each sandbox reads its keys again within a minute; WeChat Pay repeats for a day.
    for _ in 0..10 {
        testbed.advance(Duration::from_secs(30)).await;
    }
    assert_eq!(tries(&testbed).last(), Some(&Some(204)));
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    let keys = testbed.keys.merchant().await.expect("keys");
    assert_eq!(testbed.verifying().await, [old, vec![new.clone()]].concat());
    assert_eq!(keys.response_serial, new, "fields are encrypted to it");
    let asked = testbed.wechat.admin().requests();
    let queried = asked.get(&Endpoint::QueryByOutTradeNo);
    assert_eq!(queried, None, "the callback brought it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_an_unknown_certificate_is_reported_too() {
    let testbed = Testbed::by_certificate().await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::Unchanged);
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::Certificate).expect("a key");
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 202);
    assert_eq!(testbed.certificates().await, RefreshOutcome::Changed);
    testbed.advance(Duration::from_secs(61)).await;
    assert_eq!(testbed.post_order(&native("ORDER-2")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_asked_for_each_twelve_hours_and_a_new_one_is_there_before_it_signs() {
    let testbed = Testbed::by_certificate().await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::Unchanged);
    testbed.advance(12 * HOUR - Duration::from_secs(60)).await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::NotDue);
    assert_eq!(testbed.downloads(), 1);
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::Certificate).expect("a key");
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::Changed);
    testbed.advance(Duration::from_secs(61)).await;
    testbed.paid_untold("ORDER-1").await;
    testbed.deliver().await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_serials_bring_about_one_question_in_ten_minutes_and_only_in_their_form() {
    let testbed = Testbed::by_certificate().await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::Unchanged);
    testbed.paid_untold("ORDER-1").await;
    for no_certificate in ["PUB_KEY_ID_0000", "1"] {
        assert_eq!(testbed.receive_unknown(no_certificate).await, 401);
        testbed.advance(Duration::from_secs(61)).await;
        assert_eq!(testbed.certificates().await, RefreshOutcome::NotDue);
    }
    for minute in 0..20 {
        let serial = format!("{minute:040}");
        assert_eq!(testbed.receive_unknown(&serial).await, 401);
        testbed.certificates().await;
        testbed.advance(Duration::from_secs(61)).await;
    }
    // One in time, and two in the 20 minutes.
    assert_eq!(testbed.downloads(), 1 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_in_public_key_mode_is_asked_nothing_and_an_unknown_serial_is_no_error() {
    let testbed = Testbed::with(TestbedOptions {
        without_certificates: true,
        ..TestbedOptions::default()
    })
    .await;
    assert_eq!(testbed.certificates().await, RefreshOutcome::NotDue);
    assert_eq!(testbed.downloads(), 0);
    testbed.paid_untold("ORDER-1").await;
    assert_eq!(testbed.receive_unknown(&"A".repeat(40)).await, 401);
    assert_eq!(
        testbed.certificates().await,
        RefreshOutcome::NoneForThisMerchant
    );
    assert_eq!(testbed.downloads(), 1);
    let keys = testbed.verifying().await;
    assert!(keys.len() == 1 && keys[0].starts_with("PUB_KEY_ID_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_between_the_two_keeps_the_public_key_and_every_certificate() {
    let testbed = Testbed::start().await;
    let before = testbed.keys.merchant().await.expect("keys");
    let admin = testbed.wechat.admin();
    let new = admin.rotate(SigningMode::Certificate).expect("a key");
    assert_eq!(testbed.certificates().await, RefreshOutcome::Changed);
    testbed.advance(Duration::from_secs(61)).await;
    let after = testbed.keys.merchant().await.expect("keys");
    assert_eq!(after.response_serial, before.response_serial);
    let known: Vec<_> = before.entries.iter().map(|entry| &entry.id).collect();
    let now: Vec<_> = after.entries.iter().map(|entry| &entry.id).collect();
    assert_eq!(now, [known, vec![&new]].concat());
    assert_eq!(after.entries[0].kind, VerificationKind::PublicKey);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_query_without_an_answer_is_repeated_at_the_next_check() {
    let testbed = Testbed::by_certificate().await;
    let down = Rule::times(Fault::ServerErrorBefore { status: 503 }, 1);
    testbed.wechat.admin().add_fault(down).expect("a rule");
    assert_eq!(testbed.certificates().await, RefreshOutcome::Failed);
    assert_eq!(testbed.certificates().await, RefreshOutcome::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_keys_are_not_set_up_yet_sets_off_no_alarm() {
    let testbed = Testbed::by_certificate().await;
    let key = format!("merchant#{MCHID}");
    let removed = testbed.dynamo().delete_item();
    let removed = removed.table_name(&testbed.tables.keys);
    let removed = removed.key("pk", AttributeValue::S(key)).send().await;
    removed.expect("a table");
    testbed.advance(12 * HOUR).await;
    let lines = Lines::default();
    let refreshed = lines.of(testbed.certificates()).await;
    assert_eq!(refreshed, RefreshOutcome::Failed);
    let logged = lines.take_all();
    assert!(
        logged.iter().all(|line| line["level"] != "ERROR"),
        "{logged:?}"
    );
    let is_named = |line: &Value| {
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains(MCHID))
    };
    let warned = logged.iter().filter(|line| line["level"] == "WARN");
    assert_eq!(
        warned.filter(|line| is_named(line)).count(),
        1,
        "{logged:?}"
    );
}
