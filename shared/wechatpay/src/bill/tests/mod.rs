//! Whole bills of all formats, and bills with one thing wrong.

mod faults;

use super::*;
use crate::time::UnixSeconds;

const ALL: &str = include_str!("../../../tests/bills/all.csv");
const SUCCESS: &str = include_str!("../../../tests/bills/success.csv");
const REFUND: &str = include_str!("../../../tests/bills/refund.csv");

/// As some merchants of the first years still get it: whole yuan without decimals, and five in the
/// summary's fee.
const OLD: &str = include_str!("../../../tests/bills/old.csv");
const FUND: &str = include_str!("../../../tests/bills/fund.csv");

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

#[test]
fn byte_order_mark_and_line_ends_make_no_difference() {
    let all = |row: &TradeRow<'_>| format!("{row:?} {} {}", row.at(), row.rate_note());
    let expected = trade(ALL.as_bytes(), all);
    for mark in ["", "\u{feff}"] {
        for line_end in ["\n", "\r\n"] {
            for end in ["", "\r", "\n", "\r\n", "\r\n\r\n"] {
                let bill = mark.to_owned() + &ALL.trim_end().replace('\n', line_end) + end;
                assert_eq!(
                    trade(bill.as_bytes(), all),
                    expected,
                    "{line_end:?} {end:?}"
                );
            }
        }
    }
}

#[test]
fn chunks_of_any_size_give_what_the_whole_gives() {
    for bill in [ALL.to_owned(), ALL.replace('\n', "\r\n"), OLD.to_owned()] {
        let expected = trade(bill.as_bytes(), amounts);
        for size in 1..bill.len() {
            let mut rows = Vec::new();
            let mut each = |row: &TradeRow<'_>| rows.push(amounts(row));
            let mut reader = TradeBillReader::new();
            for chunk in bill.as_bytes().chunks(size) {
                reader.feed(chunk, &mut each).expect("a part of a bill");
                reader.feed(b"", &mut each).expect("nothing");
            }
            let summary = reader.finish(&mut each);
            assert_eq!((rows, summary), expected, "{size}");
        }
    }
}

#[test]
fn only_a_comma_and_a_backtick_separate() {
    for text in [
        r"\\",
        r"a\\",
        r"\`",
        r"\`\`",
        r"it\'s \`so\`",
        r"\\\`",
        r"\ \`",
        "a`b",
        "``",
        "a,b",
        ",",
        "`,",
        "a,",
        r"\140",
        "a\rb",
        "茶杯，`热`",
    ] {
        let bill = ALL.replace(r"Tea\ cup", text);
        let (rows, summary) = trade(bill.as_bytes(), |row| {
            format!("{} {}", row.description(), row.attach())
        });
        assert_eq!(rows[0], format!("{text} shop=7"));
        assert!(summary.is_ok(), "{text}");
    }
    // The last column has no comma behind it.
    let bill = SUCCESS.replace("promotion", r"\`,\`");
    let (rows, _) = trade(bill.as_bytes(), |row| row.rate_note().to_owned());
    assert_eq!(rows, [r"\`,\`"]);
}

#[test]
fn unknown_columns_are_kept_and_the_order_of_columns_is_free() {
    let turned = |line: &str, separator: &str, new| {
        let line = line.strip_prefix('`').unwrap_or(line);
        let mut fields: Vec<_> = line.split(separator).collect();
        fields.reverse();
        fields.insert(3, new);
        fields.join(separator)
    };
    let mut lines = ALL.lines();
    let mut bill = turned(lines.next().expect("a header"), ",", "终端类型");
    for row in lines.take(3) {
        bill = bill + "\n`" + &turned(row, ",`", "counter 3");
    }
    bill += "\n总交易单数,应结订单总金额,实收总金额,申请退款总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额";
    bill += "\n`3.0,`16.00,`1.00,`3.00,`3.00,`0.00,`0.07,`17.00\n";
    let (rows, summary) = trade(bill.as_bytes(), |row| {
        format!(
            "{} {:?}",
            row.transaction_id(),
            row.unknown().collect::<Vec<_>>()
        )
    });
    assert_eq!(
        rows[0],
        "4200000000202608010000000001 [(\"终端类型\", \"counter 3\")]"
    );
    assert_eq!(summary, trade(ALL.as_bytes(), amounts).1);
}

#[test]
fn a_day_without_trades_has_a_summary_of_nothing() {
    let names = ALL.lines().next().expect("a header");
    let sums = ALL.lines().rev().nth(1).expect("a header of the summary");
    let bill = format!("{names}\r\n{sums}\r\n`0.0,`0.00,`0.00,`0.00,`0.00,`0.00,`0.00\r\n");
    assert_eq!(
        trade(bill.as_bytes(), amounts),
        (vec![], Ok(TradeSummary::default()))
    );
}

#[test]
fn fees_are_proved_to_the_last_decimal_that_the_summary_has() {
    // 0.07200 in the row
    for (in_summary, proved) in [
        ("0.07", true),
        ("0.08", true), // rounded up
        ("0.06", false),
        ("0.09", false),
        ("0.072", true),
        ("0.071", false),
        ("0.07200", true),
        ("0.07201", false),
        ("-0.07", false),
    ] {
        let bill = SUCCESS.replace("`0.07,", &format!("`{in_summary},"));
        let (_, summary) = trade(bill.as_bytes(), amounts);
        assert_eq!(summary.is_ok(), proved, "{in_summary}");
    }
}
