//! When the sweep checks an order or refund next. The sweep alone is enough for correctness;
//! callbacks and queues only make it faster.

use wechatpay::UnixSeconds;

use crate::model::{
    ids::OrderNo,
    next_check::{CheckKind, NextCheck, shard_of_text},
    order::{Order, OrderState},
    refund::{Refund, RefundState, SLOT_S},
};

/// The time from which no prepay call for this order can still be under way: the lease has ended,
/// and its last request has either arrived or been lost.
pub fn issue_calls_end_at(order: &Order) -> UnixSeconds {
    order.issue_lease.until.plus_s(ARRIVES_WITHIN_S)
}

/// How long a call may still be under way after its caller gave up, in seconds.
pub(crate) const ARRIVES_WITHIN_S: i64 = 60;

/// Ages of an order, in seconds, at which it is queried at WeChat Pay: the manual's schedule from
/// the 1-minute step on (shared/wechatpay/PROTOCOL.md, 5.6). Younger orders are left to the
/// callback and the client's own GET.
const ORDER_LADDER_S: [i64; 5] = [FIRST_CHECK_S, 180, 300, 600, 1800];
const FIRST_CHECK_S: i64 = 60;

/// Ages of a refund at which it is queried at WeChat Pay: every minute for five minutes, then after
/// 5, 10, 20 and 30 more (shared/wechatpay/PROTOCOL.md, 6.2). A refund to a bank card takes days,
/// so after that it is queried hourly.
const REFUND_LADDER_S: [i64; 9] = [60, 120, 180, 240, 300, 600, 1200, 2400, 4200];

/// Minimum time between two checks, in seconds: one check takes less, with all its calls to WeChat
/// Pay.
const CHECK_TAKES_S: i64 = 30;

/// After either schedule: once an hour, until the state is final.
const HOURLY_S: i64 = 3600;

/// How long after its payment deadline an order is closed, in seconds. This leaves time for the
/// callback of a last-moment payment.
const CLOSE_AFTER_S: i64 = 10;

/// The shortest time between two attempts to close an order.
const CLOSE_AGAIN_S: i64 = 60;

/// A refund that waits for an operator is still checked, since the operator may act at WeChat Pay.
/// It is logged again until it is decided.
const PERSON_S: i64 = 6 * HOURLY_S;

/// The time until a failed check is repeated, in seconds: the next run of the sweep finds it. An
/// order costs one call a minute while that lasts, and items that have waited longer go first.
const AGAIN_S: i64 = 30;

/// The same for a refund: WeChat Pay accepts one request a minute for each order.
const REFUND_AGAIN_S: i64 = SLOT_S;

/// How long a merchant's refunds are paused after its balance was too low, in seconds: failing
/// refunds have a quota of 6 a second (shared/wechatpay/PROTOCOL.md, 6.2), which all orders share.
pub const BALANCE_PAUSE_S: i64 = 600;

/// Next check of an order with the present or coming state `state` that was checked or written at
/// `now`; `None` if nothing more can happen to it by itself.
pub fn next_order_check(order: &Order, state: &OrderState, now: UnixSeconds) -> Option<NextCheck> {
    let at = match state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) => {
            let by_age = step(&ORDER_LADDER_S, order.created_at, now);
            let close_at = closes_at(order);
            if close_at > now {
                by_age.min(close_at)
            } else {
                close_again(order, now)
            }
        }
        OrderState::Closing => close_again(order, now),
        // Only its refund is left to do, and that has its own next check.
        OrderState::PaidAfterClose(_)
        | OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_) => return None,
    };
    order_due(order, state, at)
}

/// Next check of an order whose last check failed for a temporary reason, such as no answer from
/// WeChat Pay. `None` if its next check is earlier anyway or none is needed. `order` is as it is
/// stored.
pub fn sooner_order_check(order: &Order, now: UnixSeconds) -> Option<NextCheck> {
    let held = order.due?;
    let soon = now.plus_s(AGAIN_S);
    let at = if order.state == OrderState::Closing || is_past_payment_time(order, now) {
        soon.max(issue_calls_end_at(order))
    } else {
        soon
    };
    (at < held.at)
        .then(|| order_due(order, &order.state, at))
        .flatten()
}

/// The same for a refund.
pub fn sooner_refund_check(refund: &Refund, now: UnixSeconds) -> Option<NextCheck> {
    let held = refund.due?;
    let at = now.plus_s(REFUND_AGAIN_S);
    (at < held.at).then(|| refund_check_at(&refund.order_no, at))
}

/// The index place of an order with this next check; `None` if nothing can happen to it by itself.
fn order_due(order: &Order, state: &OrderState, at: UnixSeconds) -> Option<NextCheck> {
    let reason = match state {
        OrderState::Closing => CheckKind::Closing,
        OrderState::Reserved | OrderState::AwaitingPayment(_) if closes_at(order) <= at => {
            CheckKind::Closing
        }
        OrderState::Reserved => CheckKind::Recovery,
        // Its first check stays where it was put when the order was reserved. Most orders are paid
        // before it, and moving it would be two writes of the index for each of them.
        OrderState::AwaitingPayment(_) if at == first_check_at(order) => CheckKind::Recovery,
        OrderState::AwaitingPayment(_) => CheckKind::StatusQuery,
        OrderState::PaidAfterClose(_)
        | OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_) => return None,
    };
    Some(NextCheck {
        shard: reason.part(&order.order_no),
        at,
    })
}

/// The time at which an order is checked first.
fn first_check_at(order: &Order) -> UnixSeconds {
    order.created_at.plus_s(FIRST_CHECK_S)
}

/// The time at which an unpaid order is closed.
fn closes_at(order: &Order) -> UnixSeconds {
    order.expires_at.plus_s(CLOSE_AFTER_S)
}

/// Whether an unpaid order's payment time is over.
pub fn is_past_payment_time(order: &Order, now: UnixSeconds) -> bool {
    closes_at(order) <= now
}

/// Next check of a refund with the present or coming state `state`; `None` if nothing more can
/// happen to it by itself.
pub fn next_refund_check(
    refund: &Refund,
    state: &RefundState,
    now: UnixSeconds,
) -> Option<NextCheck> {
    let at = match state {
        RefundState::Reserved | RefundState::Processing => {
            step(&REFUND_LADDER_S, refund.slot_at, now)
        }
        RefundState::Abnormal | RefundState::Refused(_) => now.plus_s(PERSON_S),
        RefundState::Closed if refund.returns_owed_money() => now.plus_s(PERSON_S),
        // Its money is with the merchant: the payer is owed until an operator records how it was
        // paid.
        RefundState::Succeeded(_) if refund.is_to_merchant() && refund.payer_paid.is_none() => {
            now.plus_s(PERSON_S)
        }
        RefundState::Succeeded(_) | RefundState::Closed => return None,
    };
    Some(refund_check_at(&refund.order_no, at))
}

/// Next check of a refund that must wait for another refund of the same order (one a minute).
/// Refunds that wait for the same moment are spread over the seconds after it, by their numbers.
pub fn after_order_interval(refund: &Refund, until: UnixSeconds) -> NextCheck {
    let spread_s = i64::from(shard_of_text(refund.out_refund_no.as_str()));
    refund_check_at(&refund.order_no, until.plus_s(spread_s))
}

/// The index place of a refund of this order with this next check.
pub fn refund_check_at(order_no: &OrderNo, at: UnixSeconds) -> NextCheck {
    NextCheck {
        shard: CheckKind::Refund.part(order_no),
        at,
    }
}

/// The next step of a schedule of ages after `now`, then hourly.
fn step(ladder_s: &[i64], since: UnixSeconds, now: UnixSeconds) -> UnixSeconds {
    let age_s = now.since(since);
    ladder_s
        .iter()
        .find(|&&step| step > age_s.saturating_add(CHECK_TAKES_S))
        .map_or(now.plus_s(HOURLY_S), |step| since.plus_s(*step))
}

/// Pauses that grow with the order's age, from a minute to an hour, and never end before the
/// present lease does.
fn close_again(order: &Order, now: UnixSeconds) -> UnixSeconds {
    let since = order.expires_at.min(now).max(order.created_at);
    let pause_s = (now.since(since) / 8).clamp(CLOSE_AGAIN_S, HOURLY_S);
    now.plus_s(pause_s).max(issue_calls_end_at(order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            decision::{DecidedBy, PayerPaid, Redirection},
            ids::RefundNo,
            next_check::{PARTS, shard_of},
            refund::PaymentKind,
        },
        rules::{
            reserve_refund::tests::refund,
            settle_trade::tests::{awaiting, order},
        },
    };

    #[test]
    fn an_order_is_asked_about_after_one_three_five_ten_and_thirty_minutes_and_then_hourly() {
        let mut order = order(OrderState::Reserved);
        order.expires_at = UnixSeconds(order.created_at.0 + 100_000);
        let mut now = order.created_at;
        let mut ages = Vec::new();
        for _ in 0..8 {
            now = next_order_check(&order, &order.state, now).unwrap().at;
            ages.push(now.0 - order.created_at.0);
        }
        assert_eq!(ages, [60, 180, 300, 600, 1800, 5400, 9000, 12600]);
    }

    #[test]
    fn an_order_is_checked_when_it_can_no_longer_be_paid_and_then_at_growing_pauses() {
        let mut order = order(OrderState::Reserved);
        order.expires_at = UnixSeconds(order.created_at.0 + 400);
        let mut now = UnixSeconds(order.created_at.0 + 300);
        let mut after_expiry = Vec::new();
        for _ in 0..4 {
            now = next_order_check(&order, &order.state, now).unwrap().at;
            after_expiry.push(now.0 - order.expires_at.0);
        }
        assert_eq!(after_expiry, [10, 70, 130, 190]);
        assert!(!is_past_payment_time(
            &order,
            UnixSeconds(order.expires_at.0 + 9)
        ));
        assert!(is_past_payment_time(
            &order,
            UnixSeconds(order.expires_at.0 + 10)
        ));
        let late = UnixSeconds(order.expires_at.0 + 100_000);
        let next = next_order_check(&order, &OrderState::Closing, late)
            .unwrap()
            .at;
        assert_eq!(next.0 - late.0, 3600);
    }

    #[test]
    fn an_order_is_not_closed_again_while_another_process_may_be_calling_wechat_pay_for_it() {
        let mut order = order(OrderState::Closing);
        let now = UnixSeconds(order.created_at.0 + 5);
        order.issue_lease.until = UnixSeconds(now.0 + 500);
        let next = next_order_check(&order, &order.state, now).unwrap().at;
        assert_eq!(next, issue_calls_end_at(&order));
    }

    #[test]
    fn a_refund_is_asked_about_on_wechats_ladder_and_rarely_while_a_person_is_asked() {
        let refund = refund(RefundState::Processing);
        let mut now = refund.slot_at;
        let mut ages = Vec::new();
        for _ in 0..10 {
            now = next_refund_check(&refund, &refund.state, now).unwrap().at;
            ages.push(now.0 - refund.slot_at.0);
        }
        assert_eq!(ages, [60, 120, 180, 240, 300, 600, 1200, 2400, 4200, 7800]);
        for state in [
            RefundState::Abnormal,
            RefundState::Refused("NO_AUTH".into()),
        ] {
            let waits = next_refund_check(&refund, &state, now).unwrap();
            assert_eq!(waits.at.0 - now.0, 21_600);
        }
        assert_eq!(next_refund_check(&refund, &RefundState::Closed, now), None);
    }

    #[test]
    fn a_refund_whose_money_the_merchant_has_is_due_until_a_person_says_how_the_payer_was_paid() {
        let now = UnixSeconds(1_000_000);
        let through = RefundState::Succeeded(now);
        let due_after_s = |refund: &Refund| {
            let due = next_refund_check(refund, &through, now);
            due.map(|due| due.at.0 - now.0)
        };
        let to_payer = refund(through.clone());
        assert_eq!(due_after_s(&to_payer), None);
        let to_merchant = Refund {
            redirected: Some(Redirection::in_the_console(now)),
            ..to_payer
        };
        assert_eq!(due_after_s(&to_merchant), Some(21_600));
        let paid_out = Refund {
            payer_paid: Some(PayerPaid {
                decided: to_merchant.redirected.clone().unwrap().decided,
                at: now,
            }),
            ..to_merchant
        };
        assert_eq!(due_after_s(&paid_out), None);
    }

    #[test]
    fn a_step_that_comes_before_a_check_can_end_is_left_out() {
        let since = UnixSeconds(1_000);
        for (age_s, next_s) in [(0, 60), (29, 60), (30, 180), (31, 180)] {
            let next = step(&ORDER_LADDER_S, since, since.plus_s(age_s));
            assert_eq!(next.0 - since.0, next_s, "{age_s}");
        }
    }

    #[test]
    fn a_refund_of_money_that_is_not_ours_to_keep_is_logged_when_it_failed_for_good() {
        let closed = refund(RefundState::Closed);
        let now = UnixSeconds(1_000_000);
        let next_check_of = |refund: &Refund| next_refund_check(refund, &RefundState::Closed, now);
        let second = Refund {
            of: PaymentKind::Parked,
            ..closed.clone()
        };
        let late = Refund {
            refund_no: RefundNo::of_late_money(&closed.transaction_id),
            ..closed.clone()
        };
        for owed in [&second, &late] {
            assert_eq!(next_check_of(owed).unwrap().at.0 - now.0, 21_600);
        }
        assert_eq!(
            next_check_of(&closed),
            None,
            "its client is notified, and asks again"
        );
        for owed in [second, late] {
            let decided = Refund {
                decided: Some(DecidedBy {
                    who: "Li".into(),
                    why: "paid in cash".into(),
                }),
                ..owed
            };
            assert_eq!(next_check_of(&decided), None, "a person has dealt with it");
        }
    }

    fn reason(due: NextCheck) -> CheckKind {
        let has = |reason: &CheckKind| reason.parts().any(|part| part == due.shard);
        CheckKind::ALL.into_iter().find(has).unwrap()
    }

    #[test]
    fn each_reason_has_parts_of_its_own_and_status_queries_have_those_of_earlier_versions() {
        let mut parts: Vec<u8> = CheckKind::ALL
            .into_iter()
            .flat_map(CheckKind::parts)
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, (0..PARTS).collect::<Vec<u8>>());
        assert_eq!(
            CheckKind::StatusQuery.parts().collect::<Vec<u8>>(),
            (0..16).collect::<Vec<u8>>()
        );
    }

    #[test]
    fn what_is_due_waits_among_what_has_the_same_reason() {
        let mut order = order(OrderState::Reserved);
        order.expires_at = UnixSeconds(order.created_at.0 + 400);
        let at = |age_s| UnixSeconds(order.created_at.0 + age_s);
        for (state, age_s, expected) in [
            (OrderState::Reserved, 0, CheckKind::Recovery),
            (OrderState::Reserved, 300, CheckKind::Closing),
            (OrderState::Reserved, 500, CheckKind::Closing),
            (awaiting(), 31, CheckKind::StatusQuery),
            (awaiting(), 60, CheckKind::StatusQuery),
            (awaiting(), 300, CheckKind::Closing),
            (awaiting(), 500, CheckKind::Closing),
            (OrderState::Closing, 0, CheckKind::Closing),
        ] {
            let due = next_order_check(&order, &state, at(age_s)).unwrap();
            assert_eq!(reason(due), expected, "{state:?} at {age_s}");
        }
        let refund = refund(RefundState::Processing);
        let due = next_refund_check(&refund, &refund.state, at(0)).unwrap();
        assert_eq!(reason(due), CheckKind::Refund);
        assert_eq!(
            reason(after_order_interval(&refund, at(0))),
            CheckKind::Refund
        );
    }

    #[test]
    fn an_order_that_gets_its_prepay_value_in_time_keeps_the_place_of_its_first_check() {
        let mut order = order(OrderState::Reserved);
        order.expires_at = UnixSeconds(order.created_at.0 + 7_200);
        order.due = next_order_check(&order, &order.state, order.created_at);
        for age_s in [0, 4, 29] {
            let now = UnixSeconds(order.created_at.0 + age_s);
            let due = next_order_check(&order, &awaiting(), now);
            assert_eq!(due, order.due, "at {age_s}");
        }
    }

    #[test]
    fn a_check_without_a_result_is_repeated_soon_and_never_later_than_it_would_be() {
        let mut order = order(awaiting());
        order.expires_at = UnixSeconds(order.created_at.0 + 100_000);
        let now = UnixSeconds(order.created_at.0 + 1_800);
        order.due = next_order_check(&order, &order.state, now);
        let again = sooner_order_check(&order, now).unwrap();
        assert_eq!(
            (again.at.0 - now.0, reason(again)),
            (30, CheckKind::StatusQuery)
        );
        order.due = Some(again);
        assert_eq!(sooner_order_check(&order, now), None, "it is due by then");
        order.due = None;
        assert_eq!(sooner_order_check(&order, now), None);

        let mut refund = refund(RefundState::Processing);
        let now = UnixSeconds(refund.slot_at.0 + 4_200);
        refund.due = next_refund_check(&refund, &refund.state, now);
        let again = sooner_refund_check(&refund, now).unwrap();
        assert_eq!((again.at.0 - now.0, reason(again)), (60, CheckKind::Refund));
        refund.due = Some(again);
        assert_eq!(sooner_refund_check(&refund, now), None);
    }

    #[test]
    fn an_order_is_not_closed_again_soon_while_another_process_may_be_calling_wechat_pay_for_it() {
        let mut order = order(OrderState::Closing);
        let now = UnixSeconds(order.created_at.0 + 5);
        order.issue_lease.until = UnixSeconds(now.0 + 500);
        order.due = Some(NextCheck {
            shard: 32,
            at: UnixSeconds(now.0 + 3600),
        });
        let again = sooner_order_check(&order, now).unwrap();
        assert_eq!(again.at, issue_calls_end_at(&order));
    }

    #[test]
    fn order_numbers_spread_over_all_parts() {
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            counts[usize::from(shard_of(&OrderNo::parse(&format!("ORDER-{n}")).unwrap()))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
