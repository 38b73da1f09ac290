use serde_json::{Value, json};

use super::*;

fn merchant() -> MerchantProfile {
    MerchantProfile {
        mchid: "1900000001".into(),
        appids: vec!["wxa".into(), "wxb".into()],
        notify_url: "https://pay.example/v1/callbacks/wechatpay".into(),
    }
}

fn read(body: &Value, key: Option<&str>) -> Result<CreateOrder, BadRequest> {
    CreateOrder::read(
        body.to_string().as_bytes(),
        key,
        &ClientId::new("shop"),
        &merchant(),
    )
}

fn native() -> Value {
    json!({"order_no": "ORDER-1", "product": "native", "amount_fen": 100, "description": "Tea"})
}

/// The valid request with one key changed (`null` removes it).
fn with(changes: Value) -> Value {
    let mut body = native();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(key);
        } else {
            body[key] = value.clone();
        }
    }
    body
}

#[test]
fn the_smallest_request_gets_the_defaults() {
    let order = read(&native(), None).unwrap();
    assert_eq!(order.order_no.as_str(), "ORDER-1");
    assert_eq!(
        (order.terms.appid.as_str(), order.terms.expires_in_s),
        ("wxa", 7200)
    );
}

#[test]
fn without_a_number_the_idempotency_key_names_the_order() {
    let body = with(json!({"order_no": null}));
    let order = read(&body, Some("k1")).unwrap();
    assert_eq!(order, read(&body, Some("k1")).unwrap());
    assert_ne!(order.order_no, read(&body, Some("k2")).unwrap().order_no);
    assert_eq!(
        read(&body, None),
        Err(BadRequest::NoNumber { field: "order_no" })
    );
}

#[test]
fn every_field_that_is_out_of_bounds_is_named() {
    for (changes, field) in [
        (json!({"amount_fen": 0}), "amount_fen"),
        (json!({"amount_fen": -1}), "amount_fen"),
        (json!({"amount_fen": 1_000_000_001}), "amount_fen"),
        (json!({"description": ""}), "description"),
        (json!({"description": "x".repeat(128)}), "description"),
        (json!({"description": "tea 🍵"}), "description"),
        (json!({"description": "a\nb"}), "description"),
        (json!({"product": "cash"}), "product"),
        (json!({"order_no": "x"}), "order_no"),
        (json!({"order_no": "idem-aaaaaa"}), "order_no"),
        (json!({"appid": "wxz"}), "appid"),
        (json!({"openid": "o1"}), "openid"),
        (json!({"product": "jsapi"}), "openid"),
        (json!({"product": "mini_program", "openid": ""}), "openid"),
        (json!({"product": "h5"}), "payer_client_ip"),
        (
            json!({"product": "h5", "payer_client_ip": "127.0.0.1", "h5_type": "Wap"}),
            "payer_client_ip",
        ),
        (
            json!({"product": "h5", "payer_client_ip": "203.0.113.7"}),
            "h5_type",
        ),
        (
            json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Fridge"}),
            "h5_type",
        ),
        (json!({"h5_type": "Wap"}), "h5_type"),
        (json!({"payer_client_ip": "203.0.113.7"}), "payer_client_ip"),
        (json!({"attach": "x".repeat(129)}), "attach"),
        (json!({"attach": "茶".repeat(43)}), "attach"),
        (json!({"attach": ""}), "attach"),
        (
            json!({"product": "h5", "payer_client_ip": "::ffff:127.0.0.1", "h5_type": "Wap"}),
            "payer_client_ip",
        ),
        (
            json!({"product": "h5", "payer_client_ip": "::ffff:0.0.0.0", "h5_type": "Wap"}),
            "payer_client_ip",
        ),
        (json!({"goods_tag": "x".repeat(33)}), "goods_tag"),
        (json!({"payer_id": ""}), "payer_id"),
        (json!({"payer_id": "x".repeat(65)}), "payer_id"),
        (json!({"payer_id": "a payer"}), "payer_id"),
        (json!({"payer_id": "付款人"}), "payer_id"),
        (json!({"expires_in_s": 59}), "expires_in_s"),
        (json!({"expires_in_s": 604_801}), "expires_in_s"),
    ] {
        match read(&with(changes.clone()), None) {
            Err(BadRequest::Field { field: found, .. }) => {
                assert_eq!(found, field, "{changes}");
            }
            other => panic!("{changes}: {other:?}"),
        }
    }
}

#[test]
fn texts_that_are_as_long_as_they_may_be_are_taken_by_characters() {
    let longest = with(json!({"description": "茶".repeat(127), "goods_tag": "茶".repeat(32)}));
    let order = read(&longest, None).unwrap();
    assert_eq!(order.terms.description, "茶".repeat(127));
}

#[test]
fn attach_is_counted_in_bytes_as_wechat_pay_counts_it() {
    let longest = format!("{}xx", "茶".repeat(42));
    assert_eq!(longest.len(), 128);
    let order = read(&with(json!({"attach": longest})), None).unwrap();
    assert_eq!(order.terms.attach, Some(longest));
    let message = read(&with(json!({"attach": "茶".repeat(43)})), None).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("`attach`") && message.contains("128 bytes"),
        "{message}"
    );
    assert!(message.contains("129"), "{message}");
}

#[test]
fn a_payers_address_goes_out_as_plain_ipv4_where_it_is_one() {
    for (given, sent) in [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:DB8::1", "2001:db8::1"),
    ] {
        let h5 = json!({"product": "h5", "payer_client_ip": given, "h5_type": "Wap"});
        let order = read(&with(h5), None).unwrap();
        let body = order.prepay_body(&merchant(), UnixSeconds(1_785_556_801));
        assert_eq!(body.scene_info.unwrap().payer_client_ip, sent, "{given}");
    }
}

#[test]
fn json_that_is_not_the_contracts_is_refused() {
    for body in ["", "[]", "null", "{", r#"{"product":"native"}"#] {
        let refused = CreateOrder::read(body.as_bytes(), None, &ClientId::new("shop"), &merchant());
        assert!(matches!(refused, Err(BadRequest::Json(_))), "{body}");
    }
    for changes in [
        json!({"amount_fen": 1.5}),
        json!({"amount_fen": "100"}),
        json!({"notify_url": "https://evil.example/"}),
    ] {
        assert!(
            matches!(read(&with(changes.clone()), None), Err(BadRequest::Json(_))),
            "{changes}"
        );
    }
}

#[test]
fn an_order_is_an_object_whose_members_are_there_or_left_out() {
    let array = json!([
        "A1", "native", 100, "Tea", "wxa", null, null, null, null, null, null, null
    ]);
    let says = |body: &Value| read(body, None).unwrap_err().to_string();
    assert!(
        says(&array).contains("it must be an object"),
        "{}",
        says(&array)
    );
    let good = with(json!({
        "product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Wap", "appid": "wxa", "payer_id": "m-1",
        "attach": "a", "goods_tag": "g", "expires_in_s": 600
    }));
    assert!(read(&good, None).is_ok());
    let members: Vec<&String> = good.as_object().unwrap().keys().collect();
    for name in members.into_iter().chain([&"openid".to_owned()]) {
        let mut body = good.clone();
        body[name.as_str()] = Value::Null;
        let message = says(&body);
        assert!(
            message.contains(&format!("`{name}` must not be null")),
            "{message}"
        );
    }
}

#[test]
fn whole_numbers_are_written_in_digits_alone_and_texts_are_about_json() {
    for (number, plain) in [
        ("100.0", false),
        ("1e2", false),
        ("\"100\"", false),
        ("100", true),
    ] {
        let body = native().to_string().replace(":100", &format!(":{number}"));
        let asked = CreateOrder::read(body.as_bytes(), None, &ClientId::new("shop"), &merchant());
        assert_eq!(asked.is_ok(), plain, "{number}");
        if let Err(error) = asked {
            let message = error.to_string();
            assert!(
                message.contains("`amount_fen` must be a whole number"),
                "{message}"
            );
            assert!(
                !message.contains("i64") && !message.contains("Wire"),
                "{message}"
            );
        }
    }
}

#[test]
fn a_fingerprint_changes_with_every_term_and_not_with_the_number() {
    let base = read(&native(), None).unwrap().terms.fingerprint();
    assert_eq!(
        base,
        read(&with(json!({"order_no": "ORDER-2"})), None)
            .unwrap()
            .terms
            .fingerprint()
    );
    let mut seen = std::collections::BTreeSet::from([base.0]);
    for changes in [
        json!({"amount_fen": 101}),
        json!({"description": "Teb"}),
        json!({"appid": "wxb"}),
        json!({"attach": "a"}),
        json!({"goods_tag": "g"}),
        json!({"expires_in_s": 7201}),
        json!({"product": "app"}),
        json!({"product": "jsapi", "openid": "o1"}),
        json!({"product": "jsapi", "openid": "o2"}),
        json!({"product": "mini_program", "openid": "o1"}),
        json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Wap"}),
        json!({"product": "h5", "payer_client_ip": "203.0.113.8", "h5_type": "Wap"}),
        json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "iOS"}),
    ] {
        let changed = read(&with(changes.clone()), None).unwrap().terms;
        let Fingerprint(digest) = changed.fingerprint();
        assert!(seen.insert(digest), "{changes}");
    }
}

#[test]
fn wechat_pay_is_sent_every_term_and_nothing_else() {
    let sent = |changes: Value| {
        let order = read(&with(changes), None).unwrap();
        serde_json::to_value(order.prepay_body(&merchant(), UnixSeconds(1_785_556_801))).unwrap()
    };
    let bare = json!({
        "appid": "wxa", "mchid": "1900000001", "description": "Tea", "out_trade_no": "ORDER-1",
        "time_expire": "2026-08-01T12:00:01+08:00", "notify_url": merchant().notify_url,
        "amount": {"total": 100, "currency": "CNY"},
    });
    assert_eq!(sent(json!({})), bare);
    let plus = |more: Value| {
        let mut body = bare.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for (asked, more) in [
        (json!({"attach": "shop 7"}), json!({"attach": "shop 7"})),
        (json!({"goods_tag": "WXG"}), json!({"goods_tag": "WXG"})),
        (json!({"appid": "wxb"}), json!({"appid": "wxb"})),
        (json!({"payer_id": "p1"}), json!({})),
        (
            json!({"product": "jsapi", "openid": "o1"}),
            json!({"payer": {"openid": "o1"}}),
        ),
        (
            json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "iOS"}),
            json!({"scene_info": {"payer_client_ip": "203.0.113.7", "h5_info": {"type": "iOS"}}}),
        ),
    ] {
        assert_eq!(sent(asked.clone()), plus(more), "{asked}");
    }
}

#[test]
fn wechat_pay_is_sent_fen_an_absolute_expiry_and_our_own_notify_url() {
    let order = read(&with(json!({"product": "jsapi", "openid": "oUser"})), None).unwrap();
    let body =
        serde_json::to_value(order.prepay_body(&merchant(), UnixSeconds(1_785_556_801))).unwrap();
    assert_eq!(body["amount"], json!({"total": 100, "currency": "CNY"}));
    assert_eq!(body["time_expire"], "2026-08-01T12:00:01+08:00");
    assert_eq!(body["notify_url"], merchant().notify_url);
    assert_eq!(body["payer"], json!({"openid": "oUser"}));
    assert!(
        body.as_object()
            .unwrap()
            .values()
            .all(|value| !value.is_null()),
        "WeChat Pay refuses null"
    );
}

#[test]
fn a_payer_is_known_by_the_clients_id_or_by_openid_and_by_neither_readably() {
    let payer = |changes| read(&with(changes), None).unwrap().payer;
    assert_eq!(payer(json!({})), None);
    let shop = ClientId::new("shop");
    let key = |changes| payer(changes).unwrap().key(&shop);
    let by_openid = json!({"product": "jsapi", "openid": "o1"});
    let by_both = json!({"product": "jsapi", "openid": "o1", "payer_id": "o1"});
    // The release before this one must hold the same payer.
    assert_eq!(
        key(by_openid.clone()),
        "21ff930e0c6be3b28e48def8d7dc04d45a6d0d179641443cb6ee5da9b0feb484"
    );
    assert_eq!(
        key(json!({"payer_id": "o1"})),
        "64bd680eb684803d06a5f0de68856cf7b08a757dc1232832883cfa8d3d26f5f8"
    );
    assert_eq!(
        key(by_both),
        key(json!({"payer_id": "o1"})),
        "the client's own id counts"
    );
    assert_ne!(
        key(json!({"payer_id": "o1"})),
        key(json!({"payer_id": "o2"}))
    );
    assert_eq!(key(json!({"payer_id": "x".repeat(64)})).len(), 64);
    let other = ClientId::new("other");
    assert_ne!(
        payer(by_openid.clone()).unwrap().key(&other),
        key(by_openid)
    );
}
