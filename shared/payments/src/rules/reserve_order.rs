//! Reserving a number: what to do when the table already holds an order under it.

use wechatpay::UnixSeconds;

use crate::model::order::Order;

/// What an existing order under the same number means for the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExistingOrder {
    /// It was written by this request: the write succeeded but its answer was lost.
    SameRequest,
    /// Another client's. Nothing of it may be shown.
    OtherClient,
    /// The same client's, but with other terms.
    OtherTerms,
    /// The same order: show its present state.
    Show,
    /// The same order, and another process is calling WeChat Pay for it right now.
    InProgress {
        /// Seconds after which a retry makes sense.
        retry_after_s: i64,
    },
    /// The same order without a usable prepay value: take the lease and call WeChat Pay (again).
    Resume,
}

/// Compares the order found under a number with the one to be reserved, at `now`.
pub fn compare_existing(wanted: &Order, found: &Order, now: UnixSeconds) -> ExistingOrder {
    if found.client_id != wanted.client_id {
        return ExistingOrder::OtherClient;
    }
    if found.fingerprint != wanted.fingerprint {
        return ExistingOrder::OtherTerms;
    }
    if found.attempt.id == wanted.attempt.id {
        return ExistingOrder::SameRequest;
    }
    if !found.needs_prepay(now) {
        return ExistingOrder::Show; // it has a live value, or is final, or can no longer be paid
    }
    match found.attempt.held_for_s(now) {
        Some(retry_after_s) => ExistingOrder::InProgress { retry_after_s },
        None => ExistingOrder::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            fingerprint::Fingerprint,
            ids::ClientId,
            order::{IssueLease, OrderState, PayParams, Prepay, Rejection},
        },
        rules::settle_trade::tests::{order, payment},
    };

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn awaiting(expires_at: i64) -> OrderState {
        OrderState::AwaitingPayment(Prepay {
            params: PayParams::CodeUrl("weixin://x".into()),
            expires_at: UnixSeconds(expires_at),
        })
    }

    #[test]
    fn an_order_found_under_the_number_is_judged_by_owner_terms_state_and_lease_in_that_order() {
        let mut wanted = order(OrderState::Reserved);
        wanted.attempt = IssueLease::first("mine".into(), NOW);
        let found = |state: OrderState, lease_until: i64| {
            let mut found = order(state);
            found.attempt = IssueLease {
                id: "theirs".into(),
                until: UnixSeconds(lease_until),
                count: 1,
            };
            found
        };
        let free = NOW.0;
        for (name, found, expected) in [
            (
                "reserved and its maker at work",
                found(OrderState::Reserved, NOW.0 + 7),
                ExistingOrder::InProgress { retry_after_s: 7 },
            ),
            (
                "reserved and its maker gone",
                found(OrderState::Reserved, free),
                ExistingOrder::Resume,
            ),
            (
                "a live value",
                found(awaiting(NOW.0 + 1), free),
                ExistingOrder::Show,
            ),
            (
                "an expired value",
                found(awaiting(NOW.0), free),
                ExistingOrder::Resume,
            ),
            (
                "an expired value being renewed",
                found(awaiting(NOW.0), NOW.0 + 3),
                ExistingOrder::InProgress { retry_after_s: 3 },
            ),
            (
                "paid",
                found(OrderState::Paid(payment("420001")), free),
                ExistingOrder::Show,
            ),
            (
                "closed",
                found(OrderState::Closed, free),
                ExistingOrder::Show,
            ),
            (
                "rejected",
                found(OrderState::Rejected(Rejection::Refused(None)), free),
                ExistingOrder::Show,
            ),
        ] {
            assert_eq!(compare_existing(&wanted, &found, NOW), expected, "{name}");
            let stranger = Order {
                client_id: ClientId::new("other"),
                fingerprint: Fingerprint([9; 32]),
                ..found.clone()
            };
            assert_eq!(
                compare_existing(&wanted, &stranger, NOW),
                ExistingOrder::OtherClient,
                "{name}, another client's"
            );
            let changed = Order {
                fingerprint: Fingerprint([9; 32]),
                ..found.clone()
            };
            assert_eq!(
                compare_existing(&wanted, &changed, NOW),
                ExistingOrder::OtherTerms,
                "{name}, on other terms"
            );
            let same = Order {
                attempt: wanted.attempt.clone(),
                ..found
            };
            assert_eq!(
                compare_existing(&wanted, &same, NOW),
                ExistingOrder::SameRequest,
                "{name}, by this very request"
            );
        }
    }

    #[test]
    fn an_order_past_its_expiry_is_shown_and_not_renewed() {
        let wanted = order(OrderState::Reserved);
        let mut found = order(awaiting(NOW.0 - 10));
        found.attempt.id = "theirs".into();
        found.expires_at = NOW;
        assert_eq!(compare_existing(&wanted, &found, NOW), ExistingOrder::Show);
    }
}
