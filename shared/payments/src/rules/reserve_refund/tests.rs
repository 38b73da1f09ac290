mod released;

use wechatpay::UnixSeconds;

use super::*;
use crate::model::refund::RefundState;
use crate::{
    model::{
        decision::DecidedBy,
        ids::RefundId,
        journal::Cause,
        order::{RefundTally, Rejection},
        refund::SLOT_S,
    },
    rules::{
        change::RefundChange,
        decide_refund::{release, retry},
        settle_trade::tests::{order, payment},
        transition::{after_slot, transition},
    },
};

const NOW: UnixSeconds = UnixSeconds(1_000_000);

pub(crate) fn context() -> ChangeContext {
    ChangeContext {
        cause: Cause::Request("req-1".into()),
        trace: "t".into(),
        is_sampled: true,
        at: NOW,
        millisecond: None,
        delivery: None,
        request_id: None,
    }
}

fn wanted(refund_no: &str, fen: i64) -> RefundRequest {
    RefundRequest {
        refund_no: RefundNo::parse(refund_no).unwrap(),
        terms: RefundTerms {
            amount: Fen::new(fen).unwrap(),
            reason: None,
            transaction_id: None,
        },
        approval: Approval::Caller,
    }
}

fn paid() -> Order {
    order(OrderState::Paid(payment("420001")))
}

/// The stored order after a change.
fn after(change: &OrderChange) -> Order {
    Order {
        state: change.to.clone(),
        refunds: change.refunds,
        version: change.version(),
        ..change.from.clone()
    }
}

pub(crate) fn new_refund(change: &OrderChange) -> Refund {
    match &change.refund {
        Some(RefundChange::New(refund)) => (**refund).clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refund(state: RefundState) -> Refund {
    let change = reserve(
        &paid(),
        None,
        &[],
        &wanted("R1", 40),
        "https://n",
        &context(),
    )
    .unwrap();
    Refund {
        state,
        ..new_refund(&change)
    }
}

fn reserve_on(order: &Order, refund_no: &str, fen: i64) -> Result<OrderChange, RefundRejected> {
    reserve(
        order,
        None,
        &[],
        &wanted(refund_no, fen),
        "https://n",
        &context(),
    )
}

#[test]
fn a_second_payment_is_given_back_by_two_persons_and_by_no_caller_alone() {
    let parked = |state| ParkedPayment {
        transaction_id: TransactionId::parse("420002").unwrap(),
        amount: Fen::new(100).unwrap(),
        paid_at: NOW,
        refundable: true,
        state,
    };
    let asked = |order: &Order, approval, state| {
        let mut wanted = wanted("R1", 100);
        wanted.terms.transaction_id = Some(TransactionId::parse("420002").unwrap());
        wanted.approval = approval;
        let parked = parked(state);
        reserve(order, Some(&parked), &[], &wanted, "https://n", &context()).map(drop)
    };
    let waits = ParkedState::Parked;
    let alone = asked(&paid(), Approval::Caller, waits);
    assert_eq!(alone, Err(RefundRejected::NeedsTwoPersons));
    assert_eq!(asked(&paid(), Approval::TwoPersons, waits), Ok(()));
    // Nothing is owed any more: every caller gets this answer.
    let gone = asked(&paid(), Approval::Caller, ParkedState::Refunded);
    assert_eq!(gone, Err(RefundRejected::Exceeds { left_fen: 0 }));
    // A payment of a wrong amount is not a second payment while the order is unpaid: it needs
    // no approval in the console.
    let unpaid = order(OrderState::Closed);
    assert_eq!(asked(&unpaid, Approval::Caller, waits), Ok(()));
}

#[test]
fn refunds_never_pass_the_payment_and_take_slots_a_minute_apart() {
    let first = reserve_on(&paid(), "R1", 40).unwrap();
    assert_eq!(new_refund(&first).slot_at, NOW);
    let order = after(&first);
    let second = reserve_on(&order, "R2", 60).unwrap();
    assert_eq!(new_refund(&second).slot_at.0, NOW.0 + 60);
    assert_eq!(second.refunds.committed_fen, 100);
    assert_eq!(
        reserve_on(&order, "R2", 61),
        Err(RefundRejected::Exceeds { left_fen: 60 })
    );
    assert_eq!(
        reserve_on(&after(&second), "R3", 1),
        Err(RefundRejected::Exceeds { left_fen: 0 })
    );
}

#[test]
fn only_a_paid_order_gives_back_for_a_year_and_fifty_times() {
    for state in [
        OrderState::Reserved,
        OrderState::Closing,
        OrderState::Closed,
        OrderState::Rejected(Rejection::Refused(None)),
    ] {
        assert_eq!(
            reserve_on(&order(state), "R1", 1),
            Err(RefundRejected::NotPaid)
        );
    }
    assert_eq!(REFUNDABLE_S, 31_536_000, "a year of 365 days");
    let mut old = paid();
    old.state = OrderState::Paid(Payment {
        paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S),
        ..payment("420001")
    });
    assert!(reserve_on(&old, "R1", 1).is_ok());
    old.state = OrderState::Paid(Payment {
        paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S - 1),
        ..payment("420001")
    });
    assert_eq!(reserve_on(&old, "R1", 1), Err(RefundRejected::TooLate));
    let mut often = paid();
    often.refunds.count = 49;
    let fiftieth = reserve_on(&often, "R1", 1).unwrap();
    assert_eq!(
        reserve_on(&after(&fiftieth), "R2", 1),
        Err(RefundRejected::TooMany)
    );
}

#[test]
fn a_parked_payment_is_given_back_whole_and_once_and_touches_no_other_money() {
    let parked = ParkedPayment {
        transaction_id: TransactionId::parse("420002").unwrap(),
        amount: Fen::new(70).unwrap(),
        paid_at: NOW,
        refundable: true,
        state: ParkedState::Parked,
    };
    let mut asked = wanted("R1", 70);
    asked.approval = Approval::TwoPersons;
    asked.terms.transaction_id = Some(parked.transaction_id.clone());
    let change = reserve(&paid(), Some(&parked), &[], &asked, "https://n", &context()).unwrap();
    assert_eq!(change.refunds.committed_fen, 0);
    let refund = new_refund(&change);
    assert_eq!((refund.total.get(), refund.of), (70, PaymentKind::Parked));
    let done = transition(
        &after(&change),
        &refund,
        RefundState::Succeeded(NOW),
        None,
        &context(),
    );
    assert_eq!(done.to, OrderState::Paid(payment("420001")));
    assert_eq!(done.refunds.refunded_fen, 0);
    assert_eq!(
        done.parked_payment.map(|change| (change.from, change.to)),
        Some((ParkedState::Refunding, ParkedState::Refunded))
    );
    let refused = |parked: Option<&ParkedPayment>, fen| {
        let mut asked = wanted("R2", fen);
        asked.approval = Approval::TwoPersons;
        asked.terms.transaction_id = Some(TransactionId::parse("420002").unwrap());
        reserve(&paid(), parked, &[], &asked, "https://n", &context()).unwrap_err()
    };
    assert_eq!(
        refused(Some(&parked), 69),
        RefundRejected::Exceeds { left_fen: 70 }
    );
    assert_eq!(
        refused(Some(&parked), 71),
        RefundRejected::Exceeds { left_fen: 70 }
    );
    for state in [
        ParkedState::Refunding,
        ParkedState::Refunded,
        ParkedState::Booked,
    ] {
        let taken = ParkedPayment {
            state,
            ..parked.clone()
        };
        assert_eq!(
            refused(Some(&taken), 70),
            RefundRejected::Exceeds { left_fen: 0 },
            "{state:?}"
        );
    }
    let old = ParkedPayment {
        paid_at: UnixSeconds(NOW.0 - REFUNDABLE_S - 1),
        ..parked.clone()
    };
    assert_eq!(refused(Some(&old), 70), RefundRejected::TooLate);
    let foreign = ParkedPayment {
        refundable: false,
        ..parked
    };
    assert_eq!(refused(Some(&foreign), 70), RefundRejected::NoSuchPayment);
    assert_eq!(refused(None, 70), RefundRejected::NoSuchPayment);
}

#[test]
fn money_follows_the_refund_that_moves_it() {
    let reserved = reserve_on(&paid(), "R1", 40).unwrap();
    let (order, refund) = (after(&reserved), new_refund(&reserved));
    let to = |state| transition(&order, &refund, state, None, &context());
    let done = to(RefundState::Succeeded(NOW));
    assert_eq!(done.to.name(), "partially_refunded");
    assert_eq!(
        (done.refunds.committed_fen, done.refunds.refunded_fen),
        (40, 40)
    );
    let names: Vec<_> = done
        .events
        .iter()
        .map(|event| (event.version, event.subject.kind(), event.to.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (7, "order", "partially_refunded"),
            (8, "refund", "succeeded")
        ]
    );
    let closed = to(RefundState::Closed);
    assert_eq!(
        (closed.to.name(), closed.refunds.committed_fen),
        ("paid", 0)
    );
    for waiting in [
        RefundState::Processing,
        RefundState::Abnormal,
        RefundState::Refused("NO_AUTH".into()),
    ] {
        let change = to(waiting);
        assert_eq!(
            (change.to.name(), change.refunds.committed_fen),
            ("paid", 40)
        );
    }
    let rest = reserve_on(&after(&done), "R2", 60).unwrap();
    let all = transition(
        &after(&rest),
        &new_refund(&rest),
        RefundState::Succeeded(NOW),
        None,
        &context(),
    );
    assert_eq!(all.to.name(), "refunded");
}

#[test]
fn a_refused_refund_goes_out_again_under_the_same_number_and_no_other_does() {
    let refused = refund(RefundState::Refused("NO_AUTH".into()));
    let change = retry(&paid(), &refused, None, &context()).unwrap();
    let Some(RefundChange::Updated(from, to)) = change.refund else {
        panic!()
    };
    assert_eq!(*from, refused);
    assert_eq!(to.out_refund_no, refused.out_refund_no);
    assert_eq!(
        (to.state.clone(), to.due.unwrap().at),
        (RefundState::Reserved, NOW)
    );
    for state in [
        RefundState::Reserved,
        RefundState::Processing,
        RefundState::Succeeded(NOW),
        RefundState::Closed,
        RefundState::Abnormal,
    ] {
        assert_eq!(retry(&paid(), &refund(state), None, &context()), None);
    }
}

#[test]
fn a_refund_always_goes_out_as_the_same_bytes_and_names_where_its_notice_goes() {
    let one = refund(RefundState::Reserved);
    let later = Refund {
        tries: 7,
        refund_id: RefundId::parse("500001").ok(),
        ..refund(RefundState::Processing)
    };
    assert_eq!(one.request(), later.request());
    let sent = |refund: &Refund| -> serde_json::Value {
        serde_json::from_slice(refund.request().body()).unwrap()
    };
    let expected = serde_json::json!({
        "transaction_id": "420001", "out_refund_no": one.out_refund_no.as_str(), "notify_url": "https://n",
        "amount": {"refund": 40, "total": 100, "currency": "CNY"},
    });
    assert_eq!(sent(&one), expected);
    let with_reason = Refund {
        reason: Some("broken".into()),
        ..one
    };
    let mut expected = expected;
    expected["reason"] = "broken".into();
    assert_eq!(sent(&with_reason), expected);
}

#[test]
fn no_refund_takes_a_slot_before_the_one_that_is_taken_already() {
    let mut order = paid();
    for (next_at, slot_at) in [(NOW.0 - 1, NOW.0), (NOW.0, NOW.0), (NOW.0 + 30, NOW.0 + 30)] {
        order.refunds.next_at = UnixSeconds(next_at);
        let change = reserve_on(&order, "R1", 1).unwrap();
        assert_eq!(new_refund(&change).slot_at.0, slot_at);
        assert_eq!(change.refunds.next_at.0, slot_at + SLOT_S);
        let refused = refund(RefundState::Refused("NO_AUTH".into()));
        let again = retry(&order, &refused, None, &context()).unwrap();
        assert_eq!(again.refunds.next_at.0, slot_at + SLOT_S);
    }
    let tally = RefundTally {
        next_at: UnixSeconds(NOW.0 + 600),
        ..RefundTally::NONE
    };
    assert_eq!(after_slot(&tally, NOW).0, NOW.0 + 600, "never earlier");
}

#[test]
fn a_request_for_a_refund_is_checked_field_by_field() {
    let read = |body: &str, key| {
        RefundRequest::read(
            body.as_bytes(),
            key,
            &ClientId::new("shop"),
            &OrderNo::parse("ORDER-1").unwrap(),
        )
    };
    let good = read(
        r#"{"refund_no":"R1","amount_fen":40,"reason":"broken"}"#,
        None,
    )
    .unwrap();
    assert_eq!(good.refund_no.as_str(), "R1");
    assert_eq!(
        read(r#"{"amount_fen":40}"#, None),
        Err(BadRequest::NoNumber { field: "refund_no" })
    );
    let by_key = |key| read(r#"{"amount_fen":40}"#, Some(key)).unwrap().refund_no;
    assert_eq!(by_key("k1"), by_key("k1"));
    assert_ne!(by_key("k1"), by_key("k2"));
    for (body, field) in [
        (r#"{"refund_no":"R1","amount_fen":0}"#, "amount_fen"),
        (r#"{"refund_no":"R 1","amount_fen":1}"#, "refund_no"),
        (r#"{"refund_no":"auto-1","amount_fen":1}"#, "refund_no"),
        (r#"{"refund_no":"R1","amount_fen":1,"reason":""}"#, "reason"),
        (
            r#"{"refund_no":"R1","amount_fen":1,"reason":"一二三四五六七八九十一二三四五六七八九十一二三四五六七"}"#,
            "reason",
        ),
        (
            r#"{"refund_no":"R1","amount_fen":1,"transaction_id":"a b"}"#,
            "transaction_id",
        ),
    ] {
        assert!(
            matches!(read(body, None), Err(BadRequest::Field { field: named, .. }) if named == field),
            "{body}"
        );
    }
    assert!(matches!(
        read(r#"{"refund_no":"R1","amount_fen":1.5}"#, None),
        Err(BadRequest::Json(_))
    ));
}

#[test]
fn a_refund_whose_record_was_lost_is_found_by_the_number_that_wechat_pay_has_of_it() {
    let lost = wanted("R1", 40);
    let order_no = paid().order_no;
    let brought_back = Refund {
        refund_no: RefundNo::parse("bill-1").unwrap(),
        out_refund_no: OutRefundNo::of(&order_no, &lost.refund_no),
        ..refund(RefundState::Processing)
    };
    let other = Refund {
        out_refund_no: OutRefundNo::parse("console@1").unwrap(),
        ..brought_back.clone()
    };
    let refunds = [other, brought_back];
    assert_eq!(taken_back(&order_no, &lost, &refunds), Some(&refunds[1]));
    assert_eq!(taken_back(&order_no, &wanted("R2", 40), &refunds), None);
}

#[test]
fn only_a_second_payment_goes_back_by_two_persons() {
    let of_parked = |transaction_id: &str| Refund {
        of: PaymentKind::Parked,
        transaction_id: TransactionId::parse(transaction_id).unwrap(),
        ..refund(RefundState::Reserved)
    };
    assert!(needs_two_persons(&paid(), &of_parked("420002")));
    assert!(
        !needs_two_persons(&paid(), &of_parked("420001")),
        "the booked payment"
    );
    let unpaid = order(OrderState::Closed);
    assert!(
        !needs_two_persons(&unpaid, &of_parked("420002")),
        "there is no first"
    );
    assert!(!needs_two_persons(&paid(), &refund(RefundState::Reserved)));
}
