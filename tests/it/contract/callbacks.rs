//! `POST /v1/callbacks/wechatpay`.

use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, PayOptions};

use super::conforms;
use crate::support::{Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_callback_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    let callback = |damage: &Damage| {
        testbed
            .wechat
            .admin()
            .signed_callback("ORDER-1", damage)
            .unwrap()
    };
    let mut bare = callback(&Damage::None);
    bare.headers.clear();
    let mut huge = callback(&Damage::None);
    huge.body = "x".repeat(70_000);
    for (callback, status) in [
        (callback(&Damage::None), 204),
        (bare, 400),
        (callback(&Damage::Probe), 401),
        (huge, 413),
        (callback(&Damage::ForeignApiv3Key), 500),
    ] {
        let answer = testbed.receive(&callback).await;
        assert_eq!(answer.status, status);
        conforms("/v1/callbacks/wechatpay", "post", &answer);
    }
    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    let answer = testbed.receive(&callback(&Damage::None)).await;
    assert_eq!(answer.status, 503);
    conforms("/v1/callbacks/wechatpay", "post", &answer);
}
