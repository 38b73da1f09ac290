//! Refunds of the bill.

use super::*;

#[test]
fn a_refund_of_the_bill_is_held_against_ours() {
    let read = |state: RefundState| FoundRecord {
        refund: Some(refund_in(state)),
        ..known(OrderState::Paid(payment_of("420001")))
    };
    let none = known(OrderState::Paid(payment_of("420001")));
    let mut other_amount = refund_row("SUCCESS");
    other_amount.requested_refund_fen += 1;
    let mut other_payment = refund_row("SUCCESS");
    other_payment.transaction_id = "420009".into();
    let done = RefundState::Succeeded(UnixSeconds(7));
    for (row, read, expected) in [
        (
            refund_row("PROCESSING"),
            read(RefundState::Processing),
            "agrees",
        ),
        (refund_row("PROCESSING"), read(done.clone()), "agrees"),
        (
            refund_row("SUCCESS"),
            read(RefundState::Processing),
            "refund_state_differs",
        ),
        (
            refund_row("SUCCESS"),
            read(RefundState::Reserved),
            "refund_state_differs",
        ),
        (refund_row("FAIL"), read(RefundState::Closed), "agrees"),
        (refund_row("CHANGE"), read(RefundState::Abnormal), "agrees"),
        (
            refund_row("SUCCESS"),
            none.clone(),
            "refund_there_unknown_here",
        ),
        (refund_row("FAIL"), none, "agrees"),
        (other_amount, read(done.clone()), "refund_amount_differs"),
        (other_payment, read(done), "refund_there_unknown_here"),
    ] {
        assert_eq!(
            kind(&row, &read),
            expected,
            "{} {:?}",
            row.refund_state,
            read.refund
        );
    }
}

/// Merchant number and currency are each compared alone, whether or not our books have the
/// refund.
#[test]
fn a_refund_of_another_merchant_or_currency_is_not_ours_by_either_alone() {
    let done = RefundState::Succeeded(UnixSeconds(7));
    let with = |refund: Option<Refund>| FoundRecord {
        refund,
        ..known(OrderState::Paid(payment_of("420001")))
    };
    let ours = with(Some(refund_in(done.clone())));
    for (mchid, currency, expected) in [
        (MCHID, "CNY", "agrees"),
        ("1900000002", "CNY", "identity_differs"),
        (MCHID, "HKD", "identity_differs"),
        ("1900000002", "HKD", "identity_differs"),
    ] {
        let row = BillLine {
            mchid: mchid.into(),
            currency: currency.into(),
            ..refund_row("SUCCESS")
        };
        assert_eq!(kind(&row, &ours), expected, "{mchid} {currency}");
        if expected != "agrees" {
            assert_eq!(kind(&row, &with(None)), expected, "{mchid} {currency}");
        }
    }
    let known_as = |refund_id: Option<&str>| Refund {
        refund_id: refund_id.map(|id| crate::model::ids::RefundId::parse(id).unwrap()),
        ..refund_in(done.clone())
    };
    for (refund_id, expected) in [
        (None, "agrees"),
        (Some("500001"), "agrees"),
        (Some("500002"), "refund_there_unknown_here"),
    ] {
        let read = with(Some(known_as(refund_id)));
        assert_eq!(
            kind(&refund_row("SUCCESS"), &read),
            expected,
            "{refund_id:?}"
        );
    }
}

#[test]
fn a_refund_that_no_row_names_is_a_difference_if_wechat_pay_accepted_it_that_day() {
    let date = BillDate::parse("2026-08-01").unwrap();
    let mut refund = refund_in(RefundState::Processing);
    assert!(classify_absent_refund(Some(&refund), date).is_some());
    refund.accepted_at = Some(date.starts_at());
    assert!(classify_absent_refund(Some(&refund), date).is_some());
    refund.accepted_at = Some(date.ends_at());
    assert!(classify_absent_refund(Some(&refund), date).is_none());
    for (state, is_one) in [
        (RefundState::Reserved, false),
        (RefundState::Refused("NO_AUTH".into()), false),
        (RefundState::Processing, true),
        (RefundState::Abnormal, true),
        (RefundState::Closed, true),
        (RefundState::Succeeded(date.starts_at()), true),
    ] {
        let classified = classify_absent_refund(Some(&refund_in(state.clone())), date);
        assert_eq!(classified.is_some(), is_one, "{}", state.name());
    }
    assert_eq!(classify_absent_refund(None, date), None);
}
