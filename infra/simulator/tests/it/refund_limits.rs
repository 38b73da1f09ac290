//! Limits and outcomes of refunds that are switched on: quotas, spellings, refusals, and what
//! faults make of them.

use std::time::Duration;

use serde_json::{Value, json};
use wechatpay_simulator::{
    ChangedRefund, Config, Endpoint, Fault, PAYMENT_LADDER_S, PayOptions, RefundOutcome,
    RefundStatus, Rule, Settings, SettleError, Time,
};

use crate::support::{Answer, Ask, Merchant, NOON_S, Receiver, at_noon, started};

const REFUNDS: &str = "/v3/refund/domestic/refunds";

fn refund(number: &str, order: &str, refund_fen: i64) -> Value {
    json!({
        "out_trade_no": order,
        "out_refund_no": number,
        "amount": {"refund": refund_fen, "total": 1000, "currency": "CNY"},
    })
}

async fn paid(merchant: &Merchant, number: &str) {
    merchant.native(&merchant.order(number, 1000)).await;
    merchant
        .admin()
        .pay(number, &PayOptions::default())
        .unwrap();
}

async fn ask(merchant: &Merchant, body: &Value) -> Answer {
    merchant.ask(&Ask::post(REFUNDS, body)).await
}

async fn answered(merchant: &Merchant, body: &Value) -> (u16, String) {
    let answer = ask(merchant, body).await;
    (answer.status, answer.code())
}

fn set(merchant: &Merchant, settings: Settings) {
    merchant.admin().set_settings(settings).unwrap();
}

#[tokio::test]
async fn six_failing_refunds_in_a_second_shut_out_good_ones_until_it_has_passed() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    let good = refund("RF-good", "ORDER-1001", 100);
    set(
        &merchant,
        Settings {
            refund_quotas: true,
            ..Settings::default()
        },
    );
    for number in 0..6 {
        let bad = refund(&format!("RF-{number}"), "ORDER-9999", 100);
        assert_eq!(
            answered(&merchant, &bad).await.1,
            "RESOURCE_NOT_EXISTS",
            "{number}"
        );
    }
    assert_eq!(
        answered(&merchant, &good).await,
        (429, "FREQUENCY_LIMITED".to_owned())
    );
    assert!(
        merchant.admin().refund("RF-good").is_none(),
        "nothing was done"
    );
    merchant.admin().advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&merchant, &good).await.status, 200);

    set(&merchant, Settings::default());
    for number in 0..8 {
        let bad = refund(&format!("RF-{number}"), "ORDER-9999", 100);
        assert_eq!(
            answered(&merchant, &bad).await.1,
            "RESOURCE_NOT_EXISTS",
            "no quotas unless set"
        );
    }
}

#[tokio::test]
async fn a_payer_who_is_gone_gets_no_refund_and_the_number_stays_free() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    merchant.admin().set_refund_outcome(RefundOutcome::Refused);
    let body = refund("RF-1", "ORDER-1001", 100);
    assert_eq!(
        answered(&merchant, &body).await,
        (403, "USER_ACCOUNT_ABNORMAL".to_owned())
    );
    assert_eq!(merchant.state("ORDER-1001").await, "SUCCESS");
    let unknown = merchant.ask(&Ask::get(&format!("{REFUNDS}/RF-1"))).await;
    assert_eq!(unknown.code(), "RESOURCE_NOT_EXISTS");
    merchant.admin().set_refund_outcome(RefundOutcome::Success);
    assert_eq!(ask(&merchant, &body).await.status, 200);
}

#[tokio::test]
async fn a_refund_number_is_unique_for_the_merchant_and_its_amount_is_fixed() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    paid(&merchant, "ORDER-1002").await;
    assert_eq!(
        ask(&merchant, &refund("RF-1", "ORDER-1001", 100))
            .await
            .status,
        200
    );
    let (other_order, other_amount) = (
        refund("RF-1", "ORDER-1002", 100),
        refund("RF-1", "ORDER-1001", 101),
    );
    for (changed_refund, of_order, of_amount) in [
        (
            ChangedRefund::InvalidRequest,
            "INVALID_REQUEST",
            "INVALID_REQUEST",
        ),
        (
            ChangedRefund::FeeMismatch,
            "INVALID_REQUEST",
            "REFUND_FEE_MISMATCH",
        ),
    ] {
        set(
            &merchant,
            Settings {
                changed_refund,
                ..Settings::default()
            },
        );
        assert_eq!(
            answered(&merchant, &other_order).await,
            (400, of_order.to_owned())
        );
        assert_eq!(
            answered(&merchant, &other_amount).await,
            (400, of_amount.to_owned())
        );
    }
    assert_eq!(merchant.admin().refunds().len(), 1);
    assert_eq!(merchant.state("ORDER-1002").await, "SUCCESS");
}

#[tokio::test]
async fn a_429_after_the_refund_was_accepted_is_answered_by_the_same_refund_later() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    merchant
        .admin()
        .add_fault(Rule::times(Fault::TooManyRequestsAfter, 1).at(Endpoint::CreateRefund))
        .unwrap();
    let body = refund("RF-1", "ORDER-1001", 100);
    assert_eq!(
        answered(&merchant, &body).await,
        (429, "FREQUENCY_LIMITED".to_owned())
    );
    let kept = merchant.admin().refund("RF-1").unwrap();
    let answer = ask(&merchant, &body).await;
    assert_eq!(
        (answer.status, &answer.json()["refund_id"]),
        (200, &json!(kept.refund_id))
    );
}

#[tokio::test]
async fn the_seed_says_what_refunds_come_to() {
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let merchant = started(Config {
            seed: Some(seed),
            time: Time::Manual { start_s: NOON_S },
            ..Config::for_tests()
        });
        for (outcome, chance) in [
            (RefundOutcome::Abnormal, 0.4),
            (RefundOutcome::Closed, 0.4),
            (RefundOutcome::Refused, 0.2),
        ] {
            let rule = Rule::always(Fault::RefundComesTo { outcome });
            merchant
                .admin()
                .add_fault(rule.with_probability(chance))
                .unwrap();
        }
        let mut came_to = Vec::new();
        for number in 0..16 {
            let order = format!("ORDER-{number:03}");
            paid(&merchant, &order).await;
            let answer = ask(&merchant, &refund(&format!("RF-{number}"), &order, 1000)).await;
            came_to.push((answer.status, None));
        }
        merchant.admin().advance(Duration::from_secs(5)).await;
        for (number, outcome) in came_to.iter_mut().enumerate() {
            let refund = merchant.admin().refund(&format!("RF-{number}"));
            assert_eq!(refund.is_none(), outcome.0 == 403);
            outcome.1 = refund.map(|refund| refund.status);
        }
        runs.push(came_to);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    for status in [
        None,
        Some(RefundStatus::Success),
        Some(RefundStatus::Abnormal),
        Some(RefundStatus::Closed),
    ] {
        assert!(
            runs[0].iter().any(|outcome| outcome.1 == status),
            "{status:?} never came"
        );
    }
}

#[tokio::test]
async fn an_abnormal_refund_is_mended_by_hand_or_held_on_the_way() {
    let merchant = at_noon();
    paid(&merchant, "ORDER-1001").await;
    paid(&merchant, "ORDER-1002").await;
    merchant.admin().set_refund_outcome(RefundOutcome::Abnormal);
    for (number, order) in [("RF-1", "ORDER-1001"), ("RF-2", "ORDER-1002")] {
        ask(&merchant, &refund(number, order, 100)).await;
    }
    merchant.admin().advance(Duration::from_secs(5)).await;
    let status = |number| merchant.admin().refund(number).unwrap().status;
    let settle = |number, status| merchant.admin().settle_refund(number, status);
    assert_eq!(status("RF-1"), RefundStatus::Abnormal);
    let closed = settle("RF-1", RefundStatus::Closed).unwrap_err();
    assert_eq!(closed, SettleError::NotProcessing);
    settle("RF-1", RefundStatus::Success).unwrap();
    assert_eq!(status("RF-1"), RefundStatus::Success);

    merchant.admin().set_refund_outcome(RefundOutcome::Hold);
    let refund_id = merchant.admin().refund("RF-2").unwrap().refund_id;
    let path = format!("{REFUNDS}/{refund_id}/apply-abnormal-refund");
    let apply = Ask::post(
        &path,
        &json!({"out_refund_no": "RF-2", "type": "MERCHANT_BANK_CARD"}),
    );
    assert_eq!(merchant.ask(&apply).await.json()["status"], "PROCESSING");
    merchant.admin().advance(Duration::from_secs(86_400)).await;
    assert_eq!(status("RF-2"), RefundStatus::Processing);
    settle("RF-2", RefundStatus::Success).unwrap();
}

#[tokio::test]
async fn each_end_of_a_refund_is_announced_and_repeated_by_the_official_ladder() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    receiver.will_answer(&[500; 3 * 16]);
    for (outcome, event_type) in [
        (RefundOutcome::Success, "REFUND.SUCCESS"),
        (RefundOutcome::Closed, "REFUND.CLOSED"),
        (RefundOutcome::Abnormal, "REFUND.ABNORMAL"),
    ] {
        let number = event_type.replace('.', "-");
        let order = format!("ORDER-{number}");
        paid(&merchant, &order).await;
        merchant.admin().set_refund_outcome(outcome);
        let mut body = refund(&number, &order, 100);
        body["notify_url"] = json!(receiver.url);
        assert_eq!(ask(&merchant, &body).await.status, 200);
        merchant
            .admin()
            .advance(Duration::from_secs(25 * 3600))
            .await;
        let callback = merchant.admin().callbacks_about(&number).remove(0);
        assert_eq!(callback.event_type, event_type);
        let waits: Vec<i64> = callback
            .tries
            .windows(2)
            .map(|two| (two[1].at_ms - two[0].at_ms) / 1000)
            .collect();
        assert_eq!(waits, PAYMENT_LADDER_S);
    }
}
