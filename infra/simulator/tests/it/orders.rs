//! Orders: all four products, every rule on their fields, repeats, query and close.

use std::time::Duration;

use serde_json::{Value, json};
use wechatpay_simulator::{PayError, PayOptions, TradeState};

use crate::support::{Ask, NOON_S, at_noon};

fn with(mut order: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    order.pointer_mut(parent).unwrap()[key] = value;
    order
}

#[tokio::test]
async fn each_product_gives_its_own_kind_of_value_and_is_paid_by_it() {
    let merchant = at_noon();
    let base = &merchant.simulator.base_url;
    for (product, key, begins, trade_type) in [
        ("jsapi", "prepay_id", "wx20260803120000".to_owned(), "JSAPI"),
        ("app", "prepay_id", "wx20260803120000".to_owned(), "APP"),
        (
            "native",
            "code_url",
            "weixin://wxpay/bizpayurl?pr=".to_owned(),
            "NATIVE",
        ),
        (
            "h5",
            "h5_url",
            format!("{base}/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx2026"),
            "MWEB",
        ),
    ] {
        let number = format!("ORDER-{product}");
        let order = merchant.order(&number, 100);
        let order = match product {
            "jsapi" => with(
                order,
                "/payer",
                json!({"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}),
            ),
            "h5" => with(
                order,
                "/scene_info",
                json!({"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}}),
            ),
            _ => order,
        };
        let answer = merchant
            .ask(&Ask::post(
                &format!("/v3/pay/transactions/{product}"),
                &order,
            ))
            .await;
        let value = answer.json()[key]
            .as_str()
            .unwrap_or_else(|| panic!("{}", answer.json()))
            .to_owned();
        assert!(value.starts_with(&begins), "{value}");
        assert!(key != "prepay_id" || value.len() == 36, "{value}");

        let paid = merchant
            .admin()
            .pay(&value, &PayOptions::default())
            .unwrap();
        assert_eq!(paid.trade_state, TradeState::Success);
        let answer = merchant.ask(&merchant.query(&number)).await.json();
        assert_eq!(answer["trade_type"], trade_type);
        assert_eq!(answer["trade_state"], "SUCCESS");
        assert_eq!(answer["success_time"], "2026-08-03T12:00:00+08:00");
        assert_eq!(answer["attach"], "shop=7");
        assert_eq!(
            answer["amount"],
            json!({"total": 100, "payer_total": 100, "currency": "CNY", "payer_currency": "CNY"})
        );
        assert!(product != "jsapi" || answer["payer"]["openid"] == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o");
        let id = answer["transaction_id"].as_str().unwrap();
        let mchid = &merchant.simulator.details.mchid;
        let by_id = merchant
            .ask(&Ask::get(&format!(
                "/v3/pay/transactions/id/{id}?mchid={mchid}"
            )))
            .await;
        assert_eq!(by_id.json(), answer);
    }
}

#[tokio::test]
async fn every_broken_rule_of_an_order_is_refused_with_its_code_and_field() {
    let merchant = at_noon();
    let good = || merchant.order("ORDER-1001", 100);
    let scene = json!({"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}});
    let h5 = |pointer, value| with(with(good(), "/scene_info", scene.clone()), pointer, value);
    for (product, order, status, code, field) in [
        (
            "native",
            with(good(), "/amount/total", json!(0)),
            400,
            "PARAM_ERROR",
            "/amount/total",
        ),
        (
            "native",
            with(good(), "/amount/total", json!("100")),
            400,
            "PARAM_ERROR",
            "/amount/total",
        ),
        (
            "native",
            with(good(), "/amount/currency", json!("USD")),
            400,
            "PARAM_ERROR",
            "/amount/currency",
        ),
        (
            "native",
            with(good(), "/attach", json!(null)),
            400,
            "PARAM_ERROR",
            "/attach",
        ),
        (
            "native",
            with(good(), "/attach", json!("茶".repeat(43))), // 129 bytes
            400,
            "PARAM_ERROR",
            "/attach",
        ),
        (
            "native",
            with(good(), "/description", json!("茶😀")),
            400,
            "PARAM_ERROR",
            "/description",
        ),
        (
            "native",
            with(good(), "/description", json!("茶".repeat(128))),
            400,
            "PARAM_ERROR",
            "/description",
        ),
        (
            "native",
            with(good(), "/limit", json!(1)),
            400,
            "PARAM_ERROR",
            "/limit",
        ),
        (
            "native",
            with(good(), "/out_trade_no", json!("SHORT")),
            400,
            "PARAM_ERROR",
            "/out_trade_no",
        ),
        (
            "native",
            with(good(), "/out_trade_no", json!("ORDER 1001")),
            400,
            "PARAM_ERROR",
            "/out_trade_no",
        ),
        (
            "native",
            with(good(), "/mchid", json!("1900000001")),
            400,
            "PARAM_ERROR",
            "/mchid",
        ),
        (
            "native",
            with(good(), "/time_expire", json!("tomorrow")),
            400,
            "PARAM_ERROR",
            "/time_expire",
        ),
        (
            "native",
            with(good(), "/notify_url", json!("/callbacks")),
            400,
            "PARAM_ERROR",
            "/notify_url",
        ),
        (
            "native",
            with(good(), "/notify_url", json!("http://a.cn/?b=1")),
            400,
            "PARAM_ERROR",
            "/notify_url",
        ),
        (
            "native",
            with(good(), "/detail", json!({"goods_detail": []})),
            400,
            "PARAM_ERROR",
            "/detail/goods_detail",
        ),
        (
            "native",
            with(good(), "/appid", json!("wx0000000000000000")),
            400,
            "APPID_MCHID_NOT_MATCH",
            "",
        ),
        ("jsapi", good(), 400, "PARAM_ERROR", "/payer/openid"),
        (
            "jsapi",
            with(good(), "/payer", json!({"openid": "other-appid-1"})),
            500,
            "OPENID_MISMATCH",
            "",
        ),
        ("h5", good(), 400, "PARAM_ERROR", "/scene_info"),
        (
            "h5",
            with(
                good(),
                "/scene_info",
                json!({"payer_client_ip": "14.23.150.211"}),
            ),
            400,
            "PARAM_ERROR",
            "/scene_info/h5_info",
        ),
        (
            "h5",
            h5("/scene_info/h5_info/type", json!("wap")),
            400,
            "PARAM_ERROR",
            "/scene_info/h5_info/type",
        ),
        (
            "h5",
            h5("/scene_info/payer_client_ip", json!("::ffff:127.0.0.1")),
            400,
            "PARAM_ERROR",
            "/scene_info/payer_client_ip",
        ),
        (
            "h5",
            h5("/scene_info/payer_client_ip", json!("127.0.0.1")),
            400,
            "PARAM_ERROR",
            "/scene_info/payer_client_ip",
        ),
        (
            "h5",
            h5("/scene_info/payer_client_ip", json!("here")),
            400,
            "PARAM_ERROR",
            "/scene_info/payer_client_ip",
        ),
    ] {
        let answer = merchant
            .ask(&Ask::post(
                &format!("/v3/pay/transactions/{product}"),
                &order,
            ))
            .await;
        let body = answer.json();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{order}: {body}"
        );
        assert_eq!(
            body["detail"]["field"].as_str().unwrap_or_default(),
            field,
            "{order}: {body}"
        );
    }
    for text in ["", "[]", "{\"appid\":", "\u{feff}{}"] {
        let answer = merchant
            .ask(&Ask::post_text("/v3/pay/transactions/native", text))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "PARAM_ERROR"),
            "{text:?}"
        );
    }
    assert!(merchant.admin().orders().is_empty());
}

#[tokio::test]
async fn an_identical_repeat_gives_a_new_value_and_the_old_one_is_dead() {
    let merchant = at_noon();
    let order = merchant.order("ORDER-1001", 100);
    let first = merchant.native(&order).await;
    let second = merchant.native(&order).await;
    assert_ne!(first, second);
    assert_eq!(merchant.admin().orders().len(), 1);
    assert_eq!(
        merchant
            .admin()
            .pay(&first, &PayOptions::default())
            .unwrap_err(),
        PayError::Replaced
    );
    assert!(
        merchant
            .admin()
            .pay(&second, &PayOptions::default())
            .is_ok()
    );
    let again = merchant.admin().pay(&second, &PayOptions::default());
    assert_eq!(again.unwrap_err(), PayError::AlreadyPaid);
}

#[tokio::test]
async fn a_repeat_with_anything_changed_is_refused() {
    let merchant = at_noon();
    let order = merchant.order("ORDER-1001", 100);
    merchant.native(&order).await;
    let path = "/v3/pay/transactions/native";
    let changed = merchant
        .ask(&Ask::post(path, &merchant.order("ORDER-1001", 101)))
        .await;
    assert_eq!(
        (changed.status, changed.code().as_str()),
        (400, "INVALID_REQUEST")
    );
    assert!(changed.header("request-id").ends_with("-268498688"));
    let product = merchant
        .ask(&Ask::post("/v3/pay/transactions/app", &order))
        .await;
    assert_eq!(
        (product.status, product.code().as_str()),
        (403, "OUT_TRADE_NO_USED")
    );

    merchant
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    let paid = merchant.ask(&Ask::post(path, &order)).await;
    assert_eq!((paid.status, paid.code().as_str()), (400, "ORDERPAID"));

    let other = merchant.order("ORDER-1002", 100);
    merchant.native(&other).await;
    merchant.ask(&merchant.close("ORDER-1002")).await;
    let closed = merchant.ask(&Ask::post(path, &other)).await;
    assert_eq!(
        (closed.status, closed.code().as_str()),
        (400, "ORDER_CLOSED")
    );
}

#[tokio::test]
async fn a_value_and_an_order_run_out_at_their_times() {
    let merchant = at_noon();
    let expire = json!("2026-08-03T16:00:00+08:00");
    let order = with(merchant.order("ORDER-1001", 100), "/time_expire", expire);
    let value = merchant.native(&order).await;
    merchant.admin().set_time(NOON_S + 2 * 3600).await;
    let pay = |value: &str| {
        merchant
            .admin()
            .pay(value, &PayOptions::default())
            .map(|_| ())
    };
    assert_eq!(
        pay(&value),
        Err(PayError::Expired),
        "a code_url lives two hours"
    );
    let renewed = merchant.native(&order).await;
    merchant.admin().set_time(NOON_S + 4 * 3600).await;
    assert_eq!(
        pay(&renewed),
        Err(PayError::Expired),
        "time_expire has passed"
    );
    assert_eq!(
        merchant.state("ORDER-1001").await,
        "NOTPAY",
        "running out does not close"
    );
    let late = merchant
        .ask(&Ask::post("/v3/pay/transactions/native", &order))
        .await;
    assert_eq!((late.status, late.code().as_str()), (400, "ORDER_CLOSED"));
    merchant
        .admin()
        .advance(Duration::from_secs(7 * 86_400))
        .await;
    assert_eq!(
        merchant.state("ORDER-1001").await,
        "CLOSED",
        "WeChat Pay closes after seven days"
    );
}

#[tokio::test]
async fn cancel_and_fail_leave_an_order_unpaid() {
    let merchant = at_noon();
    let value = merchant.native(&merchant.order("ORDER-1001", 100)).await;
    merchant.admin().cancel(&value).unwrap();
    merchant.admin().fail("ORDER-1001").unwrap();
    assert_eq!(merchant.state("ORDER-1001").await, "NOTPAY");
    assert_eq!(
        merchant.admin().order(&value).unwrap().order.attempts.len(),
        2
    );
    assert!(merchant.admin().callbacks().is_empty());
    assert!(merchant.admin().pay(&value, &PayOptions::default()).is_ok());
}

#[tokio::test]
async fn close_is_repeatable_and_is_refused_once_paid() {
    let merchant = at_noon();
    let value = merchant.native(&merchant.order("ORDER-1001", 100)).await;
    assert_eq!(
        merchant.ask(&merchant.close("ORDER-1001")).await.status,
        204
    );
    assert_eq!(
        merchant.ask(&merchant.close("ORDER-1001")).await.status,
        204
    );
    assert_eq!(merchant.state("ORDER-1001").await, "CLOSED");
    assert_eq!(
        merchant
            .admin()
            .pay(&value, &PayOptions::default())
            .unwrap_err(),
        PayError::Closed
    );

    merchant.native(&merchant.order("ORDER-1002", 100)).await;
    merchant
        .admin()
        .pay("ORDER-1002", &PayOptions::default())
        .unwrap();
    let refused = merchant.ask(&merchant.close("ORDER-1002")).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "TRADE_ERROR")
    );
    let unknown = merchant.ask(&merchant.close("ORDER-1003")).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "ORDER_NOT_EXIST")
    );
}

#[tokio::test]
async fn a_query_needs_the_right_mchid_and_an_order() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let path = "/v3/pay/transactions/out-trade-no/ORDER-1001";
    for query in ["", "?mchid=1900000001"] {
        let answer = merchant.ask(&Ask::get(&format!("{path}{query}"))).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "PARAM_ERROR"),
            "{query}"
        );
    }
    let answer = merchant.ask(&merchant.query("ORDER-9999")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "ORDER_NOT_EXIST")
    );
    let answer = merchant.ask(&merchant.query("ORDER-1001")).await.json();
    assert_eq!(answer["trade_state"], "NOTPAY");
    assert_eq!(answer.get("transaction_id"), None);
}

#[tokio::test]
async fn a_coupon_pays_its_part_and_is_shown() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 500)).await;
    let options = PayOptions {
        coupon_fen: 100,
        bank_type: Some("CMB_DEBIT".to_owned()),
        ..PayOptions::default()
    };
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    let answer = merchant.ask(&merchant.query("ORDER-1001")).await.json();
    assert_eq!(
        (&answer["amount"]["total"], &answer["amount"]["payer_total"]),
        (&json!(500), &json!(400))
    );
    assert_eq!(answer["promotion_detail"][0]["amount"], 100);
    assert_eq!(answer["bank_type"], "CMB_DEBIT");
}
