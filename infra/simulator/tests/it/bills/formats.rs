//! How bills are written, and when money is booked.

use std::time::Duration;

use wechatpay_simulator::{FundAccount, LineEnds, PayOptions, Settings};

use super::{
    FUND, TRADE, balances_agree, fetch, on_the_next_day, read, sheet, step_one, wrong_sums,
};
use crate::support::{Merchant, at_noon};

const NOTHING: [&str; 0] = [];

fn set(merchant: &Merchant, change: impl FnOnce(&mut Settings)) {
    let mut settings = Settings::default();
    change(&mut settings);
    merchant.admin().set_settings(settings).unwrap();
}

#[tokio::test]
async fn the_old_format_has_24_columns_whole_amounts_and_sums_of_its_own() {
    let merchant = on_the_next_day().await;
    set(&merchant, |settings| settings.old_bill_format = true);
    let bill = sheet(&merchant, TRADE).await;
    assert_eq!(
        bill.columns.join(","),
        "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,\
         总金额,企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,商户数据包,\
         手续费,费率"
    );
    assert_eq!(bill.rows.len(), 3);
    let with_coupon = &bill.rows[1];
    assert_eq!(
        (&*with_coupon["总金额"], &*with_coupon["企业红包金额"]),
        ("5.00", "1.00")
    );
    assert_eq!(wrong_sums(&bill), NOTHING);
    assert_eq!(bill.summary, ["3", "17.00", "3.00", "0.00", "0.07000"]);

    for (bill_type, columns) in [("SUCCESS", 18), ("REFUND", 26)] {
        let bill = sheet(&merchant, &format!("{TRADE}&bill_type={bill_type}")).await;
        assert_eq!(bill.columns.len(), columns, "{bill_type}");
        assert_eq!(wrong_sums(&bill), NOTHING, "{bill_type}");
    }
}

#[tokio::test]
async fn a_fund_bill_can_have_full_width_brackets() {
    let merchant = on_the_next_day().await;
    let narrow = fetch(&merchant, FUND).await;
    set(&merchant, |settings| settings.full_width_brackets = true);
    let wide = sheet(&merchant, FUND).await;
    assert_eq!(wide.columns[6..8], ["收支金额（元）", "账户结余（元）"]);
    assert_eq!(wrong_sums(&wide), NOTHING);
    let narrow = read(&narrow);
    assert_eq!(narrow.summary, wide.summary, "only the headers differ");
    assert!(balances_agree(&narrow));
}

#[tokio::test]
async fn bom_line_ends_and_fees_are_as_they_are_set_and_the_values_stay_the_same() {
    let merchant = on_the_next_day().await;
    let usual = read(&fetch(&merchant, TRADE).await);
    for (bom, line_ends) in [
        (true, LineEnds::Lf),
        (false, LineEnds::Crlf),
        (false, LineEnds::Lf),
        (false, LineEnds::LfBetween),
    ] {
        set(&merchant, |settings| {
            settings.bill_bom = bom;
            settings.bill_line_ends = line_ends;
        });
        let bytes = fetch(&merchant, TRADE).await;
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text.starts_with('\u{feff}'), bom);
        assert_eq!(text.contains('\r'), line_ends == LineEnds::Crlf);
        assert_eq!(text.ends_with('\n'), line_ends != LineEnds::LfBetween);
        let bill = read(&bytes);
        assert_eq!(
            (bill.rows, bill.summary),
            (usual.rows.clone(), usual.summary.clone())
        );
    }
    set(&merchant, |settings| settings.short_fees = true);
    let bill = sheet(&merchant, TRADE).await;
    let fees: Vec<&str> = bill.rows.iter().map(|row| &*row["手续费"]).collect();
    assert_eq!(fees, ["0.07", "0.02", "-0.02"]);
    assert_eq!(wrong_sums(&bill), NOTHING);
}

#[tokio::test]
async fn a_merchant_that_is_settled_a_day_later_has_the_money_five_minutes_after_midnight() {
    let merchant = at_noon();
    let admin = merchant.admin();
    set(&merchant, |settings| settings.settle_next_day = true);
    let before_fen = admin.balance_fen();
    merchant.native(&merchant.order("ORDER-1001", 1200)).await;
    admin.pay("ORDER-1001", &PayOptions::default()).unwrap();
    assert_eq!(admin.balance_fen(), before_fen);
    admin.advance(Duration::from_secs(86_400)).await;
    assert_eq!(admin.balance_fen(), before_fen + 1193);
    admin.advance(Duration::from_secs(86_400)).await;

    assert_eq!(sheet(&merchant, TRADE).await.rows.len(), 1);
    let empty = step_one(&merchant, FUND).await;
    assert_eq!(empty.code(), "NO_STATEMENT_EXIST");
    let next = sheet(&merchant, "/v3/bill/fundflowbill?bill_date=2026-08-04").await;
    let rows: Vec<(&str, &str, &str)> = next
        .rows
        .iter()
        .map(|row| (&*row["记账时间"], &*row["业务类型"], &*row["收支金额(元)"]))
        .collect();
    assert_eq!(
        rows,
        [
            ("2026-08-04 00:05:00", "交易", "12.00"),
            ("2026-08-04 00:05:00", "扣除交易手续费", "0.07"),
        ]
    );
    assert!(balances_agree(&next));
}

#[tokio::test]
async fn each_account_has_a_bill_once_something_moved_on_it() {
    let merchant = at_noon();
    let admin = merchant.admin();
    let balance_fen = admin.balance_fen();
    for (account, fen) in [
        (FundAccount::Operation, 5_000),
        (FundAccount::Operation, -1_200),
        (FundAccount::Fees, 300),
    ] {
        admin.move_money(account, fen);
    }
    assert_eq!(admin.balance_fen(), balance_fen, "the basic account's");
    admin.advance(Duration::from_secs(86_400)).await;
    let empty = step_one(&merchant, FUND).await;
    assert_eq!(empty.code(), "NO_STATEMENT_EXIST");
    let operation = sheet(&merchant, &format!("{FUND}&account_type=OPERATION")).await;
    let balances: Vec<&str> = operation
        .rows
        .iter()
        .map(|row| &*row["账户结余(元)"])
        .collect();
    assert_eq!(balances, ["50.00", "38.00"]);
    assert_eq!(operation.summary, ["2.0", "1.0", "50.00", "1.0", "12.00"]);
    let fees = sheet(&merchant, &format!("{FUND}&account_type=FEES")).await;
    assert_eq!(fees.summary, ["1.0", "1.0", "3.00", "0.0", "0.00"]);
}
