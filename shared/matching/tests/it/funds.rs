//! Movements of money against the trades of two days.

use std::collections::HashMap;

use matching::{
    bill_line::{BillLine, LineKind},
    fund_line::{FlowDirection, FundLine},
    funds::{FundBooks, FundDay, FundMatch, FundMatches, OtherMovements},
};
use proptest::prelude::*;
use wechatpay::bill::{FundBillReader, TradeBillReader, TradeRow};

use crate::bills::{fund_bill, trade_bill};

/// A payment of this many fen at 0.6 %, or a refund.
fn trade(kind: LineKind, number: usize, fen: i64) -> BillLine {
    let (paid, refunded, sign) = match kind {
        LineKind::Payment | LineKind::Revoked => (fen, 0, 1),
        LineKind::Refund => (0, fen, -1),
    };
    BillLine {
        line: 0,
        kind,
        at: "2026-08-01 10:00:05".to_owned(),
        appid: "wx00000000000000aa".to_owned(),
        mchid: "1900000001".to_owned(),
        transaction_id: format!("42000000002026080100{number:08}"),
        order_no: format!("ORDER-{number}"),
        refund_id: if kind == LineKind::Refund {
            format!("503000000020260801{number:011}")
        } else {
            String::new()
        },
        out_refund_no: String::new(),
        trade_type: "NATIVE".to_owned(),
        currency: "CNY".to_owned(),
        refund_state: if kind == LineKind::Refund {
            "SUCCESS"
        } else {
            ""
        }
        .to_owned(),
        total_fen: paid,
        settlement_fen: paid,
        requested_refund_fen: refunded,
        refund_fen: refunded,
        fee: sign * fen * 6,
        rate: "0.60%".to_owned(),
    }
}

fn flow(business_id: &str, business_type: &str, flow: FlowDirection, amount_fen: i64) -> FundLine {
    FundLine {
        line: 0,
        at: "2026-08-01 10:00:06".to_owned(),
        business_id: business_id.to_owned(),
        flow_id: "1".to_owned(),
        business_name: "交易".to_owned(),
        business_type: business_type.to_owned(),
        flow,
        amount_fen,
        voucher: "ORDER".to_owned(),
    }
}

/// How a row is moved that all is well with.
fn flows(row: &BillLine) -> Vec<FundLine> {
    let fee_fen = (row.fee.abs() + 500) / 1000;
    let mut flows = match row.kind {
        LineKind::Payment => vec![
            flow(
                &row.transaction_id,
                "交易",
                FlowDirection::In,
                row.settlement_fen,
            ),
            flow(
                &row.transaction_id,
                "扣除交易手续费",
                FlowDirection::Out,
                fee_fen,
            ),
        ],
        LineKind::Refund => vec![
            flow(&row.refund_id, "退款", FlowDirection::Out, row.refund_fen),
            flow(&row.refund_id, "退还交易手续费", FlowDirection::In, fee_fen),
        ],
        LineKind::Revoked => Vec::new(),
    };
    flows.retain(|flow| flow.amount_fen > 0);
    flows
}

/// A run over the trades and movements of the due day and of the day itself, and what it says of
/// each trade.
fn run(trades: [&[BillLine]; 2], moved: [&[FundLine]; 2]) -> (FundMatches, [Vec<FundMatch>; 2]) {
    let days = [FundDay::Due, FundDay::Same];
    let mut books = FundBooks::with_capacity(10, [3, 4], 1000);
    for (rows, day) in trades.iter().zip(days) {
        each_trade(rows, |row| books.expect(row, day));
    }
    for (rows, day) in moved.iter().zip(days) {
        let mut reader = FundBillReader::new();
        let mut each = |row: &wechatpay::bill::FundRow<'_>| books.take(row, day);
        reader.feed(fund_bill(rows).as_bytes(), &mut each).unwrap();
        reader.finish(&mut each).unwrap();
    }
    let funded = books.finish();
    let funding = trades.map(|rows| {
        let mut funding = Vec::new();
        each_trade(rows, |row| funding.push(funded.books.funding(row)));
        funding
    });
    (funded, funding)
}

fn each_trade(rows: &[BillLine], mut each: impl FnMut(&TradeRow<'_>)) {
    let mut reader = TradeBillReader::new();
    reader.feed(trade_bill(rows).as_bytes(), &mut each).unwrap();
    reader.finish(&mut each).unwrap();
}

#[test]
fn a_day_whose_money_moved_has_no_difference() {
    let rows = [
        trade(LineKind::Payment, 1, 1749),
        trade(LineKind::Payment, 2, 1),
        trade(LineKind::Refund, 3, 300),
    ];
    let moved: Vec<FundLine> = rows.iter().flat_map(flows).collect();
    let (funded, [_, funding]) = run([&[], &rows], [&[], &moved]);
    assert_eq!(funding, [FundMatch::AsExpected; 3]);
    assert_eq!(
        (
            funded.missing,
            funded.missing_due,
            (funded.off + funded.off_due)
        ),
        (0, 0, 0)
    );
    assert!(funded.without_trade.is_empty());
    assert_eq!(funded.others, OtherMovements::default());
    assert_eq!(funded.of_trades.in_fen, 1749 + 1 + 2);
    assert_eq!(funded.of_trades.out_fen, 10 + 300);
}

#[test]
fn a_fee_may_be_charged_in_whole_fen_however_rounded_but_a_fen_more_is_a_difference() {
    let row = trade(LineKind::Payment, 1, 1749); // 10.494 fen
    for (fee_fen, right) in [(9, false), (10, true), (11, true), (12, false)] {
        let moved = [
            flow(&row.transaction_id, "交易", FlowDirection::In, 1749),
            flow(
                &row.transaction_id,
                "扣除交易手续费",
                FlowDirection::Out,
                fee_fen,
            ),
        ];
        let (funded, [_, funding]) = run([&[], std::slice::from_ref(&row)], [&[], &moved]);
        assert_eq!(funding == [FundMatch::AsExpected], right, "{fee_fen}");
        assert_eq!(
            (funded.off + funded.off_due),
            u64::from(!right),
            "{fee_fen}"
        );
    }
}

#[test]
fn a_fee_that_is_a_whole_fen_off_a_whole_fen_is_a_difference() {
    let row = trade(LineKind::Payment, 1, 1000); // 6 fen
    for (fee_fen, right) in [(5, false), (6, true), (7, false)] {
        let moved = [
            flow(&row.transaction_id, "交易", FlowDirection::In, 1000),
            flow(
                &row.transaction_id,
                "扣除交易手续费",
                FlowDirection::Out,
                fee_fen,
            ),
        ];
        let (_, [_, funding]) = run([&[], std::slice::from_ref(&row)], [&[], &moved]);
        assert_eq!(funding == [FundMatch::AsExpected], right, "{fee_fen}");
    }
}

#[test]
fn a_trade_that_is_settled_the_day_after_is_carried_over_and_missing_only_then() {
    let row = [trade(LineKind::Payment, 1, 1000)];
    let missing = FundMatch::Missing { expected: 994_000 };
    let (funded, [_, funding]) = run([&[], &row], [&[], &[]]);
    assert_eq!((funded.missing, funded.missing_due), (1, 0));
    assert_eq!(funding, [missing]);

    let (funded, [funding, _]) = run([&row, &[]], [&[], &flows(&row[0])]);
    assert_eq!((funded.missing, funded.missing_due), (0, 0));
    assert_eq!(funding, [FundMatch::AsExpected]);

    let (funded, [funding, _]) = run([&row, &[]], [&[], &[]]);
    assert_eq!((funded.missing, funded.missing_due), (0, 1));
    assert_eq!(funding, [missing]);
}

#[test]
fn a_refund_that_failed_may_move_nothing_or_go_and_come_back_whole() {
    let mut row = trade(LineKind::Refund, 1, 300);
    row.refund_state = "FAIL".to_owned();
    let mut there_and_back = flows(&row);
    for business_type in ["退款关闭", "扣除交易手续费"] {
        let (way, fen) = match business_type {
            "退款关闭" => (FlowDirection::In, 300),
            _ => (FlowDirection::Out, 2),
        };
        there_and_back.push(flow(&row.refund_id, business_type, way, fen));
    }
    for (moved, right) in [
        (Vec::new(), true),
        (there_and_back.clone(), true),
        (flows(&row), false),
    ] {
        let (_, [_, funding]) = run([&[], std::slice::from_ref(&row)], [&[], &moved]);
        assert_eq!(funding == [FundMatch::AsExpected], right, "{moved:?}");
    }
    // It was in progress when the bill was made, and failed after that.
    row.refund_state = "PROCESSING".to_owned();
    let (_, [funding, _]) = run([std::slice::from_ref(&row), &[]], [&[], &there_and_back]);
    assert_eq!(funding, [FundMatch::AsExpected]);
    row.refund_state = "SUCCESS".to_owned();
    let (_, [funding, _]) = run([&[row], &[]], [&[], &there_and_back]);
    assert!(matches!(funding[..], [FundMatch::Off { moved: 0, .. }]));
}

#[test]
fn money_without_a_trade_is_reported_on_its_own_day_only_and_other_business_never() {
    let stray = [flow(
        "4200000000202608010099999999",
        "交易",
        FlowDirection::In,
        500,
    )];
    let (funded, _) = run([&[], &[]], [&[], &stray]);
    assert_eq!(funded.without_trade[0].business_id, stray[0].business_id);
    let (funded, _) = run([&[], &[]], [&stray, &[]]);
    assert!(funded.without_trade.is_empty());

    let other = [
        flow("1", "提现", FlowDirection::Out, 7),
        flow("2", "分账", FlowDirection::Out, 8),
        flow("3", "充值", FlowDirection::In, 9),
    ];
    let (funded, _) = run([&[], &[]], [&[], &other]);
    assert!(funded.without_trade.is_empty());
    let others = OtherMovements {
        count_in: 1,
        in_fen: 9,
        count_out: 2,
        out_fen: 15,
    };
    assert_eq!(funded.others, others);
}

#[test]
fn a_payment_that_was_taken_back_may_move_as_it_likes() {
    let row = trade(LineKind::Payment, 1, 1000);
    let revoked = BillLine {
        kind: LineKind::Revoked,
        ..row.clone()
    };
    let mut moved = flows(&row);
    moved.push(flow(&row.transaction_id, "退款", FlowDirection::Out, 1000));
    for moved in [Vec::new(), moved] {
        let (funded, [_, funding]) = run([&[], &[row.clone(), revoked.clone()]], [&[], &moved]);
        assert_eq!(funding, [FundMatch::AsExpected; 2]);
        assert_eq!(((funded.off + funded.off_due), funded.missing), (0, 0));
    }
}

/// A trade, the day it is on, the day its money moves if it does, and by how many fen that is
/// wrong.
fn trades() -> impl Strategy<Value = Vec<(bool, i64, usize, Option<usize>, i64)>> {
    let wrong = prop_oneof![4 => Just(0_i64), 1 => -3_i64..4];
    let trade = (
        any::<bool>(),
        1_i64..100_000,
        0_usize..2,
        proptest::option::of(0_usize..2),
        wrong,
    );
    proptest::collection::vec(trade, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn trades_and_movements_meet_as_in_a_plain_map(drawn in trades(), order: u64) {
        let (mut rows, mut moved) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (number, (refund, fen, day, settled, wrong)) in drawn.into_iter().enumerate() {
            let kind = if refund { LineKind::Refund } else { LineKind::Payment };
            let row = trade(kind, number, fen);
            if let Some(settled) = settled {
                let mut flows = flows(&row);
                flows[0].amount_fen = (flows[0].amount_fen + wrong).max(1);
                moved[settled].extend(flows);
            }
            rows[day].push(row);
        }
        let mut random = fastrand::Rng::with_seed(order);
        for day in 0..2 {
            random.shuffle(&mut rows[day]);
            random.shuffle(&mut moved[day]);
        }

        let mut sums: HashMap<&str, i64> = HashMap::new();
        for row in moved.iter().flatten() {
            let sign = if row.flow == FlowDirection::In { 1000 } else { -1000 };
            *sums.entry(&row.business_id).or_default() += sign * row.amount_fen;
        }
        let plainly = |row: &BillLine| {
            let (id, expected) = match row.kind {
                LineKind::Payment => (&row.transaction_id, row.settlement_fen * 1000 - row.fee),
                LineKind::Refund | LineKind::Revoked => (&row.refund_id, -row.refund_fen * 1000 - row.fee),
            };
            match sums.get(id.as_str()) {
                None => FundMatch::Missing { expected },
                Some(moved) if (moved - expected).abs() < 1000 => FundMatch::AsExpected,
                Some(moved) => FundMatch::Off { expected, moved: *moved },
            }
        };
        let plain = [0, 1].map(|day: usize| rows[day].iter().map(plainly).collect::<Vec<_>>());
        let (funded, funding) = run([&rows[0], &rows[1]], [&moved[0], &moved[1]]);
        prop_assert_eq!(&funding, &plain);
        let missing = |day: usize| plain[day].iter().filter(|funding| matches!(funding, FundMatch::Missing { .. })).count();
        prop_assert_eq!(funded.missing_due, u64::try_from(missing(0)).unwrap());
        prop_assert_eq!(funded.missing, u64::try_from(missing(1)).unwrap());
        let off = plain.iter().flatten().filter(|funding| matches!(funding, FundMatch::Off { .. })).count();
        prop_assert_eq!(funded.off + funded.off_due, u64::try_from(off).unwrap());
        prop_assert!(funded.without_trade.is_empty());
    }
}
