//! Days that are filled at one stroke, and the calls over HTTP.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use wechatpay_simulator::{GenerateDay, GenerateError};

use super::{
    FUND, TRADE, after_a_busy_day, balances_agree, on_the_next_day, sheet, step_one, wrong_sums,
};
use crate::support::{Answer, Ask, Merchant};

const NOTHING: [&str; 0] = [];

async fn call(merchant: &Merchant, path: &str, body: &Value) -> Answer {
    merchant.ask(&Ask::post(path, body)).await
}

#[tokio::test]
async fn a_filled_day_has_its_orders_and_refunds_in_both_bills_and_the_books() {
    let (merchant, made) = after_a_busy_day();
    assert_eq!((made.orders.len(), made.refunds.len()), (40, 10));
    let trade = sheet(&merchant, TRADE).await;
    assert_eq!(trade.rows.len(), 50);
    assert_eq!(wrong_sums(&trade), NOTHING);
    let days = trade.rows.iter().map(|row| &row["交易时间"][..10]);
    assert!(days.into_iter().all(|day| day == "2026-08-03"));
    let ids: BTreeSet<&str> = trade.rows.iter().map(|row| &*row["微信订单号"]).collect();
    assert_eq!(ids.len(), 40);
    let types: BTreeSet<&str> = trade.rows.iter().map(|row| &*row["交易类型"]).collect();
    assert_eq!(types.len(), 4);
    let with_coupon = trade.rows.iter().filter(|row| row["代金券金额"] != "0.00");
    assert!(with_coupon.count() > 0);
    let refunded = trade.rows.iter().filter(|row| row["交易状态"] == "REFUND");
    assert!(refunded.clone().all(|row| row["退款状态"] == "SUCCESS"));
    assert_eq!(refunded.count(), 10);

    let fund = sheet(&merchant, FUND).await;
    assert_eq!(wrong_sums(&fund), NOTHING);
    assert!(balances_agree(&fund));
    let last = made.refunds.last().unwrap();
    let answer = merchant
        .ask(&Ask::get(&format!("/v3/refund/domestic/refunds/{last}")))
        .await;
    assert_eq!(answer.json()["status"], "SUCCESS");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_day_and_only_once() {
    let (merchant, _) = after_a_busy_day();
    let (again, _) = after_a_busy_day();
    assert_eq!(
        sheet(&merchant, TRADE).await.rows,
        sheet(&again, TRADE).await.rows
    );
    let wanted = |date: &str, orders, refunds, seed| GenerateDay {
        date: date.to_owned(),
        orders,
        refunds,
        seed,
    };
    let make = |wanted: GenerateDay| merchant.admin().make_day(&wanted);
    for (wanted, error) in [
        (wanted("2026-08-03", 1, 0, 7), GenerateError::MadeAlready),
        (wanted("2026-08-03", 0, 0, 8), GenerateError::Count),
        (wanted("2026-08-03", 2, 3, 8), GenerateError::Count),
        (
            wanted("2026-08-05", 1, 0, 8),
            GenerateError::Date("2026-08-05".to_owned()),
        ),
        (
            wanted("yesterday", 1, 0, 8),
            GenerateError::Date("yesterday".to_owned()),
        ),
    ] {
        assert_eq!(make(wanted).unwrap_err(), error);
    }
    make(wanted("2026-08-03", 5, 5, 8)).unwrap();
    assert_eq!(sheet(&merchant, TRADE).await.rows.len(), 60);
    make(wanted("2026-08-02", 5, 0, 7)).unwrap();
    assert!(balances_agree(&sheet(&merchant, FUND).await));
}

#[tokio::test]
async fn a_past_day_is_filled_without_touching_the_balances_that_follow() {
    let merchant = on_the_next_day().await;
    let before_fen = merchant.admin().balance_fen();
    let body = json!({"date": "2026-08-02", "orders": 3});
    let answer = call(&merchant, "/admin/bills/make", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let came_fen = merchant.admin().balance_fen() - before_fen;
    assert!(came_fen > 0);
    let first = sheet(&merchant, "/v3/bill/fundflowbill?bill_date=2026-08-02").await;
    let second = sheet(&merchant, FUND).await;
    assert!(balances_agree(&first) && balances_agree(&second));
    let end = super::units(&first.rows.last().unwrap()["账户结余(元)"]);
    let begin = super::units(&second.rows[0]["账户结余(元)"]);
    assert_eq!(
        begin - end,
        super::units("12.00"),
        "the second day goes on where the first ended"
    );
}

#[tokio::test]
async fn a_day_that_still_runs_is_filled_up_to_now() {
    let (merchant, _) = after_a_busy_day();
    let admin = merchant.admin();
    admin.allow_bills_of_today(true);
    let body = json!({"date": "2026-08-04", "orders": 20, "refunds": 20, "seed": 3});
    let answer = call(&merchant, "/admin/bills/make", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    admin.advance(Duration::from_secs(60)).await;
    let bill = sheet(&merchant, "/v3/bill/tradebill?bill_date=2026-08-04").await;
    assert_eq!(bill.rows.len(), 40);
    assert!(
        bill.rows
            .iter()
            .all(|row| *row["交易时间"] <= *"2026-08-04 12:00:00")
    );
    assert!(bill.rows.iter().all(|row| row["退款状态"] != "PROCESSING"));
}

#[tokio::test]
async fn the_calls_over_http_do_the_same() {
    let merchant = on_the_next_day().await;
    let path = "/admin/bills/differences";
    let body = json!({
        "date": "2026-08-03",
        "difference": "alter_amount",
        "fen": 1300,
        "order": "ORDER-1001",
    });
    let answer = call(&merchant, path, &body).await;
    assert_eq!(answer.status, 201);
    let planted = answer.json();
    assert_eq!(
        (&planted["order"], &planted["fen"]),
        (&json!("ORDER-1001"), &json!(1300))
    );
    for (body, status) in [
        (json!({"date": "2026-08-03", "difference": "nothing"}), 422),
        (
            json!({"date": "3 August", "difference": "drop_payment"}),
            400,
        ),
        (
            json!({"date": "2026-08-03", "difference": "drop_payment", "order": "X"}),
            404,
        ),
        (
            json!({"date": "2026-08-02", "difference": "drop_payment"}),
            409,
        ),
    ] {
        let answer = call(&merchant, path, &body).await;
        assert_eq!(answer.status, status, "{body}");
    }
    let summary = json!({"date": "2026-08-02", "difference": "summary_off"});
    assert_eq!(call(&merchant, path, &summary).await.status, 201);
    let listed = merchant.ask(&Ask::get(path)).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let of_day = format!("{path}?date=2026-08-03");
    assert_eq!(
        merchant.ask(&Ask::get(&of_day)).await.json(),
        json!([planted])
    );
    let mut clear = Ask::get(path);
    clear.method = http::Method::DELETE;
    assert_eq!(merchant.ask(&clear).await.json(), json!({"cleared": 2}));

    let movement = json!({"account_type": "FEES", "fen": -7});
    let moved = call(&merchant, "/admin/bills/movements", &movement).await;
    assert_eq!(moved.status, 204);
    let today = json!({"of_today": true});
    assert_eq!(call(&merchant, "/admin/bills", &today).await.status, 204);
    let fees = "/v3/bill/fundflowbill?bill_date=2026-08-04&account_type=FEES";
    assert_eq!(step_one(&merchant, fees).await.status, 200);
    let settings = json!({"old_bill_format": true, "bill_line_ends": "LF_BETWEEN"});
    let answer = call(&merchant, "/admin/settings", &settings).await;
    assert_eq!(answer.json()["bill_line_ends"], "LF_BETWEEN");
    assert_eq!(sheet(&merchant, TRADE).await.columns.len(), 24);
}
