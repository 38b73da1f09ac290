//! What waits for an operator's decision, or was decided and not taken.

use payments::reconcile::difference::DifferenceState;
use serde_json::json;
use stores::notices::{DecideOutcome, Notices};
use wechatpay_simulator::{Endpoint, Fault, Rule};

use super::{MINUTE, Watch, five_minutes};
use crate::{
    payer_owed::could_not_be_paid_out,
    support::{MCHID, Testbed, native},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_notice_is_an_alarm_until_a_person_has_decided_however_long_that_takes() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains("notices-parked"));
    testbed.post_order(&native("ORDER-1")).await;
    watch
        .of(testbed.pay_altered("ORDER-1", json!({"amount": {"currency": "USD"}})))
        .await;
    assert_eq!(watch.of(testbed.work_off()).await, 0);
    watch.says("money parked for a person", "error-lines.md");
    testbed.advance(MINUTE * 5).await;
    watch.goes_on("money-parked");
    assert!(!watch.is_met("new-error-lines"), "one call");
    for days in [0, 1, 9] {
        testbed.advance(MINUTE * 60 * 24 * days).await;
        five_minutes(&testbed, &mut watch).await;
        watch.goes_on("notices-parked");
        if days > 0 {
            watch.goes_off("money-parked");
        }
    }
    assert!(
        !watch.is_met("error-lines"),
        "it was logged once: {:?}",
        watch.said
    );
    let [parked] = &testbed.notices().await[..] else {
        panic!("one notice");
    };
    let client = testbed.dynamo();
    let decided = Notices::new(client, &testbed.tables.notices, MCHID)
        .decide(
            &parked["notice_id"],
            "Lin Wei",
            "Given back",
            testbed.clock.now(),
        )
        .await;
    assert_eq!(decided.unwrap(), DecideOutcome::Written);
    five_minutes(&testbed, &mut watch).await;
    watch.goes_off("notices-parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_two_persons_that_wechat_pay_refuses_is_an_alarm() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let difference = Box::pin(could_not_be_paid_out(&testbed)).await;
    let refuses = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    let rule = Rule::always(refuses).at(Endpoint::AbnormalRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    Box::pin(difference.decides("li", "redirect", "the card is gone")).await;
    Box::pin(difference.decides("wang", "approve", "asked the payer")).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
    testbed.advance(MINUTE * 5).await;
    for alarm in ["differences-opened", "new-error-lines"] {
        assert!(watch.is_met(alarm), "{alarm}: {:?}", watch.met());
    }
}
