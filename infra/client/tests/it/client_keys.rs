//! What a client's key may do, and for whom one may be registered.

use std::path::Path;

use payments::model::permissions::Scope;

use crate::cloud::{Cloud, printed};
use crate::setup::{refused, shown, well};

#[tokio::test]
async fn a_key_gets_the_scopes_and_limits_that_are_named_and_the_command_says_what_it_may_do() {
    let cloud = Cloud::start("scopes").await;
    let settings = cloud.path("shop.json");
    let api = ["--api-url", "https://api.example.com", "--settings"];
    let key = ["client", "--keyid", "shop-1", "--client-id", "shop"];
    let register = [&key[..], &api, &[&settings]].concat();
    for (scopes, reason) in [
        ("create,refunds", "`refunds` is no scope"),
        ("", "at least one scope"),
    ] {
        refused(
            &cloud,
            &[&register[..], &["--scopes", scopes]].concat(),
            reason,
        );
    }
    assert!(!Path::new(&settings).exists(), "nothing was registered");
    let limits = ["--refund-max-fen", "5000", "--order-max-fen", "100000"];
    let named = ["--scopes", "refund,create"];
    let registered = cloud.setup(&[&register[..], &named, &limits].concat());
    let said = printed(&registered);
    assert!(registered.status.success(), "{said}");
    for part in [
        "It may: create,refund.",
        "It may not: read,close,decide",
        "An order has 100000 fen at most.",
        "A refund has 5000 fen at most.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let may = |cloud: &Cloud| {
        let key = shown(cloud)["clients"][0].clone();
        let part = |name: &str| key[name].clone();
        (
            part("scopes"),
            part("order_max_fen"),
            part("refund_max_fen"),
        )
    };
    let (scopes, some, none) = (
        serde_json::json!(["create", "refund"]),
        5000,
        serde_json::Value::Null,
    );
    assert_eq!(may(&cloud), (scopes.clone(), 100_000.into(), some.into()));

    // What is not named stays.
    let limit = ["limit", "--keyid", "shop-1", "--order-max-fen", "none"];
    well(&cloud, &limit);
    assert_eq!(may(&cloud), (scopes, none.clone(), some.into()));
    let all = "create,read,close,refund,decide";
    well(&cloud, &["scopes", "--keyid", "shop-1", "--scopes", all]);
    let all: Vec<&str> = all.split(',').collect();
    assert_eq!(may(&cloud), (serde_json::json!(all), none, some.into()));
    let key = cloud.keys().client_key("shop-1").await.unwrap().unwrap();
    assert!(
        Scope::ALL
            .iter()
            .all(|scope| key.permissions.scopes.has(*scope))
    );
    let unknown = ["scopes", "--keyid", "shop", "--scopes", "read"];
    refused(&cloud, &unknown, "the client shop has shop-1");
    refused(
        &cloud,
        &["scopes", "--keyid", "shop-1"],
        "--scopes is missing",
    );
}

#[tokio::test]
async fn a_client_id_that_no_key_may_be_registered_for_is_refused_with_the_reason() {
    let cloud = Cloud::start("client-id").await;
    let settings = cloud.path("shop.json");
    let api = ["--api-url", "https://api.example.com", "--settings"];
    for (client_id, reason) in [
        ("(nobody)", "kept for orders that belong to no client"),
        ("my shop", "visible ASCII characters without blanks"),
        ("茶店", "SQS takes no others"),
        ("", "1 to 128"),
    ] {
        let key = ["client", "--keyid", "shop-1", "--client-id", client_id];
        refused(&cloud, &[&key[..], &api, &[&settings]].concat(), reason);
    }
    assert!(
        !Path::new(&settings).exists(),
        "its secret is worth nothing"
    );
    assert_eq!(shown(&cloud)["clients"], serde_json::json!([]));
}
