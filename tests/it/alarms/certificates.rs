//! Certificates that end soon.

use std::time::Duration;

use stores::keys_table::{
    VerificationEntry, VerificationKind,
    change::{MerchantChange, SignerCertificate, Validity},
};
use wechatpay::certificates::ends;
use wechatpay_simulator::SigningMode;

use super::{MINUTE, Watch, five_minutes};
use crate::{runbooks, support::Testbed};

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_certificate_that_ends_within_thirty_days_is_an_alarm_until_the_next_is_registered()
 {
    const ALARM: &str = "merchant-certificate-ends";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM), "its end is not known");
    let register = async |serial_no: &str, ends_in_days: i64| {
        let from = testbed.clock.now();
        let until = from.plus_s(ends_in_days * 86_400);
        let certificate = SignerCertificate {
            signs: None,
            serial_no,
            validity: Some(Validity { from, until }),
        };
        let change = MerchantChange {
            signer_certificate: Some(certificate),
            removes_sealed_signer: true,
            ..MerchantChange::default()
        };
        testbed.keys.change_merchant(&change).await.unwrap();
        testbed.advance(MINUTE * 2).await;
    };
    let old = testbed.wechat.details.merchant_serial.clone();
    let new = "B".repeat(40);
    register(&old, 31).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    testbed.clock.advance(MINUTE * 60 * 24);
    for _ in 0..20 {
        five_minutes(&testbed, &mut watch).await;
        assert!(watch.is_met(ALARM));
    }
    // It has ended, and is still the one that requests name.
    testbed.clock.advance(MINUTE * 60 * 24 * 31);
    five_minutes(&testbed, &mut watch).await;
    watch.goes_on(ALARM);
    register(&new, 5 * 365).await;
    for _ in 0..16 {
        five_minutes(&testbed, &mut watch).await;
    }
    watch.goes_off(ALARM);
    let page = runbooks::page("keys.md");
    assert!(page.contains("`days until certificates end`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_platform_certificate_that_ends_within_thirty_days_is_an_alarm_until_another_came()
{
    const ALARM: &str = "platform-certificate-ends";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    let keys = testbed.keys.merchant().await.unwrap();
    let certificates = keys.entries.iter().filter_map(|it| ends(&it.pem).ok());
    let end = certificates.max().expect("a platform certificate");
    let until = async |days_before: u64| {
        let left_s = end.since(testbed.clock.now()).unsigned_abs();
        let by = Duration::from_secs(left_s - days_before * 86_400);
        testbed.advance(by).await;
    };
    until(31).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    until(29).await;
    five_minutes(&testbed, &mut watch).await;
    watch.goes_on(ALARM);
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::Certificate).unwrap();
    testbed.advance(MINUTE * 60 * 12).await;
    for _ in 0..16 {
        five_minutes(&testbed, &mut watch).await;
    }
    // Reconcile fetched it.
    watch.goes_off(ALARM);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_certificate_that_has_ended_beside_a_public_key_is_no_alarm() {
    const ALARM: &str = "platform-certificate-ends";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let keys = testbed.keys.merchant().await.unwrap();
    let is_public_key = |it: &VerificationEntry| it.kind == VerificationKind::PublicKey;
    assert!(keys.entries.iter().any(is_public_key));
    let certificates = keys.entries.iter().filter_map(|it| ends(&it.pem).ok());
    let end = certificates.max().expect("a platform certificate");
    let left_s = end.since(testbed.clock.now()).unsigned_abs();
    testbed.advance(Duration::from_secs(left_s - 86_400)).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(watch.is_met(ALARM));
    testbed.advance(Duration::from_secs(2 * 86_400)).await;
    for _ in 0..16 {
        five_minutes(&testbed, &mut watch).await;
    }
    assert!(!watch.not_quiet().contains(ALARM));
}
