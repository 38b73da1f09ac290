mod refunds;
mod sides;

use matching::{
    books::{BookLine, ParkedLine},
    matcher::Matcher,
};
use wechatpay::bill::{TradeBillReader, TradeRow};

use super::*;
use crate::{
    model::{
        money::Fen,
        order::{OrderState, Product},
        refund::RefundState,
    },
    rules::{
        reserve_refund::tests::refund as refund_in,
        settle_trade::tests::{order, payment as payment_of},
    },
};

const MCHID: &str = "1900000001";

fn row() -> BillLine {
    BillLine {
        line: 2,
        kind: LineKind::Payment,
        at: "2026-08-01 10:00:05".into(),
        appid: "wxa".into(),
        mchid: MCHID.into(),
        transaction_id: "420001".into(),
        order_no: "ORDER-1".into(),
        refund_id: String::new(),
        out_refund_no: String::new(),
        trade_type: "NATIVE".into(),
        currency: "CNY".into(),
        refund_state: String::new(),
        total_fen: 100,
        settlement_fen: 100,
        requested_refund_fen: 0,
        refund_fen: 0,
        fee: 600,
        rate: "0.60%".into(),
    }
}

fn refund_row(state: &str) -> BillLine {
    let refund = refund_in(RefundState::Processing);
    BillLine {
        kind: LineKind::Refund,
        refund_id: "500001".into(),
        out_refund_no: refund.out_refund_no.as_str().into(),
        refund_state: state.into(),
        total_fen: 0,
        requested_refund_fen: refund.amount.get(),
        refund_fen: refund.amount.get(),
        transaction_id: refund.transaction_id.as_str().into(),
        ..row()
    }
}

fn known(state: OrderState) -> FoundRecord {
    FoundRecord {
        order: Some(order(state)),
        ..FoundRecord::default()
    }
}

fn parked(state: ParkedState) -> ParkedPayment {
    ParkedPayment {
        transaction_id: crate::model::ids::TransactionId::parse("420001").unwrap(),
        amount: Fen::new(100).unwrap(),
        paid_at: UnixSeconds(5),
        refundable: true,
        state,
    }
}

fn kind(row: &BillLine, read: &FoundRecord) -> &'static str {
    match classify_row(row, MCHID, read) {
        Classification::Agrees => "agrees",
        Classification::Differs(kind, _) => kind.name(),
    }
}

#[test]
fn a_payment_of_the_bill_is_held_against_its_order() {
    let paid = OrderState::Paid(payment_of("420001"));
    let other = OrderState::Paid(payment_of("420009"));
    let changed = |change: fn(&mut BillLine)| {
        let mut row = row();
        change(&mut row);
        row
    };
    for (name, row, read, expected) in [
        ("booked since", row(), known(paid.clone()), "agrees"),
        (
            "unpaid",
            row(),
            known(OrderState::Reserved),
            "paid_there_unpaid_here",
        ),
        (
            "closed",
            row(),
            known(OrderState::Closed),
            "paid_there_unpaid_here",
        ),
        (
            "nobody's",
            row(),
            FoundRecord::default(),
            "unknown_order_there",
        ),
        ("paid by another", row(), known(other), "duplicate_payment"),
        (
            "another amount",
            changed(|row| row.total_fen = 99),
            known(paid.clone()),
            "amount_differs",
        ),
        (
            "another amount of an unpaid order",
            changed(|row| row.total_fen = 99),
            known(OrderState::Reserved),
            "amount_differs",
        ),
        (
            "another appid",
            changed(|row| row.appid = "wxb".into()),
            known(paid.clone()),
            "identity_differs",
        ),
        (
            "another currency",
            changed(|row| row.currency = "HKD".into()),
            known(paid.clone()),
            "identity_differs",
        ),
        (
            "another merchant's",
            changed(|row| row.mchid = "1900000002".into()),
            FoundRecord::default(),
            "identity_differs",
        ),
        (
            "another merchant's, with our number",
            changed(|row| row.mchid = "1900000002".into()),
            known(paid.clone()),
            "identity_differs",
        ),
        (
            "another currency, of nobody's",
            changed(|row| row.currency = "HKD".into()),
            FoundRecord::default(),
            "identity_differs",
        ),
        (
            "another appid of an unpaid order",
            changed(|row| row.appid = "wxb".into()),
            known(OrderState::Reserved),
            "identity_differs",
        ),
        (
            "another appid and another amount",
            changed(|row| {
                row.appid = "wxb".into();
                row.total_fen = 99;
            }),
            known(paid.clone()),
            "identity_differs",
        ),
        (
            "another payment of another amount",
            changed(|row| row.total_fen = 99),
            known(OrderState::Paid(payment_of("420009"))),
            "duplicate_payment",
        ),
        (
            "reversed, of nobody's",
            changed(|row| row.kind = LineKind::Revoked),
            FoundRecord::default(),
            "status_differs",
        ),
        (
            "reversed, paid by another",
            changed(|row| row.kind = LineKind::Revoked),
            known(OrderState::Paid(payment_of("420009"))),
            "agrees",
        ),
        (
            "reversed",
            changed(|row| row.kind = LineKind::Revoked),
            known(paid.clone()),
            "status_differs",
        ),
        (
            "reversed and unpaid",
            changed(|row| row.kind = LineKind::Revoked),
            known(OrderState::Closed),
            "agrees",
        ),
    ] {
        assert_eq!(kind(&row, &read), expected, "{name}");
    }
}

#[test]
fn both_sides_say_whose_money_it_is() {
    let foreign = BillLine {
        appid: "wxb".into(),
        mchid: "1900000002".into(),
        currency: "HKD".into(),
        ..row()
    };
    let paid = known(OrderState::Paid(payment_of("420001")));
    let of_refund = BillLine {
        mchid: "1900000002".into(),
        ..refund_row("SUCCESS")
    };
    for (row, read, appid) in [
        (&foreign, &paid, Some("wxa")),
        (&foreign, &FoundRecord::default(), None),
        (&of_refund, &paid, Some("wxa")),
    ] {
        let Classification::Differs(DifferenceKind::IdentityDiffers, Some(here)) =
            classify_row(row, MCHID, read)
        else {
            panic!("it is another's");
        };
        let there = identity_of_row(row);
        assert_eq!(there.mchid.as_deref(), Some("1900000002"));
        assert_eq!(there.currency.as_deref(), Some(row.currency.as_str()));
        assert_eq!(here.mchid.as_deref(), Some(MCHID));
        assert_eq!(here.currency.as_deref(), Some("CNY"));
        assert_eq!(here.appid.as_deref(), appid);
    }
    let (there, here) = sides_of_fee(&BillLine {
        fee: 5_600,
        settlement_fen: 10_000,
        ..row()
    });
    assert_eq!((there.fee_e5, here.fee_e5), (Some(5_600), Some(60_000)));
    assert_eq!(here.rate.as_deref(), Some("0.60%"));
}

#[test]
fn a_row_s_effect_on_the_sums_is_what_our_books_lack_of_it() {
    let reversed = BillLine {
        kind: LineKind::Revoked,
        ..row()
    };
    for (row, counted, payments, net) in [
        (row(), None, 1, 100),
        (row(), Some(100), 0, 0),
        (row(), Some(70), 0, 30),
        (reversed.clone(), Some(100), -1, -100),
        (reversed, None, 0, 0),
    ] {
        let gap = gap_of_row(&row, counted);
        assert_eq!((gap.payments, gap.net_fen()), (payments, net));
    }
    let refund = refund_row("SUCCESS");
    let fen = refund.requested_refund_fen;
    assert_eq!(gap_of_row(&refund, None).net_fen(), -fen);
    assert!(gap_of_row(&refund, Some(fen)).is_none());
    // A failed refund returned no money, whatever our books say.
    let failed = refund_row("FAIL");
    assert!(gap_of_row(&failed, None).is_none());
    assert_eq!(gap_of_row(&failed, Some(fen)).net_fen(), fen);
}

#[test]
fn money_that_is_kept_for_a_person_is_held_against_the_bill_in_every_state_but_as_its_order_s() {
    let state = |state| classify_absent_parked(Some(&parked(state)));
    for waits in [ParkedState::Parked, ParkedState::Refunding] {
        let (kind, here) = state(waits).unwrap();
        assert_eq!(kind, DifferenceKind::PaidHereAbsentThere);
        assert_eq!(here.amount_fen, Some(100));
        assert!(here.note.unwrap().contains("give it back only once"));
    }
    for over in [
        ParkedState::Refunded,
        ParkedState::WithMerchant,
        ParkedState::Released,
    ] {
        assert_eq!(state(over).unwrap().1.note, None, "{over:?}");
    }
    assert_eq!(state(ParkedState::Booked), None);
    assert_eq!(classify_absent_parked(None), None);
}

#[test]
fn money_that_is_kept_for_a_person_and_was_reversed_is_a_difference_until_it_is_back() {
    let reversed = BillLine {
        kind: LineKind::Revoked,
        ..row()
    };
    for (state, expected) in [
        (ParkedState::Parked, "status_differs"),
        (ParkedState::Refunding, "status_differs"),
        (ParkedState::Released, "status_differs"),
        (ParkedState::Refunded, "agrees"),
    ] {
        let read = FoundRecord {
            parked: Some(parked(state)),
            ..known(OrderState::Paid(payment_of("420009")))
        };
        assert_eq!(kind(&reversed, &read), expected, "{state:?}");
    }
    let unattributed = FoundRecord {
        parked: Some(parked(ParkedState::Parked)),
        ..FoundRecord::default()
    };
    let Classification::Differs(DifferenceKind::StatusDiffers, Some(here)) =
        classify_row(&reversed, MCHID, &unattributed)
    else {
        panic!("it was reversed");
    };
    assert_eq!(here.state.as_deref(), Some("parked"));
}

#[test]
fn a_row_is_held_against_what_its_own_line_counted() {
    let mut books = DayBooks::with_capacity(4, [5, 6]);
    for (transaction_id, amount_fen) in [("420001", 100), ("420002", 70)] {
        let line = BookLine::Payment {
            transaction_id,
            order_no: "ORDER-1",
            amount_fen,
            appid: "wxa",
            trade_type: Product::Native.trade_type(),
        };
        books.insert(&line, 0);
    }
    books.count_parked(&ParkedLine {
        transaction_id: "420003",
        order_no: "ORDER-1",
        amount_fen: 30,
        at: UnixSeconds(5),
        trade_type: None,
    });
    let paid = |transaction_id| known(OrderState::Paid(payment_of(transaction_id)));
    let of = |kind, transaction_id: &str, total_fen| BillLine {
        kind,
        transaction_id: transaction_id.into(),
        total_fen,
        ..row()
    };
    let payment = |transaction_id, fen| of(LineKind::Payment, transaction_id, fen);
    let counted = |row: &BillLine, read: &FoundRecord| counted_fen(row, read, &books);
    assert_eq!(counted(&payment("420001", 99), &paid("420001")), Some(100));
    // It is under another order's number: not that order's amount.
    assert_eq!(counted(&payment("420002", 70), &paid("420001")), Some(70));
    assert_eq!(
        counted(&payment("420002", 70), &FoundRecord::default()),
        Some(70)
    );
    assert_eq!(counted(&payment("420003", 31), &paid("420001")), Some(30));
    assert_eq!(counted(&payment("420009", 5), &paid("420001")), None);
    let reversed = of(LineKind::Revoked, "420001", 100);
    assert_eq!(counted(&reversed, &paid("420001")), Some(100));
    let refund = refund_row("SUCCESS");
    assert_eq!(counted(&refund, &FoundRecord::default()), None);
}

/// The bill has the payment of a line, and that it was reversed: the first is held against it.
#[test]
fn a_reversed_payment_is_taken_off_only_where_its_own_row_is_not_in_the_bill() {
    let reversed = BillLine {
        kind: LineKind::Revoked,
        ..row()
    };
    let (paid, taken_back) = (bill_row("SUCCESS"), bill_row("REVOKED"));
    for (rows, counted) in [
        (vec![&paid, &taken_back], None),
        (vec![&taken_back], Some(100)),
    ] {
        let mut books = DayBooks::with_capacity(4, [5, 6]);
        let line = BookLine::Payment {
            transaction_id: "420001",
            order_no: "ORDER-1",
            amount_fen: 100,
            appid: "wxa",
            trade_type: "NATIVE",
        };
        books.insert(&line, 0);
        let mut matcher = Matcher::new(books, MCHID, 10);
        let mut take = |row: &TradeRow<'_>| matcher.take(row);
        let mut reader = TradeBillReader::new();
        reader
            .feed(trade_bill(&rows).as_bytes(), &mut take)
            .unwrap();
        reader.finish(&mut take).unwrap();
        let matched = matcher.finish();
        let read = FoundRecord::default();
        assert_eq!(counted_fen(&reversed, &read, &matched.books), counted);
    }
}

/// [`row`] as a bill has it.
fn bill_row(state: &str) -> String {
    format!(
        "`2026-08-01 10:00:05,`wxa,`{MCHID},`420001,`ORDER-1,`NATIVE,`{state},`CNY,`1.00,`0,`0,`0.00,`,`0.00600,`0.60%,`1.00,`0.00\n"
    )
}

/// The bill that has so many times [`row`], taken back or not.
fn trade_bill(rows: &[&String]) -> String {
    let mut text = "交易时间,公众账号ID,商户号,微信订单号,商户订单号,交易类型,交易状态,货币种类,应结订单金额,微信退款单号,商户退款单号,退款金额,退款状态,手续费,费率,订单金额,申请退款金额\n".to_owned();
    text.extend(rows.iter().map(|row| row.as_str()));
    text.push_str("总交易单数,应结订单总金额,退款总金额,手续费总金额,订单总金额,申请退款总金额\n");
    let count = rows.len();
    text.push_str(&format!(
        "`{count}.0,`{count}.00,`0.00,`{},`{count}.00,`0.00\n",
        Fee::from_units(600 * i64::try_from(count).unwrap())
    ));
    text
}

#[test]
fn money_that_is_back_is_no_difference_any_more_and_money_on_its_way_still_is() {
    let second = |state| FoundRecord {
        parked: Some(parked(state)),
        ..known(OrderState::Paid(payment_of("420009")))
    };
    let unattributed = |state| FoundRecord {
        parked: Some(parked(state)),
        ..FoundRecord::default()
    };
    for (state, of_an_order, of_unattributed) in [
        (
            ParkedState::Parked,
            "duplicate_payment",
            "unknown_order_there",
        ),
        (
            ParkedState::Refunding,
            "duplicate_payment",
            "unknown_order_there",
        ),
        (ParkedState::Refunded, "agrees", "agrees"),
        (ParkedState::Booked, "agrees", "agrees"),
        // A person says that it was returned another way.
        (
            ParkedState::Released,
            "duplicate_payment",
            "unknown_order_there",
        ),
    ] {
        assert_eq!(kind(&row(), &second(state)), of_an_order, "{state:?}");
        assert_eq!(
            kind(&row(), &unattributed(state)),
            of_unattributed,
            "{state:?}"
        );
    }
}

#[test]
fn a_booked_payment_that_no_row_names_is_a_difference_while_it_is_booked() {
    let paid = order(OrderState::Paid(payment_of("420001")));
    let (kind, here) = classify_absent_payment(Some(&paid), "420001").unwrap();
    assert_eq!(kind, DifferenceKind::PaidHereAbsentThere);
    assert_eq!(here.amount_fen, Some(100));
    assert_eq!(classify_absent_payment(Some(&paid), "420009"), None);
    assert_eq!(classify_absent_payment(None, "420001"), None);
}

#[test]
fn only_the_minutes_about_midnight_may_stand_on_another_day() {
    let date = BillDate::parse("2026-08-01").unwrap();
    let at = |seconds: i64| near(date, UnixSeconds(date.starts_at().0 + seconds));
    assert_eq!(at(0), NearMidnight::DayBefore);
    assert_eq!(at(599), NearMidnight::DayBefore);
    assert_eq!(at(600), NearMidnight::Neither);
    assert_eq!(at(86_399), NearMidnight::DayAfter);
    assert_eq!(at(85_800), NearMidnight::DayAfter);
    assert_eq!(at(85_799), NearMidnight::Neither);
}
