//! What a client's key may do, as it is stored.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::permissions::{AmountLimits, LimitFen, Permissions, Scopes};
use stores::keys_table::{
    KeysError,
    client_keys::{ClientKeyChange, NewClientKey, NewLimit},
};

use super::Bench;
use super::clients::{SECRET, new};

#[tokio::test]
async fn a_key_has_the_scopes_and_limits_that_it_was_given_and_a_change_leaves_the_rest() {
    let bench = Bench::new().await;
    let sandbox = bench.sandbox();
    let permissions = Permissions {
        scopes: "read,refund".parse().expect("scopes"),
        limits: AmountLimits {
            order_max: LimitFen::new(7),
            refund_max: LimitFen::new(5),
        },
    };
    let key = NewClientKey {
        permissions: &permissions,
        ..new("shop-1", "shop")
    };
    let put = sandbox.add_client_hmac(key, &SECRET).await;
    put.expect("written");
    let stored = || async {
        let key = bench.sandbox().client_key("shop-1").await.expect("read");
        let key = key.expect("a key");
        assert!(key.requests_per_s.is_none());
        key.permissions.clone()
    };
    assert_eq!(stored().await, permissions);
    // What a later version added is kept.
    let later = AttributeValue::S("later".to_owned());
    bench
        .set("client#shop-1", "added_later", later.clone())
        .await;
    let change = ClientKeyChange {
        order_max: Some(NewLimit::Removed),
        refund_max: LimitFen::new(6).map(NewLimit::Of),
        ..ClientKeyChange::default()
    };
    let changed = sandbox.change_client_key("shop-1", &change).await;
    changed.expect("changed");
    let expected = Permissions {
        limits: AmountLimits {
            order_max: None,
            refund_max: LimitFen::new(6),
        },
        ..permissions
    };
    assert_eq!(stored().await, expected);
    assert_eq!(bench.attribute("client#shop-1", "added_later").await, later);
}

#[tokio::test]
async fn a_key_of_an_earlier_version_decides_nothing_and_one_that_cannot_be_read_is_none() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    let put = table.put_client_hmac(new("shop-1", "shop"), &SECRET);
    put.await.expect("written");
    let read = || async { bench.sandbox().client_key("shop-1").await };
    let set = |value| bench.set("client#shop-1", "scopes", value);
    let names = |names: &[&str]| {
        let names = names
            .iter()
            .map(|name| AttributeValue::S((*name).to_owned()));
        AttributeValue::L(names.collect())
    };
    set(names(&["read", "later"])).await;
    let key = read().await.expect("read").expect("a key");
    assert_eq!(key.permissions.scopes.to_string(), "read");
    for value in [names(&["later"]), AttributeValue::S("read".to_owned())] {
        set(value.clone()).await;
        let damaged = read().await.expect_err("no scope is known");
        assert!(matches!(damaged, KeysError::Damaged { .. }), "{value:?}");
    }
    bench.remove("client#shop-1", "scopes").await;
    let key = read().await.expect("read").expect("a key");
    assert_eq!(key.permissions.scopes, Scopes::of_earlier_keys());
    for limit in ["0", "-1", "1.5", "100000000000001"] {
        let limit = AttributeValue::N(limit.to_owned());
        bench.set("client#shop-1", "refund_max_fen", limit).await;
        let damaged = read().await.expect_err("no limit");
        assert!(damaged.to_string().contains("refund_max_fen"), "{damaged}");
    }
}
