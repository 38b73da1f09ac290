//! Refunds that an operator released.

use super::*;

#[test]
fn only_a_persons_decision_releases_the_money_of_a_refused_refund() {
    let mut order = paid();
    order.refunds.committed_fen = 40;
    let decided = || DecidedBy {
        who: "Li".into(),
        why: "paid in cash".into(),
    };
    let refused = refund(RefundState::Refused("NO_AUTH".into()));
    let change = release(&order, &refused, decided(), &context()).unwrap();
    assert_eq!(change.refunds.committed_fen, 0);
    let Some(RefundChange::Updated(_, to)) = change.refund else {
        panic!()
    };
    assert_eq!(
        (to.state, to.decided),
        (RefundState::Closed, Some(decided()))
    );
    for state in [
        RefundState::Reserved,
        RefundState::Processing,
        RefundState::Succeeded(NOW),
        RefundState::Closed,
        RefundState::Abnormal,
    ] {
        assert_eq!(release(&order, &refund(state), decided(), &context()), None);
    }
}

/// A late payment of 100 fen; `refund_no` was for this much of it, and an operator released
/// that.
fn late_and_released(refund_no: &RefundNo, fen: i64) -> (Order, Refund) {
    let mut late = order(OrderState::PaidAfterClose(payment("420001")));
    let mut refund = refund(RefundState::Refused("NO_AUTH".into()));
    refund.refund_no = refund_no.clone();
    refund.amount = Fen::new(fen).unwrap();
    late.refunds.committed_fen = fen;
    let decided = DecidedBy {
        who: "Li".into(),
        why: "paid by bank transfer".into(),
    };
    let change = release(&late, &refund, decided, &context()).unwrap();
    let Some(RefundChange::Updated(_, released)) = &change.refund else {
        panic!("{change:?}")
    };
    assert_eq!(released.due, None, "no one is notified of it any more");
    (after(&change), (**released).clone())
}

#[test]
fn late_money_that_a_person_paid_back_another_way_is_not_given_back_again() {
    let of_ours = RefundNo::of_late_money(&payment("420001").transaction_id);
    let of_a_person = RefundNo::parse("R1").unwrap();
    let again = |order: &Order, earlier: &[Refund], fen| {
        let wanted = wanted("R2", fen);
        reserve(order, None, earlier, &wanted, "https://n", &context())
    };
    for refund_no in [of_ours, of_a_person] {
        let (late, released) = late_and_released(&refund_no, 100);
        let earlier = [released.clone()];
        assert_eq!(owed_fen(&late, &earlier), 0);
        for fen in [100, 1] {
            assert_eq!(again(&late, &earlier, fen), Err(RefundRejected::Released));
        }
        assert_eq!(
            again(&late, &earlier, 101),
            Err(RefundRejected::Exceeds { left_fen: 100 })
        );
        // If WeChat Pay closes it, the money is owed as before.
        let closed = Refund {
            decided: None,
            ..released
        };
        assert_eq!(owed_fen(&late, std::slice::from_ref(&closed)), 100);
        assert!(again(&late, &[closed], 100).is_ok());
    }
    let (mut late, released) = late_and_released(&RefundNo::parse("R1").unwrap(), 60);
    let earlier = [released];
    assert_eq!(owed_fen(&late, &earlier), 40);
    assert_eq!(outstanding_fen(&late, &earlier), 40);
    // A refund in progress reserves its money and has not arrived.
    late.refunds.committed_fen = 40;
    assert_eq!(
        (owed_fen(&late, &earlier), outstanding_fen(&late, &earlier)),
        (0, 40)
    );
    late.refunds.refunded_fen = 30;
    assert_eq!(outstanding_fen(&late, &earlier), 10);
    (late.refunds.committed_fen, late.refunds.refunded_fen) = (0, 0);
    assert!(again(&late, &earlier, 40).is_ok());
    assert_eq!(again(&late, &earlier, 41), Err(RefundRejected::Released));
}

#[test]
fn the_released_refund_of_an_ordinary_payment_leaves_its_money_to_be_refunded() {
    let mut order = paid();
    order.refunds.committed_fen = 40;
    let refused = refund(RefundState::Refused("NO_AUTH".into()));
    let decided = DecidedBy {
        who: "Li".into(),
        why: "wrong amount".into(),
    };
    let change = release(&order, &refused, decided, &context()).unwrap();
    assert!(reserve_on(&after(&change), "R2", 100).is_ok());
}

#[test]
fn a_second_payment_whose_refund_a_person_released_is_done_with() {
    let parked = ParkedPayment {
        transaction_id: TransactionId::parse("420002").unwrap(),
        amount: Fen::new(70).unwrap(),
        paid_at: NOW,
        refundable: true,
        state: ParkedState::Parked,
    };
    let asked = |refund_no: &str| {
        let mut asked = wanted(refund_no, 70);
        asked.terms.transaction_id = Some(parked.transaction_id.clone());
        asked.approval = Approval::TwoPersons;
        asked
    };
    let reserve = |parked: &ParkedPayment, earlier: &[Refund], refund_no: &str| {
        let wanted = asked(refund_no);
        reserve(
            &paid(),
            Some(parked),
            earlier,
            &wanted,
            "https://n",
            &context(),
        )
    };
    let taken = reserve(&parked, &[], "R1").unwrap();
    let refused = Refund {
        state: RefundState::Refused("NO_AUTH".into()),
        ..new_refund(&taken)
    };
    let decided = DecidedBy {
        who: "Li".into(),
        why: "paid by bank transfer".into(),
    };
    let change = release(&after(&taken), &refused, decided, &context()).unwrap();
    assert_eq!(
        change
            .parked_payment
            .as_ref()
            .map(|change| (change.from, change.to)),
        Some((ParkedState::Refunding, ParkedState::Released))
    );
    let Some(RefundChange::Updated(_, released)) = change.refund else {
        panic!()
    };
    assert_eq!(released.due, None);
    let done = ParkedPayment {
        state: ParkedState::Released,
        ..parked.clone()
    };
    let again = reserve(&done, &[], "R2");
    assert_eq!(again, Err(RefundRejected::Released));
    // As an earlier version wrote it.
    let again = reserve(&parked, std::slice::from_ref(released.as_ref()), "R2");
    assert_eq!(again, Err(RefundRejected::Released));
    let closed = Refund {
        decided: None,
        ..*released
    };
    assert!(reserve(&parked, &[closed], "R2").is_ok());
}
