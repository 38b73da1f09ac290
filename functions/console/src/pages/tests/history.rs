//! What happened to a difference and to its order.

use payments::{
    model::{
        ids::{OrderNo, RefundNo, TransactionId},
        journal::{Cause, Event, Subject},
    },
    reconcile::difference::{Decision, Difference, DifferenceKind, RefundStage, TrackedRefund},
};
use wechatpay::UnixSeconds;

use super::{EVIL, NOW, found, li, one};

#[test]
fn events_of_the_order_are_shown_between_steps_of_the_difference() {
    let at = |seconds| UnixSeconds(NOW.0 + seconds);
    let event = |version, to: &str, seconds| Event {
        version,
        subject: Subject::Order,
        from: None,
        to: to.to_owned(),
        cause: Cause::Request("r-1".to_owned()),
        at: at(seconds),
        millisecond: None,
        delivery: None,
        trace: String::new(),
        is_sampled: true,
        request_id: None,
        refusal: None,
        next_try_at: None,
        decision: None,
    };
    let explained = found(DifferenceKind::AmountDiffers)
        .decided(Decision::Explain, "li", "a discount", at(60))
        .unwrap();
    let journal = vec![event(1, "reserved", -60), event(2, "closed", 30)];
    let page = one(&li(), &explained, Some(journal));
    let positions: Vec<usize> = ["Order: reserved", "Found", "Order: closed", "a discount"]
        .map(|text| page.find(text).unwrap_or_else(|| panic!("{text}")))
        .into();
    assert!(positions.is_sorted(), "{positions:?}");
    assert!(
        OrderNo::parse(EVIL).is_err(),
        "no such order can be asked for"
    );
}

/// An event of a second.
fn event(version: u64, subject: Subject, to: &str, cause: Cause) -> Event {
    Event {
        version,
        subject,
        from: None,
        to: to.to_owned(),
        cause,
        at: NOW,
        millisecond: None,
        delivery: None,
        trace: String::new(),
        is_sampled: true,
        request_id: None,
        refusal: None,
        next_try_at: None,
        decision: None,
    }
}

fn ours() -> Cause {
    Cause::Reconciliation("run-1".to_owned())
}

/// The refund of a second payment as a run sees it.
fn tracked(stage: RefundStage, to_merchant: bool) -> TrackedRefund {
    TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").unwrap(),
        stage,
        to_merchant,
        payer_has_it: false,
    }
}

/// Fails unless a difference's page has these in this order, whatever else it has.
fn happened_in_order<const N: usize>(
    difference: &Difference,
    journal: Vec<Event>,
    texts: [&str; N],
) {
    let page = one(&li(), difference, Some(journal));
    let (_, mut rest) = page.split_once("What happened").unwrap();
    for text in texts {
        let found = rest.split_once(text);
        (_, rest) = found.unwrap_or_else(|| panic!("{text} is not in its place: {page}"));
    }
}

#[test]
fn in_one_second_a_refund_stands_behind_its_approval_and_before_the_step_that_reports_it() {
    let moving = tracked(RefundStage::Moving, false);
    let second = TransactionId::parse("4200001").unwrap();
    let refund = Subject::Refund(moving.refund_no.clone());
    let journal = vec![
        event(1, Subject::Order, "paid", Cause::Notice("n-1".to_owned())),
        event(2, Subject::Payment(second), "parked", ours()),
        event(3, refund, "reserved", ours()),
    ];
    let twice = found(DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
    let once = twice.decided(Decision::Approve, "li", "yes", NOW).unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    let moving = approved.with_refund(&moving, "run-2", NOW).unwrap();
    happened_in_order(
        &moving,
        journal,
        [
            "Order: paid",
            "Found",
            "Payment 4200001: parked",
            "Refund proposed",
            "Approved, 1 of 2",
            "Approved, 2 of 2",
            "Refund second-4200001: reserved",
            "Refund on its way",
        ],
    );
}

#[test]
fn in_one_second_a_redirect_stands_behind_its_approval_and_a_paid_payer_before_the_step_that_reports_it()
 {
    let refund = || Subject::Refund(RefundNo::parse("second-4200001").unwrap());
    let later = UnixSeconds(NOW.0 + 1);
    let mut journal = vec![
        event(1, refund(), "abnormal", Cause::Notice("n-1".to_owned())),
        event(2, refund(), "abnormal, redirected", ours()),
        event(3, refund(), "succeeded", Cause::Notice("n-2".to_owned())),
        event(4, refund(), "succeeded, payer paid", ours()),
    ];
    journal[2..].iter_mut().for_each(|event| event.at = later);
    let open = found(DifferenceKind::DuplicatePayment)
        .with_refund(&tracked(RefundStage::Moving, false), "run-2", NOW)
        .unwrap()
        .with_refund(&tracked(RefundStage::Abnormal, false), "run-2", NOW)
        .unwrap();
    let proposed = open.decided(Decision::Redirect, "li", "so", NOW).unwrap();
    let redirected = proposed.decided(Decision::Approve, "wang", "so", NOW);
    let owed = redirected
        .unwrap()
        .with_refund(&tracked(RefundStage::Moving, true), "run-2", NOW)
        .unwrap()
        .with_refund(&tracked(RefundStage::Succeeded, true), "run-2", later)
        .unwrap();
    let said = owed.decided(Decision::PayerPaid, "zhao", "so", later);
    let paid = said.unwrap().payer_paid("run-2", later);
    happened_in_order(
        &paid,
        journal,
        [
            "Open again",
            "Redirecting proposed",
            "Approved, 2 of 2",
            "abnormal, redirected",
            "Payer said to be paid",
            "succeeded, payer paid",
            "Explained",
        ],
    );
}

#[test]
fn a_history_shows_a_rejection_and_what_one_person_had_done() {
    let happened = |one_: &Difference| {
        let page = one(&li(), one_, None);
        let (_, happened) = page.split_once("What happened").unwrap();
        happened.to_owned()
    };
    let large = Difference {
        there: None,
        ..found(DifferenceKind::DuplicatePayment)
    };
    let explained = large.decided(Decision::Explain, "li", "so it is", NOW);
    let rejected = explained
        .unwrap()
        .decided(Decision::Reject, "wang", "no", NOW);
    let page = happened(&rejected.unwrap());
    assert!(page.contains("<strong>Rejected</strong>"), "{page}");
    assert!(!page.contains("Open again"), "{page}");

    let proposed = found(DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
    let once = proposed
        .decided(Decision::Approve, "li", "yes", NOW)
        .unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    let refused = TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").unwrap(),
        stage: RefundStage::Refused,
        to_merchant: false,
        payer_has_it: false,
    };
    let refused = approved.with_refund(&refused, "run-2", NOW).unwrap();
    let again = refused.decided(Decision::Retry, "zhao", "mended", NOW);
    let page = happened(&again.unwrap());
    assert!(
        page.contains("<strong>Refund tried again</strong>"),
        "{page}"
    );
    assert!(page.contains("<strong>Open again</strong>"), "by the run");
}
