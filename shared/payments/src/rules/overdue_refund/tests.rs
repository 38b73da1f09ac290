use super::*;
use crate::{
    model::order::OrderState,
    rules::{
        change::RefundChange,
        reserve_refund::tests::{context, refund},
        settle_trade::tests::{order, payment},
    },
};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

fn at(refund: &Refund, age_s: i64) -> UnixSeconds {
    UnixSeconds(refund.slot_at.0 + age_s)
}

fn noted(refund: &Refund, wait: &OverdueStep) -> Refund {
    let OverdueStep::NoteTrouble(trouble) = wait else {
        panic!("{wait:?}")
    };
    Refund {
        trouble: Some(trouble.code.clone()),
        trouble_since: Some(trouble.since),
        ..refund.clone()
    }
}

fn marked(refund: &Refund, overdue: Option<&Trouble>) -> Refund {
    let order = order(OrderState::Paid(payment("420001")));
    let change = mark_overdue(&order, refund, overdue, &context());
    assert_eq!(change.to, order.state);
    let events: Vec<_> = change.events.iter().map(|event| &event.to).collect();
    assert_eq!(events, [refund.state.name()]);
    let Some(RefundChange::Updated(from, to)) = change.refund else {
        panic!("{:?}", change.refund)
    };
    assert_eq!(*from, *refund);
    *to
}

#[test]
fn a_refund_that_rests_for_want_of_funds_says_in_an_event_when_it_is_tried_next() {
    let waiting = Refund {
        trouble_since: Some(UnixSeconds(1)),
        ..refund(RefundState::Reserved)
    };
    let order = order(OrderState::Paid(payment("420001")));
    let next =
        crate::rules::schedule::refund_check_at(&waiting.order_no, waiting.slot_at.plus_s(600));
    let change = pause(&order, &waiting, "NOT_ENOUGH", next, &context());
    let [event] = &change.events[..] else {
        panic!("{:?}", change.events)
    };
    assert_eq!(
        (event.from.as_deref(), event.to.as_str()),
        (Some("reserved"), "reserved")
    );
    assert_eq!(event.next_try_at, Some(next.at));
    let Some(RefundChange::Updated(_, rests)) = &change.refund else {
        panic!("{:?}", change.refund)
    };
    assert_eq!(
        (rests.trouble.as_deref(), rests.trouble_since, rests.due),
        (Some("NOT_ENOUGH"), None, Some(next))
    );
    assert_eq!(rests.next_try_at(None), Some(next.at));
    let longer = UnixSeconds(next.at.0 + 60);
    assert_eq!(
        rests.next_try_at(Some(longer)),
        Some(longer),
        "the merchant's refunds rest"
    );
    for over in [RefundState::Processing, RefundState::Refused("X".into())] {
        let rests = Refund {
            state: over,
            ..*rests.clone()
        };
        assert_eq!(rests.next_try_at(None), None, "{:?}", rests.state);
    }
}

#[test]
fn a_refund_that_says_processing_for_ten_days_is_overdue_and_logged_every_six_hours() {
    let refund = refund(RefundState::Processing);
    let asked = |refund: &Refund, age_s| {
        check_overdue(refund, &PendingAnswer::Processing, at(refund, age_s))
    };
    for age_s in [60, DAY_S, PROCESSING_MAX_S - 1] {
        assert_eq!(asked(&refund, age_s), OverdueStep::KeepWaiting);
    }
    let OverdueStep::MarkOverdue(trouble) = asked(&refund, PROCESSING_MAX_S) else {
        panic!()
    };
    assert_eq!(
        (trouble.code.as_str(), trouble.since),
        (PROCESSING, refund.slot_at)
    );
    let mut overdue = marked(&refund, Some(&trouble));
    overdue.overdue_since = Some(at(&refund, PROCESSING_MAX_S));
    let reported_at: Vec<i64> = (1..=13)
        .filter(|hour| {
            asked(&overdue, PROCESSING_MAX_S + hour * HOUR_S) == OverdueStep::RemindOperator
        })
        .collect();
    assert_eq!(reported_at, [6, 12]);
    // By WeChat Pay's clock, once it has reported the time of acceptance.
    let later = Refund {
        accepted_at: Some(at(&refund, DAY_S)),
        ..refund.clone()
    };
    assert_eq!(asked(&later, PROCESSING_MAX_S), OverdueStep::KeepWaiting);
}

#[test]
fn a_refund_whose_query_is_refused_for_an_hour_is_overdue() {
    let refused = PendingAnswer::Refused("A_NEW_ONE".into());
    for state in [RefundState::Reserved, RefundState::Processing] {
        let refund = refund(state.clone());
        let first = check_overdue(&refund, &refused, at(&refund, DAY_S));
        let waiting = noted(&refund, &first);
        assert_eq!(waiting.trouble.as_deref(), Some("A_NEW_ONE"));
        let after = |s| check_overdue(&waiting, &refused, at(&refund, DAY_S + s));
        assert_eq!(after(QUERY_REFUSED_MAX_S - 1), OverdueStep::KeepWaiting);
        let OverdueStep::MarkOverdue(trouble) = after(QUERY_REFUSED_MAX_S) else {
            panic!()
        };
        assert_eq!(trouble.since, at(&refund, DAY_S));
        // Another code meanwhile does not restart the time.
        let other = PendingAnswer::Refused("NO_AUTH".into());
        let other = check_overdue(&waiting, &other, at(&refund, DAY_S + QUERY_REFUSED_MAX_S));
        assert!(matches!(other, OverdueStep::MarkOverdue(_)), "{other:?}");
    }
}

#[test]
fn an_answer_in_between_begins_again_and_one_afterwards_clears_the_mark() {
    let refund = refund(RefundState::Processing);
    let no_auth = PendingAnswer::Refused("NO_AUTH".into());
    let waiting = noted(
        &refund,
        &check_overdue(&refund, &no_auth, at(&refund, DAY_S)),
    );
    let now = at(&refund, DAY_S + HOUR_S);
    assert_eq!(
        check_overdue(&waiting, &PendingAnswer::Processing, now),
        OverdueStep::ForgetTrouble
    );
    assert_eq!(
        check_overdue(&waiting, &PendingAnswer::Unanswered, now),
        OverdueStep::KeepWaiting
    );
    let OverdueStep::MarkOverdue(trouble) = check_overdue(&waiting, &no_auth, now) else {
        panic!()
    };
    let overdue = marked(&waiting, Some(&trouble));
    assert_eq!(
        check_overdue(&overdue, &PendingAnswer::Processing, now),
        OverdueStep::ClearOverdue
    );
    let cleared = marked(&overdue, None);
    assert_eq!(cleared, refund);
}

#[test]
fn an_overdue_refund_names_what_wechat_pay_says_of_it_by_now() {
    let refund = refund(RefundState::Processing);
    let late = at(&refund, PROCESSING_MAX_S + HOUR_S);
    let refused = |code: &str| PendingAnswer::Refused(code.to_owned());
    let overdue_by = |code: &str| Refund {
        trouble: Some(code.into()),
        trouble_since: Some(refund.slot_at),
        overdue_since: Some(at(&refund, DAY_S)),
        ..refund.clone()
    };
    for (noted, answer, becomes) in [
        ("NO_AUTH", PendingAnswer::Processing, Some(PROCESSING)),
        (UNANSWERED, PendingAnswer::Processing, Some(PROCESSING)),
        ("NO_AUTH", refused("SIGN_ERROR"), Some("SIGN_ERROR")),
        (UNANSWERED, refused("NO_AUTH"), Some("NO_AUTH")),
        ("NO_AUTH", refused("NO_AUTH"), None),
        (PROCESSING, PendingAnswer::Processing, None),
        (PROCESSING, refused("NO_AUTH"), None),
        ("NO_AUTH", PendingAnswer::Unanswered, None),
    ] {
        let overdue = overdue_by(noted);
        let wait = check_overdue(&overdue, &answer, late);
        let OverdueStep::MarkOverdue(trouble) = &wait else {
            assert_eq!(becomes, None, "{noted}, then {answer:?}: {wait:?}");
            continue;
        };
        assert_eq!(
            becomes,
            Some(trouble.code.as_str()),
            "{noted}, then {answer:?}"
        );
        let marked = marked(&overdue, Some(trouble));
        assert_eq!(marked.trouble.as_deref(), becomes);
        assert_eq!(
            marked.overdue_since, overdue.overdue_since,
            "since when it was"
        );
    }
}

#[test]
fn a_refund_without_an_answer_is_overdue_after_a_day_or_when_it_should_be_done() {
    let asked = |state, age_s| {
        let refund = refund(state);
        check_overdue(&refund, &PendingAnswer::Unanswered, at(&refund, age_s))
    };
    let is_overdue = |wait| matches!(wait, OverdueStep::MarkOverdue(_));
    assert_eq!(
        asked(RefundState::Reserved, DAY_S - 1),
        OverdueStep::KeepWaiting
    );
    assert!(is_overdue(asked(RefundState::Reserved, DAY_S)));
    assert_eq!(
        asked(RefundState::Processing, 9 * DAY_S),
        OverdueStep::KeepWaiting
    );
    assert!(is_overdue(asked(RefundState::Processing, PROCESSING_MAX_S)));
}

#[test]
fn a_refund_that_waits_for_a_person_is_logged_when_wechat_pay_refuses_the_query() {
    let no_auth = PendingAnswer::Refused("NO_AUTH".into());
    for state in [RefundState::Abnormal, RefundState::Refused("X".into())] {
        let refund = refund(state);
        let asked = |answer| check_overdue(&refund, answer, at(&refund, 60));
        assert_eq!(asked(&no_auth), OverdueStep::RemindOperator);
        assert_eq!(
            asked(&PendingAnswer::Unanswered),
            OverdueStep::KeepWaiting,
            "asked again soon"
        );
    }
    // After a redirect WeChat Pay has as much time as for any other refund.
    let refund = refund(RefundState::Abnormal);
    let redirected_at = at(&refund, 20 * DAY_S);
    let asked = |refund: &Refund, age_s| {
        let now = UnixSeconds(redirected_at.0 + age_s);
        check_overdue(refund, &PendingAnswer::Processing, now)
    };
    let waiting = noted(&refund, &asked(&refund, 0));
    assert_eq!(
        asked(&waiting, PROCESSING_MAX_S - 1),
        OverdueStep::KeepWaiting
    );
    assert!(matches!(
        asked(&waiting, PROCESSING_MAX_S),
        OverdueStep::MarkOverdue(_)
    ));
}

#[test]
fn news_that_moves_the_refund_takes_the_mark_off() {
    let overdue = Refund {
        trouble: Some(PROCESSING.into()),
        trouble_since: Some(UnixSeconds(1)),
        overdue_since: Some(UnixSeconds(2)),
        ..refund(RefundState::Processing)
    };
    for state in [
        RefundState::Succeeded(UnixSeconds(3)),
        RefundState::Closed,
        RefundState::Abnormal,
    ] {
        let order = order(OrderState::Paid(payment("420001")));
        let change =
            crate::rules::transition::transition(&order, &overdue, state, None, &context());
        let Some(RefundChange::Updated(_, to)) = change.refund else {
            panic!()
        };
        assert_eq!(
            (&to.trouble, to.trouble_since, to.overdue_since),
            (&None, None, None)
        );
    }
}

#[test]
fn a_trouble_is_noted_again_if_it_is_another_or_has_no_beginning() {
    let refused = PendingAnswer::Refused("RESOURCE_NOT_EXISTS".to_owned());
    let now = at(&refund(RefundState::Processing), HOUR_S);
    let step = |trouble: Option<&str>, trouble_since| {
        let known = Refund {
            trouble: trouble.map(str::to_owned),
            trouble_since,
            ..refund(RefundState::Processing)
        };
        check_overdue(&known, &refused, now)
    };
    let same = Some("RESOURCE_NOT_EXISTS");
    for (trouble, since) in [(None, None), (same, None), (Some("OTHER"), Some(now))] {
        let noted = step(trouble, since);
        assert!(
            matches!(noted, OverdueStep::NoteTrouble(_)),
            "{trouble:?} {since:?} {noted:?}"
        );
    }
    assert_eq!(step(same, Some(now)), OverdueStep::KeepWaiting);
}
