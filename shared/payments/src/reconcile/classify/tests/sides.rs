//! What both sides say of a row, as the console and the CSV show it.

use super::*;

/// [`row`]'s time.
fn at() -> Option<UnixSeconds> {
    Some(wechatpay::time::parse_rfc3339("2026-08-01T10:00:05+08:00").unwrap())
}

#[test]
fn the_bills_side_has_the_rows_amount_state_and_time() {
    let side = |amount_fen, state: &str| SideView {
        amount_fen: Some(amount_fen),
        state: Some(state.to_owned()),
        at: at(),
        ..SideView::default()
    };
    let reversed = BillLine {
        kind: LineKind::Revoked,
        total_fen: 90,
        ..row()
    };
    assert_eq!(side_of_row(&row()), side(100, "SUCCESS"));
    assert_eq!(side_of_row(&reversed), side(90, "REVOKED"));
    let refund = refund_row("CHANGE");
    assert_eq!(
        side_of_row(&refund),
        side(refund.requested_refund_fen, "CHANGE")
    );
    let identity = SideView {
        currency: Some("CNY".to_owned()),
        appid: Some("wxa".to_owned()),
        mchid: Some(MCHID.to_owned()),
        ..side(100, "SUCCESS")
    };
    assert_eq!(identity_of_row(&row()), identity);
    let unnamed = BillLine {
        appid: String::new(),
        ..row()
    };
    assert_eq!(
        identity_of_row(&unnamed),
        SideView {
            appid: None,
            ..identity
        }
    );
}

#[test]
fn the_bills_side_of_a_fee_has_its_rate() {
    let (there, here) = sides_of_fee(&row());
    let of_bill = SideView {
        fee_e5: Some(600),
        rate: Some("0.60%".to_owned()),
        ..side_of_row(&row())
    };
    assert_eq!(there, of_bill);
    let expected = SideView {
        fee_e5: Some(600),
        rate: Some("0.60%".to_owned()),
        ..SideView::default()
    };
    assert_eq!(here, expected);
}

#[test]
fn our_side_is_the_order_the_parked_payment_or_the_refund_as_the_books_have_it() {
    let here = |row: &BillLine, read: &FoundRecord| match classify_row(row, MCHID, read) {
        Classification::Differs(_, here) => here,
        Classification::Agrees => panic!("it differs"),
    };
    let paid = OrderState::Paid(payment_of("420001"));
    let other_amount = BillLine {
        total_fen: 99,
        ..row()
    };
    let order = SideView {
        amount_fen: Some(100),
        state: Some("paid".to_owned()),
        at: Some(payment_of("420001").paid_at),
        ..SideView::default()
    };
    assert_eq!(here(&other_amount, &known(paid.clone())), Some(order));
    let unattributed = FoundRecord {
        parked: Some(parked(ParkedState::Refunding)),
        ..FoundRecord::default()
    };
    let kept = SideView {
        amount_fen: Some(100),
        state: Some("refunding".to_owned()),
        at: Some(UnixSeconds(5)),
        ..SideView::default()
    };
    assert_eq!(here(&row(), &unattributed), Some(kept));
    let accepted = Refund {
        accepted_at: Some(UnixSeconds(6)),
        ..refund_in(RefundState::Processing)
    };
    let of_refund = SideView {
        amount_fen: Some(accepted.amount.get()),
        state: Some("processing".to_owned()),
        at: Some(UnixSeconds(6)),
        ..SideView::default()
    };
    let read = FoundRecord {
        refund: Some(accepted),
        ..known(paid)
    };
    assert_eq!(here(&refund_row("SUCCESS"), &read), Some(of_refund));
}

#[test]
fn a_difference_is_about_the_numbers_that_its_row_has() {
    let of_payment = DifferenceSubject {
        order_no: Some("ORDER-1".to_owned()),
        transaction_id: Some("420001".to_owned()),
        line: Some(2),
        ..DifferenceSubject::default()
    };
    assert_eq!(about_row(&row()), of_payment);
    let refund = refund_row("SUCCESS");
    let of_refund = DifferenceSubject {
        transaction_id: Some(refund.transaction_id.clone()),
        out_refund_no: Some(refund.out_refund_no.clone()),
        refund_id: Some("500001".to_owned()),
        ..of_payment
    };
    assert_eq!(about_row(&refund), of_refund);
}

#[test]
fn a_refund_is_held_against_the_amount_that_its_line_counted() {
    let row = refund_row("SUCCESS");
    let mut books = DayBooks::with_capacity(4, [5, 6]);
    let line = BookLine::Refund {
        out_refund_no: &row.out_refund_no,
        refund_id: None,
        transaction_id: &row.transaction_id,
        order_no: &row.order_no,
        amount_fen: 35,
        state: BookedRefund::from(&RefundState::Processing),
        trade_type: None,
    };
    books.insert(&line, 0);
    let mut refund = refund_in(RefundState::Processing);
    refund.amount = Fen::new(35).unwrap();
    let read = FoundRecord {
        refund: Some(refund),
        ..FoundRecord::default()
    };
    assert_eq!(counted_fen(&row, &read, &books), Some(35));
    let unread = FoundRecord::default();
    assert_eq!(
        counted_fen(&row, &unread, &books),
        Some(row.requested_refund_fen)
    );
}
