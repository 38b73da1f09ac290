//! What third-party clients send and expect: official SDKs, containers, proxies, people with curl.

use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};
use wechatpay_simulator::{Config, Log, SigningMode, Simulator, Time};

use crate::support::{Ask, Merchant, NOON_S, at_noon, started};

/// hyper takes the blank away: what arrives is an empty header.
const EMPTY: &str = " ";

#[tokio::test]
async fn an_empty_serial_counts_as_absent_as_the_java_sdk_sends_it_for_certificates() {
    let merchant = started(Config {
        signing_mode: SigningMode::Certificate,
        ..Config::for_tests()
    });
    let ask = Ask::get("/v3/certificates").with("wechatpay-serial", EMPTY);
    let answer = merchant.ask(&ask).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert!(answer.is_signed(merchant.admin(), SigningMode::Certificate));
}

#[tokio::test]
async fn any_other_empty_header_counts_as_absent_too() {
    let merchant = at_noon();
    let echo = json!({"echo_message": "hello"});
    let answer = merchant
        .ask(&Ask::post("/v3/security/echo", &echo).with("wechatpay-serial", EMPTY))
        .await;
    let message = answer.json()["message"].to_string();
    assert!(message.contains("缺少Wechatpay-Serial"), "{message}");
    let query = merchant.query("ORDER-1001");
    let answer = merchant
        .ask(&query.clone().with("authorization", EMPTY))
        .await;
    let message = answer.json()["message"].to_string();
    assert!(message.contains("缺少Authorization"), "{message}");
    for name in ["user-agent", "accept"] {
        let answer = merchant.ask(&query.clone().with(name, EMPTY)).await;
        assert_eq!(answer.status, 400, "{name}");
    }
    let answer = merchant.ask(&query.with("accept-language", EMPTY)).await;
    assert_eq!(answer.json()["message"], "订单不存在");
}

async fn h5_url(merchant: &Merchant, number: &str, headers: &[(&str, &str)]) -> String {
    let mut order = merchant.order(number, 100);
    order["scene_info"] = json!({"payer_client_ip": "198.51.100.7", "h5_info": {"type": "Wap"}});
    let mut ask = Ask::post("/v3/pay/transactions/h5", &order);
    for (name, value) in headers {
        ask = ask.with(name, value);
    }
    let answer = merchant.ask(&ask).await.json();
    answer["h5_url"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn links_begin_with_the_scheme_and_host_of_the_request() {
    let merchant = at_noon();
    let host = ("host", "pay.test:9");
    let url = h5_url(&merchant, "ORDER-1001", &[host]).await;
    assert!(url.starts_with("http://pay.test:9/cgi-bin/"), "{url}");
    // The order is found by the link that it was given out with.
    assert_eq!(
        merchant.admin().order(&url).unwrap().order.out_trade_no,
        "ORDER-1001"
    );
    let proxied = [
        host,
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "sim.example"),
    ];
    let url = h5_url(&merchant, "ORDER-1002", &proxied).await;
    assert!(url.starts_with("https://sim.example/cgi-bin/"), "{url}");

    let mut ask = Ask::get("/admin/details");
    for (name, value) in proxied {
        ask = ask.with(name, value);
    }
    let details = merchant.ask(&ask).await.json();
    assert_eq!(details["base_url"], "https://sim.example");
    assert_eq!(details["admin_url"], "https://sim.example/admin");
    assert_eq!(details["phone_url"], "https://sim.example/phone");
    assert_eq!(details["mchid"], merchant.simulator.details.mchid.as_str());
}

#[tokio::test]
async fn a_public_url_is_what_links_and_details_begin_with() {
    let merchant = started(Config {
        public_url: Some("https://tunnel.example/".to_owned()),
        ..Config::for_tests()
    });
    let url = h5_url(&merchant, "ORDER-1001", &[("x-forwarded-host", "b.test")]).await;
    assert!(url.starts_with("https://tunnel.example/cgi-bin/"), "{url}");
    let details = &merchant.simulator.details;
    assert_eq!(details.base_url, "https://tunnel.example");
    assert_eq!(details.phone_url, "https://tunnel.example/phone");

    let wrong = Simulator::start(Config {
        public_url: Some("tunnel.example".to_owned()),
        ..Config::for_tests()
    });
    let message = wrong.err().unwrap().to_string();
    assert!(message.contains("--public-url"), "{message}");
}

#[tokio::test]
async fn a_bills_link_follows_the_request_and_its_file_has_a_request_id() {
    let merchant = started(Config {
        time: Time::Manual { start_s: NOON_S },
        bills_of_today: true,
        ..Config::for_tests()
    });
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    merchant
        .admin()
        .pay("ORDER-1001", &Default::default())
        .unwrap();
    let link = merchant
        .ask(
            &Ask::get("/v3/bill/tradebill?bill_date=2026-08-03")
                .with("host", "bills.test")
                .with("x-forwarded-proto", "https"),
        )
        .await
        .json();
    let url = link["download_url"].as_str().unwrap();
    let path = url.strip_prefix("https://bills.test").unwrap();
    let file = merchant.ask(&Ask::get(path)).await;
    assert_eq!(file.status, 200);
    assert_eq!(
        file.header("wechatpay-signature"),
        "",
        "files are not signed"
    );
    let id = file.header("request-id");
    assert!(id.len() > 20 && id.ends_with("-0"), "{id}");
}

#[tokio::test]
async fn the_fields_of_the_official_models_are_known_and_held_to_their_rules() {
    let merchant = at_noon();
    let identity = json!({"type": "IDCARD", "number": "43102119910910512X", "name": "周星星"});
    let more = json!({
        "limit_pay": ["no_credit", "no_balance"],
        "subsidy_info": {"any": [{"thing": 1}]},
        "payer": {"identity": identity},
        "detail": {"goods_detail": [{"merchant_goods_id": "Tea_7-b", "quantity": 1, "unit_price": 100}]},
    });
    let with = |number: &str, pointer: &str, value: Value| {
        let mut order = merchant.order(number, 100);
        for (key, value) in more.as_object().unwrap() {
            order[key] = value.clone();
        }
        if !pointer.is_empty() {
            *order.pointer_mut(pointer).unwrap() = value;
        }
        order
    };
    for product in ["native", "app"] {
        let order = with(&format!("ORDER-{product}"), "", Value::Null);
        let path = format!("/v3/pay/transactions/{product}");
        let answer = merchant.ask(&Ask::post(&path, &order)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    for (pointer, value, field) in [
        ("/limit_pay", json!([]), "/limit_pay"),
        ("/limit_pay", json!(["no_money"]), "/limit_pay/0"),
        (
            "/payer/identity/type",
            json!("CARD"),
            "/payer/identity/type",
        ),
        (
            "/payer/identity",
            json!({"type": "IDCARD", "name": "周星星"}),
            "/payer/identity/number",
        ),
        ("/subsidy_info", json!("text"), "/subsidy_info"),
        (
            "/detail/goods_detail/0/merchant_goods_id",
            json!("商品编码"),
            "/detail/goods_detail/0/merchant_goods_id",
        ),
    ] {
        let order = with("ORDER-WRONG", pointer, value);
        let answer = merchant
            .ask(&Ask::post("/v3/pay/transactions/native", &order))
            .await;
        assert_eq!(answer.json()["detail"]["field"], field, "{}", answer.json());
    }
    // Who pays a JSAPI order must be named, whatever else is known of the person.
    let order = with("ORDER-JSAPI", "", Value::Null);
    let answer = merchant
        .ask(&Ask::post("/v3/pay/transactions/jsapi", &order))
        .await;
    assert_eq!(answer.json()["detail"]["field"], "/payer/openid");
}

#[tokio::test]
async fn goods_of_a_refund_have_the_same_alphabet() {
    let merchant = at_noon();
    let goods = |id: &str| {
        json!({
            "out_trade_no": "ORDER-1001",
            "out_refund_no": "REFUND-1",
            "amount": {"refund": 1, "total": 100, "currency": "CNY"},
            "goods_detail": [{"merchant_goods_id": id, "unit_price": 1, "refund_amount": 1, "refund_quantity": 1}],
        })
    };
    let path = "/v3/refund/domestic/refunds";
    let refused = merchant.ask(&Ask::post(path, &goods("a b"))).await.json();
    assert_eq!(
        refused["detail"]["field"],
        "/goods_detail/0/merchant_goods_id"
    );
    let unknown = merchant.ask(&Ask::post(path, &goods("a-b"))).await;
    assert_eq!(unknown.code(), "RESOURCE_NOT_EXISTS");
}

/// A simulator whose log is kept.
fn logged() -> (Merchant, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let merchant = started(Config {
        log: Some(Log::new(move |line| {
            kept.lock().unwrap().push(line.to_owned());
        })),
        ..Config::for_tests()
    });
    (merchant, lines)
}

#[tokio::test]
async fn the_log_names_the_cause_of_a_refusal_in_one_line() {
    let (merchant, lines) = logged();
    let mut order = merchant.order("ORDER-1001", 100);
    order["a\nkey"] = json!(1);
    merchant
        .ask(&Ask::post("/v3/pay/transactions/native", &order))
        .await;
    let lines = lines.lock().unwrap().clone();
    let line = lines.last().unwrap();
    assert!(
        line.starts_with("POST /v3/pay/transactions/native -> 400 PARAM_ERROR: ")
            && line.contains("unknown key"),
        "{line}"
    );
    assert!(!line.contains('\n'), "{line}");
}

#[tokio::test]
async fn every_refusal_of_an_admin_call_is_one_line_of_json_and_in_the_log() {
    let (merchant, lines) = logged();
    let with = |method: Method, path: &str| Ask {
        method,
        ..Ask::get(path)
    };
    for (ask, status, cause) in [
        (Ask::post_text("/admin/pay", "{"), 400, "EOF"),
        (
            Ask::post_text("/admin/pay", "{}"),
            422,
            "missing field `order`",
        ),
        (
            Ask::post_text("/admin/pay", "{\"order\":\"x\\ny\"}"),
            404,
            "no order has the number or prepay value x y",
        ),
        (
            Ask::post_text("/admin/faults", "{\"fault\":\"a\\nb\"}"),
            422,
            "unknown variant",
        ),
        (
            Ask::post_text("/admin/pay", "{}").with("content-type", "text/plain"),
            415,
            "Content-Type: application/json",
        ),
        (
            Ask::get("/admin/orders?number=1"),
            400,
            "unknown field `number`",
        ),
        (
            with(Method::DELETE, "/admin/faults/one"),
            400,
            "Cannot parse",
        ),
        (
            Ask::post_text("/admin/bills/make", "[\"2026-08-03\",1,0,1]"),
            400,
            "must be a JSON object",
        ),
        (
            Ask::get("/admin/nothing"),
            404,
            "there is no GET /admin/nothing here",
        ),
        (Ask::get("/admin"), 404, "there is no GET /admin here"),
        (Ask::get("/admin/pay"), 405, "/admin/pay does not take GET"),
    ] {
        let answer = merchant.ask(&ask).await;
        let body = answer.json();
        let message = body["error"].as_str().unwrap_or_default();
        assert_eq!(answer.status, status, "{}: {body}", ask.path);
        assert!(message.contains(cause) && !message.contains('\n'), "{body}");
        let lines = lines.lock().unwrap();
        let logged = lines.last().unwrap();
        assert!(
            logged.ends_with(&format!(" -> {status} {message}")),
            "{logged}"
        );
    }
}
