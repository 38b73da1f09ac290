//! Refunds that were made in WeChat Pay's console.

use super::*;

#[test]
fn a_refund_made_in_the_console_is_taken_into_the_books_if_the_money_is_there() {
    let news = RefundNews {
        received_by: Some(ReceivedBy::Payer),
        ..from_the_console(60, ReportedRefundStatus::Succeeded(AT))
    };
    let RefundSettlement::Change(change) =
        settle_refund(&paid(), None, &facts(), &news, &context())
    else {
        panic!()
    };
    let imported = new_refund(&change);
    assert_eq!(imported.received_by, Some(ReceivedBy::Payer));
    assert_eq!(imported.refund_no.as_str(), "console-500001");
    assert_eq!(imported.out_refund_no.as_str(), "console@1");
    assert_eq!(
        (change.refunds.committed_fen, change.refunds.refunded_fen),
        (100, 60)
    );
    assert_eq!(change.to.name(), "partially_refunded");
    for (news, reason) in [
        (
            from_the_console(61, ReportedRefundStatus::Succeeded(AT)),
            RefundParkReason::ExceedsPayment,
        ),
        (
            RefundNews {
                transaction_id: TransactionId::parse("420009").unwrap(),
                ..from_the_console(1, ReportedRefundStatus::Succeeded(AT))
            },
            RefundParkReason::OtherPayment,
        ),
    ] {
        let RefundSettlement::Park(parked) =
            settle_refund(&paid(), None, &facts(), &news, &context())
        else {
            panic!("{reason:?}")
        };
        assert_eq!(parked.reason, reason);
    }
    assert_eq!(
        settle_refund(
            &paid(),
            None,
            &facts(),
            &from_the_console(1, ReportedRefundStatus::Closed),
            &context()
        ),
        RefundSettlement::AlreadyDone
    );
}

fn second_payment(state: ParkedState) -> ParkedPayment {
    ParkedPayment {
        transaction_id: TransactionId::parse("420009").unwrap(),
        amount: Fen::new(70).unwrap(),
        paid_at: AT,
        refundable: true,
        state,
    }
}

/// The effect of a refund from the console that returns a second payment of 70 fen.
fn of_second(
    fen: i64,
    total: i64,
    status: ReportedRefundStatus,
    state: ParkedState,
) -> RefundSettlement {
    let news = RefundNews {
        transaction_id: TransactionId::parse("420009").unwrap(),
        total: Fen::new(total).unwrap(),
        ..from_the_console(fen, status)
    };
    settle_parked_refund(&paid(), &second_payment(state), &facts(), &news, &context())
}

#[test]
fn a_console_refund_of_a_parked_payment_gives_that_back_and_touches_no_other_money() {
    for (status, becomes) in [
        (ReportedRefundStatus::Succeeded(AT), ParkedState::Refunded),
        (ReportedRefundStatus::Processing, ParkedState::Refunding),
        (ReportedRefundStatus::Abnormal, ParkedState::Refunding),
    ] {
        let settlement = of_second(70, 70, status, ParkedState::Parked);
        let RefundSettlement::Change(change) = settlement else {
            panic!("{settlement:?}")
        };
        let imported = new_refund(&change);
        assert_eq!(imported.of, PaymentKind::Parked);
        assert_eq!(imported.refund_no.as_str(), "console-500001");
        assert_eq!((imported.amount.get(), imported.total.get()), (70, 70));
        let parked = change.parked_payment.as_ref().unwrap();
        assert_eq!((parked.from, parked.to), (ParkedState::Parked, becomes));
        assert_eq!(
            (change.refunds.committed_fen, change.refunds.refunded_fen),
            (40, 0)
        );
        assert_eq!(change.to, paid().state);
    }
    let closed = of_second(70, 70, ReportedRefundStatus::Closed, ParkedState::Parked);
    assert_eq!(closed, RefundSettlement::AlreadyDone);
}

#[test]
fn a_console_refund_that_does_not_fit_a_parked_payment_waits_for_a_person() {
    let at = ReportedRefundStatus::Succeeded(AT);
    for (fen, total, state, reason) in [
        (69, 70, ParkedState::Parked, RefundParkReason::PartOfParked),
        (
            70,
            71,
            ParkedState::Parked,
            RefundParkReason::Differs {
                field: "amount.total",
            },
        ),
        (
            70,
            70,
            ParkedState::Refunding,
            RefundParkReason::ExceedsPayment,
        ),
        (
            70,
            70,
            ParkedState::Refunded,
            RefundParkReason::ExceedsPayment,
        ),
        (
            70,
            70,
            ParkedState::Released,
            RefundParkReason::ExceedsPayment,
        ),
    ] {
        let settlement = of_second(fen, total, at, state);
        let RefundSettlement::Park(parked) = settlement else {
            panic!("{settlement:?}")
        };
        assert_eq!(parked.reason, reason);
    }
    let since_booked = of_second(70, 70, at, ParkedState::Booked);
    assert_eq!(since_booked, RefundSettlement::PaymentNotBooked);
}

#[test]
fn a_console_refund_whose_notice_arrives_before_its_payment_comes_again() {
    let unpaid = order(OrderState::Reserved);
    let news = from_the_console(60, ReportedRefundStatus::Succeeded(AT));
    assert_eq!(
        settle_refund(&unpaid, None, &facts(), &news, &context()),
        RefundSettlement::PaymentNotBooked
    );
}

#[test]
fn a_console_refund_that_is_on_its_way_holds_its_money_and_is_asked_about() {
    let news = from_the_console(60, ReportedRefundStatus::Processing);
    let RefundSettlement::Change(change) =
        settle_refund(&paid(), None, &facts(), &news, &context())
    else {
        panic!()
    };
    assert_eq!(
        (change.refunds.committed_fen, change.refunds.refunded_fen),
        (100, 0)
    );
    assert_eq!(change.to.name(), "paid");
    let imported = new_refund(&change);
    assert!(imported.due.is_some() && imported.tries > 0);
}
