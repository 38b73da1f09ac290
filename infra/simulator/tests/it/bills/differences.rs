//! Differences that are put into a bill: each does what it says, and nothing else.

mod kept;

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use wechatpay_simulator::{
    Config, DifferenceError, GenerateDay, InjectedDifference, PayOptions, PlantedDifference,
    RefundOutcome, RefundStatus, SummaryOf, Time, TradeState, WantedDifference,
};

use super::{
    FUND, Row, Sheet, TRADE, after_a_busy_day, balances_agree, on_the_next_day, sheet, step_one,
    units, wrong_sums,
};
use crate::{
    program::Folder,
    support::{Ask, Merchant, NOON_S, at_noon, started},
};

const DATE: &str = "2026-08-03";
const NOTHING: [&str; 0] = [];

/// Both bills of the day, the first with its sums.
struct Bills {
    trade: Sheet,
    fund: Sheet,
}

async fn bills(merchant: &Merchant) -> Bills {
    Bills {
        trade: sheet(merchant, TRADE).await,
        fund: sheet(merchant, FUND).await,
    }
}

/// Rows that are in `one` and not in `other`; balances aside, which follow the amounts.
fn only_in(one: &Sheet, other: &Sheet) -> Vec<Row> {
    let without_balance = |row: &Row| {
        let mut row = row.clone();
        row.remove("账户结余(元)");
        row
    };
    let others: BTreeSet<Row> = other.rows.iter().map(without_balance).collect();
    let rows = one.rows.iter().map(without_balance);
    rows.filter(|row| !others.contains(row)).collect()
}

/// Puts the difference into the bills of a busy day. Gives what it is about, and the bills before
/// and after.
async fn planted(difference: PlantedDifference) -> (Merchant, InjectedDifference, Bills, Bills) {
    let (merchant, _) = after_a_busy_day();
    let before = bills(&merchant).await;
    let wanted = WantedDifference::picked(DATE, difference);
    let planted = merchant.admin().plant_difference(&wanted).unwrap();
    let known = merchant.admin().differences();
    assert_eq!(known, std::slice::from_ref(&planted));
    let after = bills(&merchant).await;
    assert!(balances_agree(&after.fund));
    (merchant, planted, before, after)
}

/// The columns in which the one changed row differs.
fn changed_columns<'a>(before: &'a Row, after: &Row) -> Vec<&'a str> {
    let columns = before.iter();
    columns
        .filter(|(name, value)| after[*name] != **value)
        .map(|(name, _)| name.as_str())
        .collect()
}

#[tokio::test]
async fn a_dropped_payment_or_refund_is_in_neither_bill_and_in_no_sum() {
    for (difference, column, moves) in [
        (PlantedDifference::DropPayment, "微信订单号", 2),
        (PlantedDifference::DropRefund, "微信退款单号", 2),
    ] {
        let (_, about, before, after) = planted(difference).await;
        let id = about.refund_id.clone().or(about.transaction_id.clone());
        let dropped = only_in(&before.trade, &after.trade);
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0][column], id.clone().unwrap());
        assert_eq!(dropped[0]["商户订单号"], about.order.unwrap());
        assert_eq!(only_in(&after.trade, &before.trade), []);
        let moved = only_in(&before.fund, &after.fund);
        assert_eq!(moved.len(), moves);
        assert!(
            moved
                .iter()
                .all(|row| Some(&row["微信支付业务单号"]) == id.as_ref())
        );
        assert_eq!(wrong_sums(&after.trade), NOTHING);
        assert_eq!(wrong_sums(&after.fund), NOTHING);
    }
}

#[tokio::test]
async fn each_alteration_changes_its_own_columns_of_one_row() {
    let text = str::to_owned;
    let any: &[&str] = &[];
    let cases = [
        (
            PlantedDifference::AlterState {
                state: text("REVOKED"),
            },
            "交易状态",
            "REVOKED",
            any,
        ),
        (
            PlantedDifference::AlterCurrency {
                currency: text("USD"),
            },
            "货币种类",
            "USD",
            any,
        ),
        (
            PlantedDifference::AlterAppid {
                appid: text("wx0000000000000000"),
            },
            "公众账号ID",
            "wx0000000000000000",
            any,
        ),
        (
            PlantedDifference::AlterMchid {
                mchid: text("1900000000"),
            },
            "商户号",
            "1900000000",
            any,
        ),
        (
            PlantedDifference::AlterRefundState { state: None },
            "退款状态",
            "FAIL",
            any,
        ),
        (
            PlantedDifference::AlterRefundState {
                state: Some(text("CHANGE")),
            },
            "退款状态",
            "CHANGE",
            any,
        ),
        (
            PlantedDifference::AlterAmount { fen: Some(777_700) },
            "订单金额",
            "7777.00",
            &["应结订单金额", "手续费"],
        ),
        (
            PlantedDifference::AlterRefundAmount { fen: Some(777_700) },
            "申请退款金额",
            "7777.00",
            &["退款金额", "手续费"],
        ),
        (
            PlantedDifference::AlterFee { fen: Some(4_321) },
            "手续费",
            "43.21000",
            any,
        ),
    ];
    for (difference, column, value, and) in cases {
        let (_, about, before, after) = planted(difference.clone()).await;
        assert_eq!(about.difference, difference);
        let (was, is) = (
            only_in(&before.trade, &after.trade),
            only_in(&after.trade, &before.trade),
        );
        assert_eq!((was.len(), is.len()), (1, 1), "{difference:?}");
        assert_eq!(is[0][column], value, "{difference:?}");
        assert_eq!(Some(&is[0]["商户订单号"]), about.order.as_ref());
        let mut changed = changed_columns(&was[0], &is[0]);
        changed.retain(|name| *name != column && !and.contains(name));
        assert_eq!(changed, NOTHING, "{difference:?}");
        assert_eq!(wrong_sums(&after.trade), NOTHING, "{difference:?}");
        assert_eq!(wrong_sums(&after.fund), NOTHING, "{difference:?}");
    }
}

#[tokio::test]
async fn the_fund_bill_follows_an_altered_amount_and_fee() {
    let amount = PlantedDifference::AlterAmount { fen: Some(777_700) };
    let (_, about, _, after) = planted(amount).await;
    let trade = row(&after.trade, "商户订单号", &about.order.unwrap());
    let settled = units(&trade["应结订单金额"]);
    let id = about.transaction_id.unwrap();
    assert_eq!(moved(&after.fund, &id, "交易"), settled);
    assert_eq!(
        moved(&after.fund, &id, "扣除交易手续费"),
        -units(&trade["手续费"])
    );

    let amount = PlantedDifference::AlterRefundAmount { fen: None };
    let (merchant, about, _, after) = planted(amount).await;
    let number = about.out_refund_no.unwrap();
    let trade = row(&after.trade, "商户退款单号", &number);
    let asked_fen = merchant.admin().refund(&number).unwrap().refund_fen;
    assert_eq!(units(&trade["申请退款金额"]), (asked_fen + 1) * 1000);
    let id = about.refund_id.unwrap();
    assert_eq!(moved(&after.fund, &id, "退款"), -units(&trade["退款金额"]));

    let (_, about, before, after) = planted(PlantedDifference::AlterFee { fen: None }).await;
    let id = about.transaction_id.unwrap();
    let fee = |bills: &Bills| moved(&bills.fund, &id, "扣除交易手续费");
    assert_eq!(fee(&after), fee(&before) - 1000, "one fen more goes out");
}

fn row<'a>(sheet: &'a Sheet, column: &str, value: &str) -> &'a Row {
    let mut rows = sheet.rows.iter();
    rows.find(|row| row[column] == value).unwrap()
}

/// What moved for a payment or refund, in hundred-thousandths of a yuan; below 0 out.
fn moved(fund: &Sheet, business_id: &str, kind: &str) -> i64 {
    let mut rows = fund.rows.iter();
    let row = rows
        .find(|row| row["微信支付业务单号"] == business_id && row["业务类型"] == kind)
        .unwrap();
    let amount = units(&row["收支金额(元)"]);
    if row["收支类型"] == "收入" {
        amount
    } else {
        -amount
    }
}

#[tokio::test]
async fn an_unknown_order_is_a_real_payment_that_can_be_queried_and_refunded() {
    let (merchant, about, before, after) =
        planted(PlantedDifference::UnknownOrder { fen: None }).await;
    let (number, id) = (about.order.unwrap(), about.transaction_id.unwrap());
    let rows = only_in(&after.trade, &before.trade);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["商户订单号"], &rows[0]["微信订单号"]),
        (&number, &id)
    );
    assert_eq!(only_in(&before.trade, &after.trade), []);
    assert_eq!(
        moved(&after.fund, &id, "交易"),
        units(&rows[0]["应结订单金额"])
    );
    assert_eq!(wrong_sums(&after.trade), NOTHING);

    let mchid = &merchant.simulator.details.mchid;
    let by_id = format!("/v3/pay/transactions/id/{id}?mchid={mchid}");
    for ask in [merchant.query(&number), Ask::get(&by_id)] {
        let answer = merchant.ask(&ask).await.json();
        assert_eq!(answer["trade_state"], "SUCCESS", "{answer}");
        assert_eq!(answer["transaction_id"], json!(id));
    }
    let total = merchant.admin().order(&number).unwrap().order.total_fen;
    let refund = json!({
        "transaction_id": id,
        "out_refund_no": "RF-UNKNOWN",
        "amount": {"refund": total, "total": total, "currency": "CNY"},
    });
    let answer = merchant
        .ask(&Ask::post("/v3/refund/domestic/refunds", &refund))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let state = merchant.admin().order(&number).unwrap().trade_state;
    assert_eq!(state, TradeState::Refund);
}

#[tokio::test]
async fn money_without_a_trade_is_in_the_fund_bill_only_and_the_other_way_round() {
    let stray = PlantedDifference::FundWithoutTrade { fen: Some(4_200) };
    let (_, about, before, after) = planted(stray).await;
    let rows = only_in(&after.fund, &before.fund);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["收支金额(元)"], "42.00");
    assert_eq!(
        Some(&rows[0]["微信支付业务单号"]),
        about.transaction_id.as_ref()
    );
    assert_eq!(only_in(&after.trade, &before.trade), []);
    assert_eq!(wrong_sums(&after.fund), NOTHING);

    let (_, about, before, after) = planted(PlantedDifference::TradeWithoutFund).await;
    let rows = only_in(&before.fund, &after.fund);
    assert_eq!(rows.len(), 2, "the payment and its fee");
    assert!(
        rows.iter()
            .all(|row| Some(&row["业务凭证号"]) == about.order.as_ref())
    );
    assert_eq!(only_in(&before.trade, &after.trade), []);
    assert_eq!(wrong_sums(&after.fund), NOTHING);
}

#[tokio::test]
async fn a_summary_is_off_by_the_planted_amount_and_the_hash_is_right_all_the_same() {
    let off = |bill, fen, count| PlantedDifference::SummaryOff { bill, fen, count };
    for (difference, trade, fund) in [
        (
            off(SummaryOf::Trade, None, 0),
            &["应结订单总金额"][..],
            &[][..],
        ),
        (off(SummaryOf::Trade, None, -1), &["总交易单数"], &[]),
        (off(SummaryOf::Fund, Some(-500), 0), &[], &["收入金额"]),
        (off(SummaryOf::Fund, None, 2), &[], &["资金流水总笔数"]),
    ] {
        let (merchant, about, before, after) = planted(difference).await;
        assert_eq!((about.order, about.transaction_id), (None, None));
        assert_eq!(wrong_sums(&after.trade), trade);
        assert_eq!(wrong_sums(&after.fund), fund);
        assert_eq!(only_in(&before.trade, &after.trade), []);
        for kind in ["SUCCESS", "REFUND"] {
            let other = sheet(&merchant, &format!("{TRADE}&bill_type={kind}")).await;
            assert_eq!(wrong_sums(&other), trade, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_named_order_or_refund_is_the_one_that_it_is_about() {
    let merchant = on_the_next_day().await;
    let admin = merchant.admin();
    let plant = |wanted: WantedDifference| admin.plant_difference(&wanted);
    let drop = || WantedDifference::picked(DATE, PlantedDifference::DropPayment);
    let about = plant(drop().of_order("ORDER-1002")).unwrap();
    assert_eq!(about.order.as_deref(), Some("ORDER-1002"));
    let fee = WantedDifference::picked(DATE, PlantedDifference::AlterFee { fen: Some(9) });
    let about = plant(fee.of_refund("RF-1001-1")).unwrap();
    assert_eq!(about.order.as_deref(), Some("ORDER-1001"));
    let bill = sheet(&merchant, TRADE).await;
    let fees: Vec<(&str, &str)> = bill
        .rows
        .iter()
        .map(|row| (&*row["商户订单号"], &*row["手续费"]))
        .collect();
    assert_eq!(
        fees,
        [("ORDER-1001", "0.07000"), ("ORDER-1001", "-0.09000")]
    );

    for (wanted, error) in [
        (
            drop().of_order("ORDER-1003"),
            DifferenceError::NotThatDay("ORDER-1003".to_owned()),
        ),
        (
            drop().of_order("ORDER-9999"),
            DifferenceError::NotThatDay("ORDER-9999".to_owned()),
        ),
        (
            drop().of_refund("RF-1001-1"),
            DifferenceError::NotThatDay("RF-1001-1".to_owned()),
        ),
        (
            WantedDifference::picked("2026-08-02", PlantedDifference::DropPayment),
            DifferenceError::Nothing("2026-08-02".to_owned()),
        ),
        (
            WantedDifference::picked("2026-08-05", PlantedDifference::DropPayment),
            DifferenceError::Date("2026-08-05".to_owned()),
        ),
        (
            WantedDifference::picked(DATE, PlantedDifference::AlterAmount { fen: Some(-1) }),
            DifferenceError::Value,
        ),
        (
            WantedDifference::picked(DATE, PlantedDifference::UnknownOrder { fen: None })
                .of_order("ORDER-1001"),
            DifferenceError::Number("ORDER-1001".to_owned()),
        ),
    ] {
        assert_eq!(plant(wanted).unwrap_err(), error);
    }
}

#[tokio::test]
async fn the_seed_picks_each_payment_once_and_the_same_ones_each_time() {
    let pick_all = || {
        let (merchant, made) = after_a_busy_day();
        let admin = merchant.admin().clone();
        let wanted = WantedDifference::picked(DATE, PlantedDifference::AlterFee { fen: None });
        let picked: Vec<String> = (0..made.orders.len())
            .map(|_| admin.plant_difference(&wanted).unwrap().order.unwrap())
            .collect();
        assert_eq!(
            admin.plant_difference(&wanted).unwrap_err(),
            DifferenceError::Nothing(DATE.to_owned())
        );
        (picked, made.orders)
    };
    let (picked, orders) = pick_all();
    let different: BTreeSet<&String> = picked.iter().collect();
    assert_eq!(different.len(), orders.len());
    assert_ne!(picked, orders, "not in their order");
    assert_eq!(pick_all().0, picked);
}

#[tokio::test]
async fn with_next_day_settlement_the_fund_bill_of_the_next_day_follows() {
    let merchant = at_noon();
    let admin = merchant.admin();
    let mut settings = admin.settings();
    settings.settle_next_day = true;
    admin.set_settings(settings).unwrap();
    for number in ["ORDER-1001", "ORDER-1002"] {
        merchant.native(&merchant.order(number, 1200)).await;
        admin.pay(number, &PayOptions::default()).unwrap();
    }
    let drop = WantedDifference::picked(DATE, PlantedDifference::DropPayment);
    admin
        .plant_difference(&drop.of_order("ORDER-1001"))
        .unwrap();
    admin.advance(Duration::from_secs(2 * 86_400)).await;
    assert_eq!(sheet(&merchant, TRADE).await.rows.len(), 1);
    let next = sheet(&merchant, "/v3/bill/fundflowbill?bill_date=2026-08-04").await;
    let vouchers: Vec<&str> = next.rows.iter().map(|row| &*row["业务凭证号"]).collect();
    assert_eq!(vouchers, ["ORDER-1002", "ORDER-1002"]);
    assert_eq!(step_one(&merchant, FUND).await.code(), "NO_STATEMENT_EXIST");
}
