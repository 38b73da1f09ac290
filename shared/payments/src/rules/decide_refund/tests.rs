use super::*;
use crate::{
    model::{
        ids::{RefundId, TransactionId},
        order::OrderState,
        parked::owed_notice_id,
        refund::ReceivedBy,
    },
    news::refund::{RefundNews, ReportedRefundStatus},
    rules::{
        change::RefundChange,
        reserve_refund::tests::{context, refund},
        settle_refund::tests::news,
        settle_trade::tests::{order, payment},
    },
};

fn li(why: &str) -> DecidedBy {
    DecidedBy {
        who: "Li".into(),
        why: why.into(),
    }
}

fn to(destination: Destination, at_s: i64) -> Redirection {
    Redirection {
        to: destination,
        decided: li("card gone"),
        at: UnixSeconds(at_s),
        sent_again_at: None,
    }
}

fn paid() -> Order {
    order(OrderState::Paid(payment("420001")))
}

fn moved(change: &OrderChange) -> Refund {
    let Some(RefundChange::Updated(_, to)) = &change.refund else {
        panic!("{:?}", change.refund)
    };
    (**to).clone()
}

fn redirected(destination: Destination) -> Refund {
    let abnormal = refund(RefundState::Abnormal);
    let at_s = context().at.0;
    let change = redirect(&paid(), &abnormal, to(destination, at_s), &context());
    moved(&change.unwrap())
}

fn arrived(refund: &Refund) -> Refund {
    let at = RefundState::Succeeded(UnixSeconds(9));
    moved(&transition(&paid(), refund, at, None, &context()))
}

#[test]
fn where_the_money_goes_is_in_the_journal_with_who_decided_and_why_and_checked_in_a_minute() {
    let abnormal = refund(RefundState::Abnormal);
    let wanted = to(Destination::Merchant, context().at.0);
    let change = redirect(&paid(), &abnormal, wanted.clone(), &context()).unwrap();
    let [event] = change.events.as_slice() else {
        panic!("{:?}", change.events)
    };
    assert_eq!(
        (event.from.as_deref(), event.to.as_str()),
        (Some("abnormal"), "abnormal")
    );
    let decision = event.decision.clone().unwrap();
    assert_eq!(
        (decision.what, decision.to),
        (RefundDecision::Redirect, Some(Destination::Merchant))
    );
    assert_eq!(
        (decision.who.as_str(), decision.why.as_str()),
        ("Li", "card gone")
    );
    let then = moved(&change);
    assert_eq!(then.redirected, Some(wanted));
    assert!(then.is_redirected() && !then.owes_its_payer());
    assert_eq!(then.due.unwrap().at.0, context().at.0 + 60);
    for state in [
        RefundState::Reserved,
        RefundState::Processing,
        RefundState::Succeeded(UnixSeconds(1)),
        RefundState::Closed,
        RefundState::Refused("X".into()),
    ] {
        let refund = refund(state);
        let wanted = to(Destination::Merchant, 1);
        assert_eq!(redirect(&paid(), &refund, wanted, &context()), None);
    }
}

#[test]
fn the_payer_is_owed_what_went_to_the_merchant_until_a_person_says_how_it_was_paid() {
    let sent = redirected(Destination::Merchant);
    let through = RefundState::Succeeded(UnixSeconds(9));
    let change = transition(&paid(), &sent, through.clone(), None, &context());
    for event in &change.events {
        let to = event.decision.as_ref().and_then(|decision| decision.to);
        assert_eq!(to, Some(Destination::Merchant), "{event:?}");
    }
    let to_card = redirected(Destination::User);
    let change = transition(&paid(), &to_card, through, None, &context());
    assert!(change.events.iter().all(|event| event.decision.is_none()));
    let owed = arrived(&sent);
    assert!(owed.owes_its_payer());
    assert!(owed.due.is_some(), "operators are notified again");
    let change = confirm_payer_paid(&paid(), &owed, li("by bank"), &context()).unwrap();
    let decision = change.events[0].decision.clone().unwrap();
    assert_eq!(
        (decision.what, decision.to),
        (RefundDecision::PayerPaid, None)
    );
    let paid_out = moved(&change);
    assert!(!paid_out.owes_its_payer());
    assert_eq!(
        (paid_out.due, &paid_out.payer_paid.unwrap().decided),
        (None, &li("by bank"))
    );

    let to_card = arrived(&redirected(Destination::User));
    let never_abnormal = arrived(&refund(RefundState::Processing));
    let on_its_way = redirected(Destination::Merchant);
    for other in [to_card, never_abnormal, on_its_way] {
        assert!(!other.owes_its_payer());
        let closed = confirm_payer_paid(&paid(), &other, li("by bank"), &context());
        assert_eq!(closed, None, "{:?}", other.state);
    }
}

#[test]
fn a_parked_payment_that_went_to_the_merchant_is_not_refunded_and_dealt_with_by_what_a_person_says()
{
    let parked = Refund {
        of: PaymentKind::Parked,
        transaction_id: TransactionId::parse("420002").unwrap(),
        ..redirected(Destination::Merchant)
    };
    let at = RefundState::Succeeded(UnixSeconds(9));
    let change = transition(&paid(), &parked, at, None, &context());
    let to = change.parked_payment.as_ref().unwrap().to;
    assert_eq!(to, ParkedState::WithMerchant);
    let owed = moved(&change);
    let change = confirm_payer_paid(&paid(), &owed, li("by bank"), &context()).unwrap();
    let parked = change.parked_payment.clone().unwrap();
    assert_eq!(
        (parked.from, parked.to),
        (ParkedState::WithMerchant, ParkedState::Released)
    );
    assert!(change.events.iter().all(|event| event.decision.is_some()));
    let again = confirm_payer_paid(&paid(), &moved(&change), li("in cash"), &context());
    let again = again.unwrap();
    assert_eq!(again.parked_payment, None, "that is over");
    assert_eq!(moved(&again).payer_paid.unwrap().decided, li("in cash"));
}

#[test]
fn a_parked_payment_whose_payer_has_the_money_is_refunded_whatever_a_person_says_then() {
    let parked = Refund {
        of: PaymentKind::Parked,
        transaction_id: TransactionId::parse("420002").unwrap(),
        ..redirected(Destination::Merchant)
    };
    let at = UnixSeconds(9);
    for (received_by, state) in [
        (Some(ReceivedBy::Payer), ParkedState::Refunded),
        (Some(ReceivedBy::Merchant), ParkedState::WithMerchant),
        (None, ParkedState::WithMerchant),
    ] {
        let news = RefundNews {
            received_by,
            ..news(ReportedRefundStatus::Succeeded(at))
        };
        let to = RefundState::Succeeded(at);
        let change = transition(&paid(), &parked, to, Some(&news), &context());
        assert_eq!(change.parked_payment.as_ref().unwrap().to, state);
        let is_refunded = state == ParkedState::Refunded;
        let mut events = change.events.iter();
        // A reader of `decision` alone would pay the payer twice.
        assert_eq!(is_refunded, events.all(|event| event.decision.is_none()));
        let through = moved(&change);
        let change = confirm_payer_paid(&paid(), &through, li("seen there"), &context());
        let change = change.unwrap();
        assert_eq!(is_refunded, change.parked_payment.is_none());
        assert!(moved(&change).payer_paid.is_some() && moved(&change).due.is_none());
    }
}

#[test]
fn what_wechat_pay_refuses_is_undone_unless_a_person_decided_since() {
    let sent = redirected(Destination::User);
    let wanted = sent.redirected.clone().unwrap();
    let taken_back = |refund: &Refund, wanted: &Redirection| {
        undo_redirect(&paid(), refund, wanted, "PARAM_ERROR", &context())
    };
    let then = moved(&taken_back(&sent, &wanted).unwrap());
    assert_eq!(
        (&then.redirected, then.trouble.as_deref()),
        (&None, Some("PARAM_ERROR"))
    );
    // It is a person's again, from now on.
    assert_eq!(then.trouble_since, None);
    let check = schedule::next_refund_check(&sent, &sent.state, context().at);
    assert_eq!(then.due, check);
    assert_ne!(then.due, sent.due);
    assert_eq!(taken_back(&sent, &to(Destination::Merchant, 0)), None);
    assert_eq!(taken_back(&then, &wanted), None);
    assert_eq!(taken_back(&arrived(&sent), &wanted), None);
}

#[test]
fn what_a_duplicate_or_a_repeat_sent_to_wechat_pay_as_well_is_undone_by_neither() {
    let sent = redirected(Destination::Merchant);
    let first = sent.redirected.clone().unwrap();
    // In the same second, and again: each differs from those before.
    let again = |before: &Redirection, after_s: i64| Redirection {
        sent_again_at: Some(before.next_sent_at(UnixSeconds(first.at.0 + after_s))),
        ..before.clone()
    };
    let (twin, repeat) = (again(&first, 0), again(&first, 50));
    let after_s = |of: &Redirection| of.sent_again_at.unwrap().0 - first.at.0;
    let third = again(&twin, 0);
    assert_eq!([&twin, &third, &repeat].map(after_s), [1, 2, 50]);
    let both = Refund {
        redirected: Some(twin.clone()),
        ..sent
    };
    for wanted in [&first, &third] {
        let taken_back = undo_redirect(&paid(), &both, wanted, "PARAM_ERROR", &context());
        assert_eq!(taken_back, None);
    }
    let repeated = Refund {
        redirected: Some(repeat),
        ..both
    };
    let other = |after_s| to(Destination::User, first.at.0 + after_s);
    assert!(
        is_being_redirected(&repeated, &other(50 + UNDER_WAY_S - 1)),
        "the repeat's call may be under way"
    );
    assert!(!is_being_redirected(&repeated, &other(50 + UNDER_WAY_S)));
}

#[test]
fn if_two_persons_redirect_a_refund_at_once_the_second_waits_for_the_first_call() {
    let sent = redirected(Destination::Merchant);
    let began_s = sent.redirected.as_ref().unwrap().at.0;
    let other = |after_s| to(Destination::User, began_s + after_s);
    assert!(is_being_redirected(&sent, &other(0)));
    assert!(is_being_redirected(&sent, &other(UNDER_WAY_S - 1)));
    assert!(!is_being_redirected(&sent, &other(UNDER_WAY_S)));
    let same = to(Destination::Merchant, began_s + 1);
    assert!(
        !is_being_redirected(&sent, &same),
        "a repeat is the same decision"
    );
    let to_a_card = redirected(Destination::User);
    assert!(
        is_being_redirected(&to_a_card, &to(Destination::User, began_s + 1)),
        "the repeat may name another card"
    );
    let back = Refund {
        trouble: Some(crate::model::refund::ABNORMAL_AGAIN.into()),
        ..sent
    };
    assert!(!is_being_redirected(&back, &other(1)));
}

#[test]
fn a_decision_passes_through_one_text_whatever_people_write() {
    for why in ["plain", "he said \"no\"\n{}<$.a>", "退款给商户", ""] {
        let decision = OperatorDecision {
            to: Some(Destination::Merchant),
            ..OperatorDecision::of(RefundDecision::Redirect, &li(why))
        };
        let text = decision.to_text();
        assert!(
            text.chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "+/=".contains(letter))
        );
        assert_eq!(OperatorDecision::of_text(&text), Some(decision));
    }
    for unread in ["", "e30=", "?", "W10="] {
        assert_eq!(OperatorDecision::of_text(unread), None, "{unread}");
    }
}

#[test]
fn the_ledger_has_what_is_owed_under_wechat_pays_number() {
    let mut owed = arrived(&redirected(Destination::Merchant));
    assert_eq!(owed_notice_id(&owed), None);
    owed.refund_id = Some(RefundId::parse("500001").unwrap());
    assert_eq!(owed_notice_id(&owed).as_deref(), Some("owed#500001"));
}

#[test]
fn a_redirected_refund_is_in_trouble_from_then_on_and_overdue_no_more() {
    let overdue = Refund {
        trouble_since: Some(UnixSeconds(1)),
        overdue_since: Some(UnixSeconds(2)),
        ..refund(RefundState::Abnormal)
    };
    let wanted = to(Destination::Merchant, context().at.0);
    let then = moved(&redirect(&paid(), &overdue, wanted, &context()).unwrap());
    assert_eq!(then.trouble_since, Some(context().at));
    assert_eq!(then.overdue_since, None);
}

#[test]
fn a_refused_refund_that_is_sent_again_gets_a_slot_of_its_own() {
    let refused = refund(RefundState::Refused("NOT_ENOUGH".to_owned()));
    let mut order = paid();
    for (next_at, slot_at) in [
        (UnixSeconds(0), context().at),
        (context().at.plus_s(30), context().at.plus_s(30)),
    ] {
        order.refunds.next_at = next_at;
        let change = retry(&order, &refused, None, &context()).unwrap();
        let again = moved(&change);
        assert_eq!(again.slot_at, slot_at);
        assert_eq!(
            again.due,
            Some(schedule::refund_check_at(&order.order_no, slot_at))
        );
        assert_eq!(change.events[0].next_try_at, Some(slot_at));
        assert!(change.refunds.next_at > slot_at);
    }
}
