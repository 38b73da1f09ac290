//! Bills with one thing wrong.

use super::*;

#[test]
fn every_fault_is_reported_with_its_line_and_column() {
    for (from, to, says) in [
        (
            "`12.00,`0.00,`\n",
            "`12.0x,`0.00,`\n",
            "line 2, column 25 (订单金额): \"12.0x\" is not an amount in yuan such as 12.00",
        ),
        (
            "`4.00,`1.00",
            "`4.00,`",
            "line 3, column 14 (代金券金额): \"\" is not an amount in yuan such as 12.00",
        ),
        (
            "`0.02000",
            "`0.0200000",
            "line 3, column 23 (手续费): \"0.0200000\" is not an amount in yuan such as 12.00",
        ),
        (
            "`REFUND",
            "`CLOSED",
            "line 4, column 10 (交易状态): \"CLOSED\" is none of SUCCESS, REFUND, REVOKED: this version cannot tell what the row means",
        ),
        (
            "`Scone,`,",
            "`Scone,,",
            "line 3 has 26 fields, its header has 27 columns",
        ),
        (
            "`Scone,`,",
            "`Scone,`,`,",
            "line 3 has 28 fields, its header has 27 columns",
        ),
        (
            "`Scone",
            "`Sco\nne",
            "line 3 has 21 fields, its header has 27 columns",
        ),
        (
            "\n总",
            "\n\n总",
            "line 5 is neither a row nor the header of the summary, it starts \"\"",
        ),
        (
            "\n总",
            "\n<html>\n总",
            "line 5 is neither a row nor the header of the summary, it starts \"<html>\"",
        ),
        (
            "`3.0,`16",
            "3.0,`16",
            "line 6 is neither a row nor the header of the summary, it starts \"3.0,`16.00,`3.00,`0.00,`0.07,`17.00,`3.0\"",
        ),
        (
            "`17.00,",
            "",
            "line 6 has 6 fields, its header has 7 columns",
        ),
        (
            "`3.0,",
            "`2.0,",
            "line 6, column 1 (总交易单数): the summary says 2.0, the rows say 3: the bill is not whole, fetch it again",
        ),
        (
            "`3.0,",
            "`3.5,",
            "line 6, column 1 (总交易单数): \"3.5\" is not a count such as 45.0",
        ),
        (
            "`16.00",
            "`16.01",
            "line 6, column 2 (应结订单总金额): the summary says 16.01, the rows say 16.00: the bill is not whole, fetch it again",
        ),
        (
            "`0.07,",
            "`0.06,",
            "line 6, column 5 (手续费总金额): the summary says 0.06, the rows say 0.07: the bill is not whole, fetch it again",
        ),
        (
            "`16.00,",
            "`16.000,",
            "line 6, column 2 (应结订单总金额): \"16.000\" is not an amount in yuan such as 12.00",
        ),
        (
            ",商户订单号",
            ",订单号",
            "the header in line 1 has no column 商户订单号: is this a bill of another kind?",
        ),
        (
            ",申请退款总金额",
            ",申请退款",
            "the header in line 5 has no column 申请退款总金额: is this a bill of another kind?",
        ),
        (
            ",申请退款金额",
            ",手续费",
            "line 1, column 26 (手续费): an earlier column means the same",
        ),
        (
            "`3.00\n",
            "`3.00\n`2026-08-01 10:00:05,",
            "line 7 follows the summary row: these may be two files in one",
        ),
    ] {
        let bill = ALL.replacen(from, to, 1);
        let bill = if bill == ALL {
            panic!("{from} is not there")
        } else {
            bill
        };
        assert_eq!(refused(&bill).to_string(), says);
    }
}

#[test]
fn a_time_that_is_none_is_reported_when_it_is_asked_for() {
    let bill = ALL.replace("2026-08-01 11:30:00", "2026-08-01 11:30");
    let (rows, summary) = trade(bill.as_bytes(), |row| match row.at_unix() {
        Ok(at) => at.0.to_string(),
        Err(error) => error.to_string(),
    });
    assert_eq!(
        rows[1],
        "line 3, column 1 (交易时间): \"2026-08-01 11:30\" is not a time such as 2026-08-01 10:00:05"
    );
    assert!(summary.is_ok());
}

#[test]
fn a_bill_cut_anywhere_is_refused() {
    for bill in [ALL, SUCCESS, REFUND, OLD] {
        for bill in [bill.to_owned(), bill.replace('\n', "\r\n")] {
            let whole = bill.trim_end().len();
            for cut in 0..whole {
                let (_, summary) = trade(&bill.as_bytes()[..cut], amounts);
                let error = summary.expect_err("it was cut");
                assert_eq!(error.name(), "bill_cut", "{cut} of {whole}: {error}");
            }
            assert!(trade(&bill.as_bytes()[..whole], amounts).1.is_ok());
        }
    }
    let whole = FUND.trim_end().len();
    for cut in 0..whole {
        let (_, summary) = fund(&FUND.as_bytes()[..cut], |_| String::new());
        assert!(summary.is_err(), "{cut}");
    }
    assert!(fund(&FUND.as_bytes()[..whole], |_| String::new()).1.is_ok());
}

#[test]
fn two_bills_in_one_file_are_refused() {
    assert_eq!(refused(ALL.repeat(2)).name(), "bill_after_summary");
    let header = ALL.lines().next().expect("a header");
    let twice = ALL.replacen('\n', &format!("\n{header}\n"), 1);
    assert_eq!(refused(twice).name(), "bill_unexpected_line");
}

#[test]
fn a_bill_of_another_kind_is_refused() {
    assert_eq!(refused(FUND).name(), "bill_missing_column");
    let (_, summary) = fund(ALL.as_bytes(), |_| String::new());
    assert_eq!(
        summary.expect_err("a trade bill").name(),
        "bill_missing_column"
    );
    let without_amounts = ALL.replace(",订单金额,", ",金额,");
    assert_eq!(refused(without_amounts).name(), "bill_missing_column");
}

#[test]
fn what_is_no_text_is_refused_where_it_begins() {
    let mut bill = ALL.as_bytes().to_vec();
    let at = ALL.find("Scone").expect("line 3");
    bill[at] = 0xff;
    let mut rows = 0;
    let mut reader = TradeBillReader::new();
    let mut each = |_: &TradeRow<'_>| rows += 1;
    let error = reader.feed(&bill, &mut each).expect_err("no UTF-8");
    assert_eq!(error, BillError::NotText { line: 3 });
    // Nothing makes it a bill again.
    assert_eq!(reader.feed(ALL.as_bytes(), &mut each), Err(error.clone()));
    assert_eq!(reader.finish(&mut each), Err(error));
    assert_eq!(rows, 1);
    assert_eq!(
        refused(b"\x1f\x8b\x08\x00\xff\xfe\n").to_string(),
        "line 1 is not UTF-8: is the file still compressed, or was it re-encoded?"
    );
}

#[test]
fn no_line_is_longer_than_the_limit() {
    // The text and the line feed come to the limit, or to one byte more.
    let header = ALL.lines().next().expect("a header");
    for (more, expected) in [(0, "bill_cut"), (1, "bill_too_long_line")] {
        let line = format!(
            "{header},{}\n",
            "x".repeat(LINE_BYTES_MAX - header.len() - 2 + more)
        );
        for size in [1, 7, 1000, LINE_BYTES_MAX, line.len()] {
            let mut reader = TradeBillReader::new();
            let fed = line
                .as_bytes()
                .chunks(size)
                .try_for_each(|chunk| reader.feed(chunk, &mut |_| ()));
            let error = fed
                .and_then(|()| reader.finish(&mut |_| ()))
                .expect_err("no bill");
            assert_eq!(error.name(), expected, "chunks of {size}");
        }
    }
}

#[test]
fn a_sum_that_no_integer_holds_is_refused() {
    let row = ALL.lines().nth(1).expect("a row");
    let row = row.replacen("`12.00", "`9999999999999.99", 1) + "\n";
    let bill = ALL.lines().next().expect("a header").to_owned() + "\n" + &row.repeat(9300);
    assert_eq!(
        refused(bill).to_string(),
        "line 9225, column 13 (应结订单金额): the sum up to here is larger than any money there is"
    );
}

#[test]
fn an_unknown_direction_of_money_is_refused() {
    let (_, summary) = fund(FUND.replace("收入,`12", "冻结,`12").as_bytes(), |_| {
        String::new()
    });
    assert_eq!(
        summary.expect_err("neither in nor out").to_string(),
        "line 2, column 6 (收支类型): \"冻结\" is none of 收入, 支出: this version cannot tell what the row means"
    );
}

#[test]
fn fund_summaries_are_proved_in_each_column() {
    let (before, summary) = FUND.split_at(
        FUND.rfind('\n')
            .map_or(0, |end| FUND[..end].rfind('\n').map_or(0, |at| at + 1)),
    );
    for (column, changed) in ["`3.0", "`2.0", "`12.01", "`0.0", "`0.70"]
        .into_iter()
        .enumerate()
    {
        let mut fields: Vec<_> = summary.trim_end().split(',').collect();
        fields[column] = changed;
        let bill = before.to_owned() + &fields.join(",") + "\n";
        let (_, summary) = fund(bill.as_bytes(), |_| String::new());
        let error = summary.expect_err("it does not add up");
        assert!(
            matches!(&error, BillError::SummaryDiffers { column: at, .. } if at.number == column + 1),
            "{error}"
        );
    }
}
