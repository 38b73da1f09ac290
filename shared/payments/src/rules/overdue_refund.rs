//! Refunds that WeChat Pay does not finish: it answers `PROCESSING` for too long, or refuses the
//! query. After a while such a refund is *overdue*, and an operator must act. It is queried as
//! before, and stops being overdue once its result arrives.

use wechatpay::UnixSeconds;

use crate::{
    model::{
        journal::ChangeContext,
        next_check::NextCheck,
        order::Order,
        refund::{REDIRECTED, Refund, RefundState},
    },
    rules::{change::OrderChange, transition},
};

/// How long WeChat Pay may say `PROCESSING`, in seconds: 10 days. A wallet has its money within 5
/// minutes and a bank card within 3 working days (shared/wechatpay/PROTOCOL.md, 6.2), and a week of
/// holidays may lie between; after 7 days without funds WeChat Pay closes a refund by itself
/// (shared/wechatpay/PROTOCOL.md, 6.3).
pub const PROCESSING_MAX_S: i64 = 10 * 24 * 3600;

/// How long WeChat Pay may refuse the query, in seconds: an hour. A single such answer may come
/// from a proxy.
pub const QUERY_REFUSED_MAX_S: i64 = 3600;

/// How long it may be unknown whether WeChat Pay accepted a refund, in seconds: a day.
pub const UNANSWERED_MAX_S: i64 = 24 * 3600;

/// How often an overdue refund is logged, in seconds: every six hours, like other refunds that wait
/// for an operator.
const LOGGED_EVERY_S: i64 = 6 * 3600;

/// It is checked once an hour.
const CHECKED_EVERY_S: i64 = 3600;

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
pub fn check_overdue(refund: &Refund, answer: &PendingAnswer, now: UnixSeconds) -> OverdueStep {
    match &refund.state {
        // It is queried again soon, and logged then.
        RefundState::Refused(_) | RefundState::Abnormal if *answer == PendingAnswer::Unanswered => {
            return OverdueStep::KeepWaiting;
        }
        // An operator is asked about these anyway.
        RefundState::Refused(_) => return OverdueStep::RemindOperator,
        RefundState::Abnormal if *answer != PendingAnswer::Processing => {
            return OverdueStep::RemindOperator;
        }
        RefundState::Succeeded(_) | RefundState::Closed => return OverdueStep::KeepWaiting,
        RefundState::Reserved | RefundState::Processing | RefundState::Abnormal => {}
    }
    let is_redirected = refund.state == RefundState::Abnormal;
    let noted_since = refund.trouble_since.unwrap_or(now);
    let accepted_at = refund.accepted_at.unwrap_or(refund.slot_at);
    let (code, since, most_s) = match answer {
        PendingAnswer::Processing if is_redirected => (REDIRECTED, noted_since, PROCESSING_MAX_S),
        PendingAnswer::Processing => (PROCESSING, accepted_at, PROCESSING_MAX_S),
        PendingAnswer::Refused(code) => (code.as_str(), noted_since, QUERY_REFUSED_MAX_S),
        PendingAnswer::Unanswered if refund.state == RefundState::Reserved => {
            (UNANSWERED, refund.slot_at, UNANSWERED_MAX_S)
        }
        PendingAnswer::Unanswered => (UNANSWERED, accepted_at, PROCESSING_MAX_S),
    };
    let is_late = now.since(since) >= most_s;
    let is_noted = refund.trouble.as_deref() == Some(code) && refund.trouble_since.is_some();
    let trouble = Trouble {
        code: code.to_owned(),
        since,
    };
    match (refund.overdue_since, is_late, answer) {
        (None, true, _) => OverdueStep::MarkOverdue(trouble),
        (Some(_), false, PendingAnswer::Processing) => OverdueStep::ClearOverdue,
        // Overdue for a new reason: operators must see the present one.
        (Some(_), _, answer) if is_another_trouble(refund, answer, code) => {
            OverdueStep::MarkOverdue(trouble)
        }
        // It is queried again soon, and logged once there is an answer.
        (Some(_), _, PendingAnswer::Unanswered) => OverdueStep::KeepWaiting,
        (Some(overdue_since), _, _) => {
            let overdue_s = now.since(overdue_since);
            if overdue_s % LOGGED_EVERY_S < CHECKED_EVERY_S {
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
fn is_another_trouble(refund: &Refund, answer: &PendingAnswer, code: &str) -> bool {
    let noted = refund.trouble.as_deref().unwrap_or_default();
    let was_reported = [PROCESSING, REDIRECTED].contains(&noted);
    match answer {
        PendingAnswer::Processing => noted != code,
        PendingAnswer::Refused(_) => noted != code && !was_reported,
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
    transition::update_in_state(order, refund, marked, context)
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
    let mut change = transition::update_in_state(order, refund, rests, context);
    if let Some(event) = change.events.last_mut() {
        event.next_try_at = next_try_at;
    }
    change
}

#[cfg(test)]
mod tests;
