//! Bills that were kept before a difference came.

use super::*;

#[tokio::test]
async fn a_bill_that_was_kept_is_made_again_when_differences_come_and_go() {
    let (merchant, _) = after_a_busy_day();
    let whole = sheet(&merchant, TRADE).await;
    let wanted = WantedDifference::picked(DATE, PlantedDifference::DropPayment);
    merchant.admin().plant_difference(&wanted).unwrap();
    assert_eq!(
        sheet(&merchant, TRADE).await.rows.len(),
        whole.rows.len() - 1
    );
    assert_eq!(merchant.admin().clear_differences(), 1);
    assert_eq!(sheet(&merchant, TRADE).await.rows, whole.rows);
}

#[tokio::test]
async fn bills_of_days_before_the_first_difference_stay_as_they_were_kept() {
    let merchant = at_noon();
    let admin = merchant.admin();
    merchant.native(&merchant.order("ORDER-1001", 1200)).await;
    admin.pay("ORDER-1001", &PayOptions::default()).unwrap();
    admin.set_refund_outcome(RefundOutcome::Hold);
    let refund = json!({
        "out_trade_no": "ORDER-1001",
        "out_refund_no": "RF-1001-1",
        "amount": {"refund": 300, "total": 1200, "currency": "CNY"},
    });
    let asked = Ask::post("/v3/refund/domestic/refunds", &refund);
    assert_eq!(merchant.ask(&asked).await.status, 200);
    admin.advance(Duration::from_secs(86_400)).await;
    let state = async || -> String {
        let rows = sheet(&merchant, TRADE).await.rows;
        let of_refund = rows.iter().find(|row| row["商户退款单号"] == "RF-1001-1");
        of_refund.unwrap()["退款状态"].clone()
    };
    assert_eq!(state().await, "PROCESSING");
    admin
        .settle_refund("RF-1001-1", RefundStatus::Success)
        .unwrap();
    let made = GenerateDay {
        date: "2026-08-04".to_owned(),
        orders: 3,
        refunds: 0,
        seed: 1,
    };
    admin.make_day(&made).unwrap();
    let wanted = WantedDifference::picked("2026-08-04", PlantedDifference::DropPayment);
    admin.plant_difference(&wanted).unwrap();
    assert_eq!(admin.clear_differences(), 1);
    assert_eq!(state().await, "PROCESSING", "made again it were SUCCESS");
    assert_eq!(admin.clear_differences(), 0);
    assert_eq!(state().await, "PROCESSING");
    admin
        .plant_difference(&WantedDifference::picked(
            DATE,
            PlantedDifference::DropPayment,
        ))
        .unwrap();
    admin.clear_differences();
    assert_eq!(state().await, "SUCCESS", "its own bill is made again");
}

#[tokio::test]
async fn a_bill_of_the_running_day_has_its_differences() {
    let merchant = at_noon();
    let admin = merchant.admin();
    admin.allow_bills_of_today(true);
    merchant.native(&merchant.order("ORDER-1001", 1200)).await;
    admin.pay("ORDER-1001", &PayOptions::default()).unwrap();
    let mut wanted = WantedDifference::picked(DATE, PlantedDifference::AlterAmount { fen: None });
    admin.plant_difference(&wanted).unwrap();
    wanted.difference = PlantedDifference::UnknownOrder { fen: Some(500) };
    admin.plant_difference(&wanted).unwrap();
    let bill = sheet(&merchant, TRADE).await;
    let mut amounts: Vec<&str> = bill.rows.iter().map(|row| &*row["订单金额"]).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, ["12.01", "5.00"]);
}

#[tokio::test]
async fn differences_bills_and_money_to_come_outlive_a_restart() {
    let folder = Folder::new();
    let at = |start_s| Config {
        state_file: Some(folder.file("state.json")),
        time: Time::Manual { start_s },
        ..Config::for_tests()
    };
    let merchant = started(at(NOON_S));
    let admin = merchant.admin();
    let mut settings = admin.settings();
    settings.settle_next_day = true;
    admin.set_settings(settings).unwrap();
    let made = admin
        .make_day(&GenerateDay {
            date: DATE.to_owned(),
            orders: 3,
            refunds: 1,
            seed: 1,
        })
        .unwrap();
    let wanted = WantedDifference::picked(DATE, PlantedDifference::DropRefund);
    let planted = admin.plant_difference(&wanted).unwrap();
    merchant.simulator.stop();

    let merchant = started(at(NOON_S + 2 * 86_400));
    assert_eq!(merchant.admin().differences(), [planted]);
    let bill = sheet(&merchant, TRADE).await;
    let numbers: Vec<&str> = bill.rows.iter().map(|row| &*row["商户订单号"]).collect();
    assert_eq!(numbers, made.orders);
    let next = "/v3/bill/fundflowbill?bill_date=2026-08-04";
    assert_eq!(sheet(&merchant, next).await.rows.len(), 6);
    merchant.simulator.stop();

    let merchant = started(at(NOON_S + 2 * 86_400));
    assert_eq!(sheet(&merchant, TRADE).await.rows, bill.rows);
}
