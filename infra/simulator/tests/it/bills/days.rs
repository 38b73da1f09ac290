//! What is on which day, links, and refusals.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{ConsoleRefund, PayOptions};

use super::{Sheet, fetch, on_the_next_day, read, sheet, step_one, wrong_sums};
use crate::support::{Ask, at_noon};

/// Rows by column name, and the summary, of a bill whose sums are right.
fn parse(bytes: &[u8]) -> (Vec<super::Row>, Vec<String>) {
    let sheet: Sheet = read(bytes);
    assert!(wrong_sums(&sheet).is_empty(), "{:?}", wrong_sums(&sheet));
    (sheet.rows, sheet.summary)
}

#[tokio::test]
async fn the_trade_bill_has_the_days_payments_and_refunds_and_right_sums() {
    let merchant = on_the_next_day().await;
    let (rows, summary) = parse(&fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-03").await);
    assert_eq!(rows.len(), 3, "an unpaid order is in no bill");
    let pick = |row: usize, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| rows[row][*name].clone()).collect()
    };
    let names = [
        "交易时间",
        "商户订单号",
        "交易类型",
        "交易状态",
        "应结订单金额",
        "代金券金额",
        "订单金额",
        "手续费",
        "商品名称",
        "商户退款单号",
    ];
    assert_eq!(
        pick(0, &names),
        [
            "2026-08-03 12:00:00",
            "ORDER-1001",
            "NATIVE",
            "SUCCESS",
            "12.00",
            "0.00",
            "12.00",
            "0.07000",
            "Tea\\  green",
            "0"
        ]
    );
    assert_eq!(
        pick(1, &names),
        [
            "2026-08-03 12:01:00",
            "ORDER-1002",
            "NATIVE",
            "SUCCESS",
            "4.00",
            "1.00",
            "5.00",
            "0.02000",
            "Tea\\  green",
            "0"
        ]
    );
    assert_eq!(
        pick(2, &names),
        [
            "2026-08-03 12:02:00",
            "ORDER-1001",
            "NATIVE",
            "REFUND",
            "0.00",
            "0.00",
            "0.00",
            "-0.02000",
            "Tea\\  green",
            "RF-1001-1"
        ]
    );
    assert_eq!(
        pick(2, &["退款金额", "申请退款金额", "退款状态", "退款类型"]),
        ["3.00", "3.00", "SUCCESS", "ORIGINAL"]
    );
    assert_eq!(
        summary,
        ["3.0", "16.00", "3.00", "0.00", "0.07", "17.00", "3.00"]
    );
}

#[tokio::test]
async fn an_order_that_was_paid_twice_has_a_row_for_each_payment_and_its_refund() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 1200)).await;
    let options = PayOptions::default();
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    merchant.admin().advance(Duration::from_secs(1)).await;
    let view = merchant.admin().pay_again("ORDER-1001", &options).unwrap();
    let second = view.payments[1].payment.transaction_id.clone();
    merchant.admin().advance(Duration::from_secs(1)).await;
    let requested = ConsoleRefund {
        order: "ORDER-1001".to_owned(),
        transaction_id: Some(second.clone()),
        refund_fen: 1200,
        ..ConsoleRefund::default()
    };
    merchant.admin().console_refund(&requested).unwrap();
    merchant.admin().advance(Duration::from_secs(86_400)).await;
    let (rows, summary) = parse(&fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-03").await);
    let numbers: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["微信订单号"].as_str(), row["交易状态"].as_str()))
        .collect();
    let first = view.payments[0].payment.transaction_id.as_str();
    assert_eq!(
        numbers,
        [
            (first, "SUCCESS"),
            (second.as_str(), "SUCCESS"),
            (second.as_str(), "REFUND")
        ]
    );
    assert_eq!((&*summary[5], &*summary[6]), ("24.00", "12.00"));
}

#[tokio::test]
async fn the_success_and_refund_bills_have_their_own_columns_and_rows() {
    let merchant = on_the_next_day().await;
    let (rows, summary) = parse(
        &fetch(
            &merchant,
            "/v3/bill/tradebill?bill_date=2026-08-03&bill_type=SUCCESS",
        )
        .await,
    );
    assert_eq!((rows.len(), rows[0].len()), (2, 20));
    assert_eq!(summary, ["2.0", "16.00", "0.09", "17.00"]);
    let (rows, _) = parse(
        &fetch(
            &merchant,
            "/v3/bill/tradebill?bill_date=2026-08-03&bill_type=REFUND",
        )
        .await,
    );
    assert_eq!((rows.len(), rows[0].len()), (1, 29));
    assert_eq!(rows[0]["退款成功时间"], "2026-08-03 12:02:05");
}

#[tokio::test]
async fn the_fund_bill_has_each_movement_with_the_balance_after_it() {
    let merchant = on_the_next_day().await;
    let (rows, summary) =
        parse(&fetch(&merchant, "/v3/bill/fundflowbill?bill_date=2026-08-03").await);
    let moved: Vec<(&str, &str, &str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["业务类型"].as_str(),
                row["收支类型"].as_str(),
                row["收支金额(元)"].as_str(),
                row["账户结余(元)"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        moved,
        [
            ("交易", "收入", "12.00", "100012.00"),
            ("扣除交易手续费", "支出", "0.07", "100011.93"),
            ("交易", "收入", "4.00", "100015.93"),
            ("扣除交易手续费", "支出", "0.02", "100015.91"),
            ("退款", "支出", "3.00", "100012.91"),
            ("退还交易手续费", "收入", "0.02", "100012.93"),
        ]
    );
    assert_eq!(summary, ["6.0", "3.0", "16.02", "3.0", "3.09"]);
}

#[tokio::test]
async fn a_bill_begins_with_a_bom_and_ends_each_line_with_cr_and_lf() {
    let merchant = on_the_next_day().await;
    let bytes = fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-03").await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("\u{feff}交易时间,公众账号ID,"), "{text}");
    assert!(text.ends_with("\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[tokio::test]
async fn a_refund_that_was_closed_brings_its_money_back() {
    let merchant = on_the_next_day().await;
    let admin = merchant.admin();
    admin.set_refund_outcome(wechatpay_simulator::RefundOutcome::Closed);
    let requested = ConsoleRefund {
        order: "ORDER-1002".to_owned(),
        refund_fen: 500,
        ..ConsoleRefund::default()
    };
    admin.console_refund(&requested).unwrap();
    admin.advance(Duration::from_secs(86_400)).await;
    let fund = sheet(&merchant, "/v3/bill/fundflowbill?bill_date=2026-08-04").await;
    let moved: Vec<(&str, &str, &str)> = fund
        .rows
        .iter()
        .map(|row| (&*row["业务类型"], &*row["收支类型"], &*row["收支金额(元)"]))
        .collect();
    assert_eq!(
        moved,
        [
            ("退款", "支出", "4.00"),
            ("退还交易手续费", "收入", "0.02"),
            ("退款关闭", "收入", "4.00"),
            ("扣除交易手续费", "支出", "0.02"),
        ]
    );
    let trade = sheet(&merchant, "/v3/bill/tradebill?bill_date=2026-08-04").await;
    assert_eq!(trade.rows[0]["退款状态"], "FAIL");
}

#[tokio::test]
async fn a_zipped_bill_has_the_hash_of_its_unzipped_text() {
    let merchant = on_the_next_day().await;
    let plain = fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-03").await;
    assert_eq!(
        fetch(
            &merchant,
            "/v3/bill/tradebill?bill_date=2026-08-03&tar_type=GZIP"
        )
        .await,
        plain
    );
}

#[tokio::test]
async fn a_bill_once_made_does_not_change() {
    let merchant = on_the_next_day().await;
    let before = fetch(
        &merchant,
        "/v3/bill/tradebill?bill_date=2026-08-03&bill_type=REFUND",
    )
    .await;
    let refund = json!({
        "out_trade_no": "ORDER-1002",
        "out_refund_no": "RF-1002-1",
        "amount": {"refund": 500, "total": 500, "currency": "CNY"},
    });
    merchant
        .ask(&Ask::post("/v3/refund/domestic/refunds", &refund))
        .await;
    assert_eq!(
        fetch(
            &merchant,
            "/v3/bill/tradebill?bill_date=2026-08-03&bill_type=REFUND"
        )
        .await,
        before
    );
    merchant.admin().allow_bills_of_today(true);
    let (rows, _) = parse(&fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-04").await);
    assert_eq!(rows[0]["退款状态"], "PROCESSING");
    merchant.admin().advance(Duration::from_secs(5)).await;
    let (rows, _) = parse(&fetch(&merchant, "/v3/bill/tradebill?bill_date=2026-08-04").await);
    assert_eq!(
        rows[0]["退款状态"], "SUCCESS",
        "the running day's bill follows the books"
    );
}

#[tokio::test]
async fn wrong_days_and_parameters_are_refused_with_their_codes() {
    let merchant = on_the_next_day().await;
    for (query, code) in [
        ("tradebill", "PARAM_ERROR"),
        ("tradebill?bill_date=20260803", "PARAM_ERROR"),
        ("tradebill?bill_date=2026-08-04", "PARAM_ERROR"),
        ("tradebill?bill_date=2026-08-05", "PARAM_ERROR"),
        ("tradebill?bill_date=2026-05-01", "PARAM_ERROR"),
        (
            "tradebill?bill_date=2026-08-03&bill_type=NONE",
            "PARAM_ERROR",
        ),
        ("tradebill?bill_date=2026-08-03&tar_type=ZIP", "PARAM_ERROR"),
        ("tradebill?bill_date=2026-08-03&sub=1", "PARAM_ERROR"),
        ("tradebill?bill_date=2026-08-02", "NO_STATEMENT_EXIST"),
        ("fundflowbill?bill_date=2026-08-02", "NO_STATEMENT_EXIST"),
        (
            "fundflowbill?bill_date=2026-08-03&account_type=FEES",
            "NO_STATEMENT_EXIST",
        ),
    ] {
        let answer = step_one(&merchant, &format!("/v3/bill/{query}")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{query}"
        );
    }
    merchant
        .admin()
        .advance(Duration::from_secs(13 * 3600))
        .await;
    let early = step_one(&merchant, "/v3/bill/tradebill?bill_date=2026-08-04").await;
    assert_eq!(
        (early.status, early.code().as_str()),
        (400, "STATEMENT_CREATING")
    );
}

#[tokio::test]
async fn a_link_is_dead_after_five_minutes() {
    let merchant = on_the_next_day().await;
    let link = step_one(&merchant, "/v3/bill/tradebill?bill_date=2026-08-03")
        .await
        .json();
    let url = link["download_url"]
        .as_str()
        .unwrap()
        .strip_prefix(&merchant.simulator.base_url)
        .unwrap()
        .to_owned();
    merchant.admin().advance(Duration::from_secs(299)).await;
    assert_eq!(merchant.ask(&Ask::get(&url)).await.status, 200);
    merchant.admin().advance(Duration::from_secs(1)).await;
    let answer = merchant.ask(&Ask::get(&url)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "NO_AUTH"));
}
