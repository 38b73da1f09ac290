//! The admin calls over HTTP.

use http::Method;

use super::*;

#[tokio::test]
async fn every_admin_call_over_http_does_what_the_handle_does() {
    let merchant = started(Config::for_tests());
    let code_url = merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let post = |path: &str, body: &Value| Ask::post(path, body);
    let mut printed = Vec::new();
    for (ask, status) in [
        (Ask::get("/admin/details"), 200),
        (Ask::get("/admin/orders"), 200),
        (post("/admin/cancel", &json!({"order": code_url})), 200),
        (post("/admin/fail", &json!({"order": "ORDER-1001"})), 200),
        (post("/admin/pay", &json!({"order": "ORDER-9999"})), 404),
        (
            post(
                "/admin/pay",
                &json!({"order": "ORDER-1001", "coupon_fen": 100}),
            ),
            400,
        ),
        (
            post("/admin/pay", &json!({"order": code_url, "coupon_fen": 40})),
            200,
        ),
        (post("/admin/pay", &json!({"order": code_url})), 409),
        (
            post(
                "/admin/faults",
                &json!({"fault": "lost_callback", "times": 2}),
            ),
            201,
        ),
        (
            post(
                "/admin/faults",
                &json!({"fault": "reset_before", "probability": 2}),
            ),
            400,
        ),
        (Ask::get("/admin/faults"), 200),
        (post("/admin/rotate", &json!({"mode": "certificate"})), 200),
        (Ask::get("/admin/callbacks"), 200),
        (post("/admin/callbacks/none/redeliver", &json!({})), 404),
        (
            post(
                "/admin/callbacks/sign",
                &json!({"about": "ORDER-1001", "damage": "probe"}),
            ),
            200,
        ),
        (
            post(
                "/admin/callbacks/sign",
                &json!({"about": "ORDER-1001", "damage": {"stale": 400}}),
            ),
            200,
        ),
        (Ask::get("/admin/refunds"), 200),
        (
            post("/admin/refunds/outcome", &json!({"outcome": "hold"})),
            204,
        ),
        (
            post(
                "/admin/refunds/settle",
                &json!({"out_refund_no": "RF-1", "status": "SUCCESS"}),
            ),
            404,
        ),
        (post("/admin/balance", &json!({"fen": 5})), 204),
        (post("/admin/bills", &json!({"of_today": true})), 204),
        (Ask::get("/admin/requests"), 200),
        (Ask::get("/admin/time"), 200),
        (post("/admin/time", &json!({"advance_s": 1})), 409),
        (
            post("/admin/pay", &json!({"order": "ORDER-1001"})).with("content-type", "text/plain"),
            415,
        ),
        (
            post("/admin/pay", &json!({"order": "ORDER-1001", "again": true})),
            200,
        ),
        (
            post("/admin/pay", &json!({"order": "ORDER-1001", "late": true})),
            409,
        ),
        (Ask::get("/admin/orders?order=ORDER-1001"), 200),
        (Ask::get("/admin/orders?order=ORDER-9999"), 200),
        (Ask::get("/admin/balance"), 200),
        (
            post(
                "/admin/refunds/console",
                &json!({"order": "ORDER-1001", "refund_fen": 400}),
            ),
            409,
        ),
        (
            post("/admin/refunds/outcome", &json!({"outcome": "hold"})),
            204,
        ),
        (
            post(
                "/admin/refunds/console",
                &json!({"order": "ORDER-1001", "refund_fen": 4, "out_refund_no": "RF-1"}),
            ),
            200,
        ),
        (
            post(
                "/admin/refunds/console",
                &json!({"order": "ORDER-9999", "refund_fen": 4}),
            ),
            404,
        ),
        (Ask::get("/admin/refunds?order=ORDER-1001"), 200),
        (Ask::get("/admin/settings"), 200),
        (
            post(
                "/admin/settings",
                &json!({"console_refund_url": "http://127.0.0.1:9/", "paid_close": "ORDERPAID"}),
            ),
            200,
        ),
        (
            post("/admin/settings", &json!({"console_refund_url": null})),
            200,
        ),
        (post("/admin/settings", &json!({"colour": "red"})), 400),
        (post("/admin/settings", &json!({"apiv2_key": "short"})), 400),
        (
            post(
                "/admin/callbacks/send",
                &json!({"kind": "profit_sharing", "about": "ORDER-1001", "alter": {"order_id": "7"}}),
            ),
            201,
        ),
        (
            post(
                "/admin/callbacks/send",
                &json!({"kind": "combined", "about": "ORDER-9999"}),
            ),
            404,
        ),
        (
            post(
                "/admin/callbacks/sign",
                &json!({"about": "RF-1", "notice": {"kind": "refund", "status": "CLOSED"},
                    "damage": {"forged_tag": {"amount": {"refund": 9}}}}),
            ),
            200,
        ),
        (Ask::get("/admin/callbacks?about=ORDER-1001"), 200),
    ] {
        let answer = merchant.ask(&ask).await;
        assert_eq!(
            answer.status,
            status,
            "{} {} {}: {}",
            ask.method,
            ask.path,
            ask.body,
            answer.json()
        );
        printed.push(answer.json());
    }
    assert_eq!(
        printed[0]["mchid"],
        merchant.simulator.details.mchid.as_str()
    );
    assert_eq!(printed[1][0]["trade_state"], "NOTPAY");
    assert_eq!(printed[6]["trade_state"], "SUCCESS");
    assert_eq!(printed[6]["payment"]["coupon_fen"], 40);
    assert_eq!(printed[10][0]["fault"], "lost_callback");
    assert_eq!(
        printed[11]["serial"],
        merchant
            .admin()
            .newest_key(wechatpay_simulator::SigningMode::Certificate)
            .unwrap()
            .0
    );
    assert_eq!(printed[12][0]["event_type"], "TRANSACTION.SUCCESS");
    let signature = printed[14]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pair| pair[0] == "Wechatpay-Signature")
        .unwrap();
    assert!(
        signature[1]
            .as_str()
            .unwrap()
            .starts_with("WECHATPAY/SIGNTEST/")
    );
    assert_eq!(printed[21], json!({"prepay_native": 1}));
    assert_eq!(printed[25]["payments"].as_array().unwrap().len(), 2);
    assert_eq!(printed[27][0]["received_fen"], 200);
    assert_eq!(printed[28], json!([]));
    assert_eq!(printed[34][0]["source"], "console");
    assert_eq!(printed[35]["paid_close"], "TRADE_ERROR");
    assert_eq!(printed[36]["console_refund_url"], "http://127.0.0.1:9/");
    let url_gone = (
        &printed[37]["console_refund_url"],
        &printed[37]["paid_close"],
    );
    assert_eq!(url_gone, (&json!(null), &json!("ORDERPAID")));
    assert_eq!(printed[40]["plaintext"]["order_id"], "7");
    assert!(
        printed[42]["body"]
            .as_str()
            .unwrap()
            .contains("REFUND.CLOSED")
    );
    assert_eq!(printed[43].as_array().unwrap().len(), 3);
    assert_eq!(
        merchant.admin().order("ORDER-1001").unwrap().trade_state,
        TradeState::Refund
    );

    let mut delete = Ask::get("/admin/faults/1");
    delete.method = http::Method::DELETE;
    assert_eq!(merchant.ask(&delete).await.json(), json!({"cleared": 1}));
    assert!(merchant.admin().faults().is_empty());
}

#[tokio::test]
async fn the_merchants_certificates_and_keys_are_changed_over_http_and_what_signed_is_counted() {
    let merchant = started(Config::for_tests());
    merchant.native(&merchant.order("ORDER-1", 100)).await;
    let first = merchant.simulator.details.merchant_serial.clone();
    let pem = &merchant.simulator.details.platform_certificate;
    let (second, _) = serial_and_subject_of(pem);
    let certificates = "/admin/merchant/certificates";
    let revoke = |serial: &str| Ask {
        method: Method::DELETE,
        ..Ask::get(&format!("{certificates}/{serial}"))
    };
    for (ask, status) in [
        (Ask::post(certificates, &json!({"certificate": pem})), 201),
        (Ask::post(certificates, &json!({"certificate": pem})), 409),
        (
            Ask::post(certificates, &json!({"certificate": "none"})),
            400,
        ),
        (revoke(&first), 204),
        (revoke(&first), 404),
        (
            Ask::post(
                "/admin/merchant/apiv3-key",
                &json!({"apiv3_key": "n".repeat(32)}),
            ),
            204,
        ),
        (
            Ask::post("/admin/merchant/apiv3-key", &json!({"apiv3_key": "short"})),
            400,
        ),
        (
            Ask::post(
                "/admin/merchant/signing-mode",
                &json!({"mode": "certificate"}),
            ),
            204,
        ),
        (
            Ask::post(
                "/admin/rotate",
                &json!({"mode": "public_key", "announce": true}),
            ),
            400,
        ),
    ] {
        let answer = merchant.ask(&ask).await;
        assert_eq!(answer.status, status, "{} {}", ask.path, ask.body);
    }
    // What is revoked signs nothing more, and what it signed stays counted.
    let refused = merchant.ask(&Ask::get("/v3/certificates")).await;
    assert_eq!(refused.status, 401);
    let shown = merchant.ask(&Ask::get("/admin/merchant")).await.json();
    let wanted = json!({
        "signing_mode": "certificate",
        "certificates": [
            {"serial": second, "is_valid": true, "requests": 0},
            {"serial": first, "is_valid": false, "requests": 1},
        ],
    });
    assert_eq!(shown, wanted);
    let announce = json!({"mode": "certificate", "announce": true});
    let next = merchant.ask(&Ask::post("/admin/rotate", &announce)).await;
    let begun = json!({"mode": "certificate"});
    let begun = merchant.ask(&Ask::post("/admin/rotate", &begun)).await;
    assert_eq!(next.json(), begun.json());
}
