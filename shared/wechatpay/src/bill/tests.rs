//! Whole bills of all formats, and bills with one thing wrong.

use super::*;
use crate::UnixSeconds;

const ALL: &str = "\
交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注
`2026-08-01 10:00:05,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`NATIVE,`SUCCESS,`OTHERS,`CNY,`12.00,`0.00,`0,`0,`0.00,`0.00,`,`,`Tea\\ cup,`shop=7,`0.07000,`0.60%,`12.00,`0.00,`
`2026-08-01 11:30:00,`wx00000000000000aa,`1900000001,`0,`till-2,`4200000000202608010000000002,`ORDER-1002,`oUserBBBB,`JSAPI,`SUCCESS,`CMB_DEBIT,`CNY,`4.00,`1.00,`0,`0,`0.00,`0.00,`,`,`Scone,`,`0.02000,`0.60%,`5.00,`0.00,`
`2026-08-01 18:45:10,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`NATIVE,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50000000012026080100000000001,`RF-1001-1,`3.00,`0.00,`ORIGINAL,`PROCESSING,`Tea\\ cup,`shop=7,`-0.02000,`0.60%,`0.00,`3.00,`
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额
`3.0,`16.00,`3.00,`0.00,`0.07,`17.00,`3.00
";

const SUCCESS: &str = "\
交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注
`2026-08-01 10:00:05,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`FACE,`SUCCESS,`OTHERS,`CNY,`12.00,`0.00,`Tea\\ cup,`shop=7,`0.07200,`0.60%,`12.00,`promotion
总交易单数,应结订单总金额,手续费总金额,订单总金额
`1.0,`12.00,`0.07,`12.00
";

const REFUND: &str = "\
交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注
`2026-08-01 18:45:10,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`NATIVE,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`2026-08-01 18:45:09,`2026-08-01 18:46:00,`50000000012026080100000000001,`RF-1001-1,`3.00,`1.00,`ORIGINAL,`SUCCESS,`Tea\\ cup,`shop=7,`-0.02000,`0.60%,`0.00,`4.00,`
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额
`1.0,`0.00,`3.00,`1.00,`-0.02,`0.00,`4.00
";

/// As merchants of the first years still get it: whole yuan without decimals, five decimals in the summary's fee.
const OLD: &str = "\
交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率
`2026-08-01 10:00:05,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`NATIVE,`SUCCESS,`CFT,`CNY,`12.00,`1.00,`0,`0,`0,`0,`,`,`Tea,`,`0.07200,`0.60%
`2026-08-01 18:45:10,`wx00000000000000aa,`1900000001,`0,`,`4200000000202608010000000001,`ORDER-1001,`oUserAAAA,`NATIVE,`REVOKED,`CFT,`CNY,`0.00,`0.00,`50000000012026080100000000001,`RF-1001-1,`12.00,`1.00,`ORIGINAL,`SUCCESS,`Tea,`,`-0.07200,`0.60%
总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额
`2,`12.00,`12.00,`1.00,`0.00000
";

const FUND: &str = "\
记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号
`2026-08-02 00:05:11,`4200000000202608010000000001,`1000000001202608020000000001,`交易,`交易,`收入,`12.00,`112.00,`system,`结算订单,`ORDER-1001
`2026-08-02 00:05:11,`4200000000202608010000000001,`1000000001202608020000000002,`交易,`扣除交易手续费,`支出,`0.07,`111.93,`system,`,`ORDER-1001
资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额
`2.0,`1.0,`12.00,`1.0,`0.07
";

/// Reads a trade bill; `show` makes a text of each row.
fn trade(
    bytes: &[u8],
    show: impl Fn(&TradeRow<'_>) -> String,
) -> (Vec<String>, Result<TradeSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &TradeRow<'_>| rows.push(show(row));
    let mut reader = TradeBillReader::new();
    let result = reader
        .feed(bytes, &mut each)
        .and_then(|()| reader.finish(&mut each));
    (rows, result)
}

fn fund(
    bytes: &[u8],
    show: impl Fn(&FundRow<'_>) -> String,
) -> (Vec<String>, Result<FundSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &FundRow<'_>| rows.push(show(row));
    let mut reader = FundBillReader::default();
    let result = reader
        .feed(bytes, &mut each)
        .and_then(|()| reader.finish(&mut each));
    (rows, result)
}

fn refused(bytes: impl AsRef<[u8]>) -> BillError {
    trade(bytes.as_ref(), |_| String::new())
        .1
        .expect_err("the bill has a fault")
}

fn amounts(row: &TradeRow<'_>) -> String {
    format!(
        "{:?} {} {} {} {} {} {} {}",
        row.kind,
        row.settlement_fen,
        row.coupon_fen,
        row.refund_fen,
        row.refund_coupon_fen,
        row.fee,
        row.total_fen,
        row.requested_refund_fen
    )
}

#[test]
fn a_bill_of_all_trades_gives_each_column_under_its_name() {
    let (rows, summary) = trade(ALL.as_bytes(), |row| {
        [
            row.at(),
            row.appid(),
            row.mchid(),
            row.sub_mchid(),
            row.device_id(),
            row.transaction_id(),
            row.out_trade_no(),
            row.openid(),
            row.trade_type(),
            row.state(),
            row.bank_type(),
            row.currency(),
            row.refund_id(),
            row.out_refund_no(),
            row.refund_type(),
            row.refund_state(),
            row.description(),
            row.attach(),
            row.rate(),
            row.rate_note(),
            row.requested_at(),
            row.refunded_at(),
        ]
        .join("|")
    });
    assert_eq!(
        rows,
        [
            r"2026-08-01 10:00:05|wx00000000000000aa|1900000001|0||4200000000202608010000000001|ORDER-1001|oUserAAAA|NATIVE|SUCCESS|OTHERS|CNY|||||Tea\ cup|shop=7|0.60%|||",
            r"2026-08-01 11:30:00|wx00000000000000aa|1900000001|0|till-2|4200000000202608010000000002|ORDER-1002|oUserBBBB|JSAPI|SUCCESS|CMB_DEBIT|CNY|||||Scone||0.60%|||",
            r"2026-08-01 18:45:10|wx00000000000000aa|1900000001|0||4200000000202608010000000001|ORDER-1001|oUserAAAA|NATIVE|REFUND|OTHERS|CNY|50000000012026080100000000001|RF-1001-1|ORIGINAL|PROCESSING|Tea\ cup|shop=7|0.60%|||",
        ]
    );
    let expected = TradeSummary {
        rows: 3,
        settlement_fen: 1600,
        refund_fen: 300,
        refund_coupon_fen: 0,
        total_fen: 1700,
        requested_refund_fen: 300,
        fee: Fee::from_units(7000),
    };
    assert_eq!(summary, Ok(expected));
    let (rows, _) = trade(ALL.as_bytes(), amounts);
    assert_eq!(
        rows,
        [
            "Payment 1200 0 0 0 0.07 1200 0",
            "Payment 400 100 0 0 0.02 500 0",
            "Refund 0 0 300 0 -0.02 0 300"
        ]
    );
    let (rows, _) = trade(ALL.as_bytes(), |row| {
        format!("{} {:?} {:?}", row.line, row.at_unix(), row.rate_ppm())
    });
    assert_eq!(
        rows[0],
        format!(
            "2 {:?} Some(6000)",
            Ok::<_, BillError>(UnixSeconds(1_785_549_605))
        )
    );
}

#[test]
fn a_bill_of_payments_has_no_refunds() {
    let (rows, summary) = trade(SUCCESS.as_bytes(), |row| {
        let note = row.rate_note();
        format!("{} {note} [{}]", amounts(row), row.refund_id())
    });
    assert_eq!(rows, ["Payment 1200 0 0 0 0.072 1200 0 promotion []"]);
    let summary = summary.expect("it adds up");
    assert_eq!((summary.rows, summary.fee), (1, Fee::from_units(7200)));
    // Some summaries have the columns of refunds all the same; then they say 0.
    let seven = |refund| {
        let [header, row, _, _, ..] = SUCCESS.lines().collect::<Vec<_>>()[..] else {
            panic!("four lines")
        };
        let [names, ..] = ALL.lines().rev().skip(1).collect::<Vec<_>>()[..] else {
            panic!("a header")
        };
        format!("{header}\n{row}\n{names}\n`1.0,`12.00,`{refund},`0.00,`0.07,`12.00,`0.00\n")
    };
    assert!(trade(seven("0.00").as_bytes(), amounts).1.is_ok());
    assert_eq!(refused(seven("1.00")).name(), "bill_summary_differs");
}

#[test]
fn a_bill_of_refunds_has_two_more_times() {
    let (rows, summary) = trade(REFUND.as_bytes(), |row| {
        format!(
            "{} {} {}",
            amounts(row),
            row.requested_at(),
            row.refunded_at()
        )
    });
    assert_eq!(
        rows,
        ["Refund 0 0 300 100 -0.02 0 400 2026-08-01 18:45:09 2026-08-01 18:46:00"]
    );
    assert!(summary.is_ok());
}

#[test]
fn the_old_format_counts_as_order_amount_what_it_has() {
    let (rows, summary) = trade(OLD.as_bytes(), amounts);
    assert_eq!(
        rows,
        [
            "Payment 1200 100 0 0 0.072 1200 0",
            "Revoked 0 0 1200 100 -0.072 0 1200"
        ]
    );
    let summary = summary.expect("it adds up");
    assert_eq!(
        (summary.total_fen, summary.requested_refund_fen),
        (1200, 1200)
    );
    for (changed, name) in [
        (
            OLD.replace("`12.00,`12.00,`1.00,", "`12.01,`12.00,`1.00,"),
            "应结",
        ),
        (OLD.replace("`0.00000\n", "`0.00001\n"), "fee"),
    ] {
        assert_eq!(refused(changed).name(), "bill_summary_differs", "{name}");
    }
}

#[test]
fn a_fund_bill_gives_each_column_under_its_name() {
    for bill in [
        FUND.to_owned(),
        FUND.replace("(元)", "（元）"),
        FUND.replace("(元)", ""),
    ] {
        let (rows, summary) = fund(bill.as_bytes(), |row| {
            format!(
                "{} {}|{}|{}|{}|{}|{:?}|{}|{:?}|{}|{}|{}",
                row.line,
                row.at(),
                row.business_id(),
                row.flow_id(),
                row.business_name(),
                row.business_type(),
                row.direction,
                row.amount_fen,
                row.balance_fen,
                row.submitter(),
                row.note(),
                row.voucher()
            )
        });
        assert_eq!(
            rows,
            [
                "2 2026-08-02 00:05:11|4200000000202608010000000001|1000000001202608020000000001|交易|交易|In|1200|Some(11200)|system|结算订单|ORDER-1001",
                "3 2026-08-02 00:05:11|4200000000202608010000000001|1000000001202608020000000002|交易|扣除交易手续费|Out|7|Some(11193)|system||ORDER-1001",
            ]
        );
        let expected = FundSummary {
            rows: 2,
            in_count: 1,
            in_fen: 1200,
            out_count: 1,
            out_fen: 7,
        };
        assert_eq!(summary, Ok(expected));
    }
}

#[test]
fn a_balance_may_be_negative_or_absent_and_an_amount_may_not() {
    let (rows, summary) = fund(
        FUND.replace("`112.00", "`-112.00")
            .replace("`111.93", "`")
            .as_bytes(),
        |row| format!("{:?} {}", row.balance_fen, row.at_unix().expect("a time").0),
    );
    assert_eq!(rows, ["Some(-11200) 1785600311", "None 1785600311"]);
    assert!(summary.is_ok());
    let (_, summary) = fund(FUND.replace("`12.00", "`-12.00").as_bytes(), |_| {
        String::new()
    });
    assert_eq!(
        summary.expect_err("a negative amount").to_string(),
        "line 2, column 7 (收支金额(元)): \"-12.00\" is not an amount in yuan such as 12.00"
    );
}
