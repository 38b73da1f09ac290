//! Items that are missing or damaged.

use aws_sdk_dynamodb::types::AttributeValue;
use stores::keys_table::KeysError;

use super::super::{Bench, MCHID, certificate, merchant, public_key};

#[tokio::test]
async fn without_an_item_the_error_says_what_to_do() {
    let bench = Bench::new().await;
    let failure = bench.sandbox().merchant().await.expect_err("no item");
    assert!(matches!(failure, KeysError::NoMerchant { .. }) && !failure.is_transient());
    assert!(
        failure.to_string().contains("merchant#1900000001"),
        "{failure}"
    );
}

#[tokio::test]
async fn one_unreadable_verification_key_is_left_out_and_none_readable_is_an_error() {
    let bench = Bench::new().await;
    let pk = format!("merchant#{MCHID}");
    bench
        .sandbox()
        .put_merchant(&merchant(&[public_key(), certificate()]))
        .await
        .expect("written");
    let AttributeValue::L(mut stored) = bench.attribute(&pk, "verification").await else {
        panic!("a list")
    };
    if let AttributeValue::M(first) = &mut stored[0] {
        first.insert("pem".to_owned(), AttributeValue::S("no key".to_owned()));
    }
    bench
        .set(&pk, "verification", AttributeValue::L(stored.clone()))
        .await;
    let keys = bench.sandbox().merchant().await.expect("read");
    assert_eq!(
        keys.verification.serials().collect::<Vec<_>>(),
        [certificate().id]
    );

    stored.truncate(1);
    bench
        .set(&pk, "verification", AttributeValue::L(stored))
        .await;
    let failure = bench.sandbox().merchant().await.expect_err("no key");
    assert!(matches!(failure, KeysError::Damaged { .. }), "{failure}");
}

#[tokio::test]
async fn a_damaged_item_is_named_with_what_it_lacks() {
    let bench = Bench::new().await;
    let pk = format!("merchant#{MCHID}");
    for attribute in [
        "verification",
        "response_serial",
        "apiv3",
        "signer",
        "version",
    ] {
        bench.put_merchant().await;
        bench.set(&pk, attribute, AttributeValue::Bool(true)).await;
        let failure = bench.sandbox().merchant().await.expect_err(attribute);
        assert!(
            matches!(&failure, KeysError::Damaged { .. }),
            "{attribute}: {failure}"
        );
        // An invalid number cannot be incremented; an operator must start the item again.
        bench
            .set(&pk, "version", AttributeValue::N("1".to_owned()))
            .await;
    }
}
