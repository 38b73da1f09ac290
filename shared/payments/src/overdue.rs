//! Refunds that WeChat Pay does not finish: it answers `PROCESSING` for too long, or refuses the
//! query. After a while such a refund is *overdue*, and an operator must act. It is queried as
//! before, and stops being overdue once its result arrives.

use wechatpay::UnixSeconds;

use crate::{
    due::NextCheck,
    journal::ChangeContext,
    order::Order,
    refund::{self, REDIRECTED, Refund, RefundState},
    settle::OrderChange,
};

/// How long WeChat Pay may say `PROCESSING`, in seconds: 10 days. A wallet has its money within 5
/// minutes and a bank card within 3 working days (shared/wechatpay/PROTOCOL.md, 6.2), and a week of
/// holidays may lie between; after 7 days without funds WeChat Pay closes a refund by itself
/// (shared/wechatpay/PROTOCOL.md, 6.3).
pub const PROCESSING_MAX_S: i64 = 10 * 24 * 3600;

/// How long WeChat Pay may refuse the query, in seconds: an hour. A single such answer may come
/// from a proxy.
pub const UNTOLD_MAX_S: i64 = 3600;

/// How long it may be unknown whether WeChat Pay accepted a refund, in seconds: a day.
pub const UNANSWERED_MAX_S: i64 = 24 * 3600;

/// How often an overdue refund is logged, in seconds: every six hours, like other refunds that wait
/// for an operator.
const TOLD_EVERY_S: i64 = 6 * 3600;
/// It is checked once an hour.
const LOOKED_AT_EVERY_S: i64 = 3600;

/// [`Refund::trouble`] of a refund that is processing for too long.
pub const PROCESSING: &str = "PROCESSING";
/// [`Refund::trouble`] of a refund without any answer.
pub const UNANSWERED: &str = "UNANSWERED";

/// Query result for a refund that is still unfinished.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PendingAnswer {
    /// It is in progress.
    Processing,
    /// WeChat Pay refuses the query with this code, and repeating it does not help.
    Refused(String),
    /// No trusted answer, or a temporary error.
    Unanswered,
}

/// What to do about an unfinished refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OverdueStep {
    /// Nothing: it is due again.
    KeepWaiting,
    /// Record the cause and since when. No operator is needed yet.
    NoteTrouble(Trouble),
    /// Clear the recorded cause: WeChat Pay answers again.
    ForgetTrouble,
    /// It is overdue from now on.
    MarkOverdue(Trouble),
    /// It is overdue no longer.
    ClearOverdue,
    /// An operator is still needed and must be notified again.
    RemindOperator,
}

/// Why a refund is unfinished.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// WeChat Pay's code, or one of this file's.
    pub code: String,
    /// Since when, by our clock; for a refund in `PROCESSING`, by WeChat Pay's.
    pub since: UnixSeconds,
}

/// Decides about the result of a query at `now`. `refund` was read before the query.
pub fn check_overdue(refund: &Refund, no_end: &PendingAnswer, now: UnixSeconds) -> OverdueStep {
    match &refund.state {
        // It is queried again soon, and logged then.
        RefundState::Refused(_) | RefundState::Abnormal if *no_end == PendingAnswer::Unanswered => {
            return OverdueStep::KeepWaiting;
        }
        // An operator is asked about these anyway.
        RefundState::Refused(_) => return OverdueStep::RemindOperator,
        RefundState::Abnormal if *no_end != PendingAnswer::Processing => {
            return OverdueStep::RemindOperator;
        }
        RefundState::Succeeded(_) | RefundState::Closed => return OverdueStep::KeepWaiting,
        RefundState::Reserved | RefundState::Processing | RefundState::Abnormal => {}
    }
    let is_redirected = refund.state == RefundState::Abnormal;
    let noted_since = refund.trouble_since.unwrap_or(now);
    let accepted_at = refund.accepted_at.unwrap_or(refund.slot_at);
    let (code, since, most_s) = match no_end {
        PendingAnswer::Processing if is_redirected => (REDIRECTED, noted_since, PROCESSING_MAX_S),
        PendingAnswer::Processing => (PROCESSING, accepted_at, PROCESSING_MAX_S),
        PendingAnswer::Refused(code) => (code.as_str(), noted_since, UNTOLD_MAX_S),
        PendingAnswer::Unanswered if refund.state == RefundState::Reserved => {
            (UNANSWERED, refund.slot_at, UNANSWERED_MAX_S)
        }
        PendingAnswer::Unanswered => (UNANSWERED, accepted_at, PROCESSING_MAX_S),
    };
    let is_late = now.0.saturating_sub(since.0) >= most_s;
    let is_noted = refund.trouble.as_deref() == Some(code) && refund.trouble_since.is_some();
    let trouble = Trouble {
        code: code.to_owned(),
        since,
    };
    match (refund.overdue_since, is_late, no_end) {
        (None, true, _) => OverdueStep::MarkOverdue(trouble),
        (Some(_), false, PendingAnswer::Processing) => OverdueStep::ClearOverdue,
        // Overdue for a new reason: operators must see the present one.
        (Some(_), _, no_end) if is_another_trouble(refund, no_end, code) => {
            OverdueStep::MarkOverdue(trouble)
        }
        // It is queried again soon, and logged once there is an answer.
        (Some(_), _, PendingAnswer::Unanswered) => OverdueStep::KeepWaiting,
        (Some(overdue_since), _, _) => {
            let overdue_s = now.0.saturating_sub(overdue_since.0);
            if overdue_s % TOLD_EVERY_S < LOOKED_AT_EVERY_S {
                OverdueStep::RemindOperator
            } else {
                OverdueStep::KeepWaiting
            }
        }
        (None, false, PendingAnswer::Refused(_)) if !is_noted => OverdueStep::NoteTrouble(trouble),
        (None, false, PendingAnswer::Processing) if is_redirected && !is_noted => {
            OverdueStep::NoteTrouble(trouble)
        }
        (None, false, PendingAnswer::Processing) if !is_redirected && refund.trouble.is_some() => {
            OverdueStep::ForgetTrouble
        }
        (None, false, _) => OverdueStep::KeepWaiting,
    }
}

/// Whether the cause of an overdue refund has changed. A refused query does not replace a known
/// cause; otherwise the cause could flip every hour.
fn is_another_trouble(refund: &Refund, no_end: &PendingAnswer, code: &str) -> bool {
    let noted = refund.trouble.as_deref().unwrap_or_default();
    let was_told = [PROCESSING, REDIRECTED].contains(&noted);
    match no_end {
        PendingAnswer::Processing => noted != code,
        PendingAnswer::Refused(_) => noted != code && !was_told,
        PendingAnswer::Unanswered => false,
    }
}

/// Marks a refund as overdue with this cause, or as no longer overdue. A refund that is overdue
/// already keeps its start time. The state does not change, so the event has the same one before
/// and after.
pub fn mark_overdue(
    order: &Order,
    refund: &Refund,
    overdue: Option<&Trouble>,
    context: &ChangeContext,
) -> OrderChange {
    let marked = Refund {
        trouble: overdue.map(|trouble| trouble.code.clone()),
        trouble_since: overdue.map(|trouble| trouble.since),
        overdue_since: overdue.map(|_| refund.overdue_since.unwrap_or(context.at)),
        ..refund.clone()
    };
    refund::update_in_state(order, refund, marked, context)
}

/// Pauses a refund that WeChat Pay does not have, with this cause (WeChat Pay's code), until there
/// are funds. The state does not change, and the event has the time of the next attempt.
pub fn pause(
    order: &Order,
    refund: &Refund,
    trouble: &str,
    next: NextCheck,
    context: &ChangeContext,
) -> OrderChange {
    let rests = Refund {
        trouble: Some(trouble.to_owned()),
        trouble_since: None,
        due: Some(next),
        ..refund.clone()
    };
    let next_try_at = rests.next_try_at(None);
    let mut change = refund::update_in_state(order, refund, rests, context);
    if let Some(event) = change.events.last_mut() {
        event.next_try_at = next_try_at;
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        order::OrderState,
        refund::{
            RefundChange,
            tests::{context, refund},
        },
        settle::tests::{order, payment},
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
        let waiting = refund(RefundState::Reserved);
        let order = order(OrderState::Paid(payment("420001")));
        let next = crate::due::refund_check_at(&waiting.order_no, waiting.slot_at.0 + 600);
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
            (rests.trouble.as_deref(), rests.due),
            (Some("NOT_ENOUGH"), Some(next))
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
    fn a_refund_that_says_processing_for_ten_days_is_overdue_and_told_of_every_six_hours() {
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
        let told: Vec<i64> = (1..=13)
            .filter(|hour| {
                asked(&overdue, PROCESSING_MAX_S + hour * HOUR_S) == OverdueStep::RemindOperator
            })
            .collect();
        assert_eq!(told, [6, 12]);
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
            assert_eq!(after(UNTOLD_MAX_S - 1), OverdueStep::KeepWaiting);
            let OverdueStep::MarkOverdue(trouble) = after(UNTOLD_MAX_S) else {
                panic!()
            };
            assert_eq!(trouble.since, at(&refund, DAY_S));
            // Another code meanwhile does not restart the time.
            let other = PendingAnswer::Refused("NO_AUTH".into());
            let other = check_overdue(&waiting, &other, at(&refund, DAY_S + UNTOLD_MAX_S));
            assert!(matches!(other, OverdueStep::MarkOverdue(_)), "{other:?}");
        }
    }

    #[test]
    fn an_answer_in_between_begins_anew_and_one_afterwards_clears_the_mark() {
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
        for (noted, no_end, becomes) in [
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
            let wait = check_overdue(&overdue, &no_end, late);
            let OverdueStep::MarkOverdue(trouble) = &wait else {
                assert_eq!(becomes, None, "{noted}, then {no_end:?}: {wait:?}");
                continue;
            };
            assert_eq!(
                becomes,
                Some(trouble.code.as_str()),
                "{noted}, then {no_end:?}"
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
    fn a_refund_of_which_nothing_is_heard_is_overdue_after_a_day_or_when_it_should_be_done() {
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
    fn what_waits_for_a_person_is_told_of_when_wechat_pay_refuses_to_tell() {
        let no_auth = PendingAnswer::Refused("NO_AUTH".into());
        for state in [RefundState::Abnormal, RefundState::Refused("X".into())] {
            let refund = refund(state);
            let asked = |no_end| check_overdue(&refund, no_end, at(&refund, 60));
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
            let change = crate::refund::transition(&order, &overdue, state, None, &context());
            let Some(RefundChange::Updated(_, to)) = change.refund else {
                panic!()
            };
            assert_eq!(
                (&to.trouble, to.trouble_since, to.overdue_since),
                (&None, None, None)
            );
        }
    }
}
