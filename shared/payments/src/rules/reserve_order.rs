//! Reserving a number: the order to be written, and what to do when the table already holds one
//! under its number.

use wechatpay::UnixSeconds;

use crate::{
    model::{
        ids::ClientId,
        journal::{ChangeContext, Event, Subject},
        order::{IssueLease, Order, OrderState, RefundTally},
    },
    rules::{create_order::CreateOrder, schedule},
};

/// An order to be reserved, with its first event.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOrder {
    pub order: Order,
    /// Its first event.
    pub event: Event,
}

impl NewOrder {
    /// The order that a client asks for. `sealed_body` is WeChat Pay's request body for it, as it
    /// is stored; `issue_lease` says who calls WeChat Pay first.
    pub fn new(
        asked: &CreateOrder,
        client_id: &ClientId,
        sealed_body: Vec<u8>,
        issue_lease: IssueLease,
        context: &ChangeContext,
    ) -> Self {
        let now = context.at;
        let terms = &asked.terms;
        let state = OrderState::Reserved;
        let event = context.event(1, Subject::Order, None, state.name());
        let order = Order {
            order_no: asked.order_no.clone(),
            client_id: client_id.clone(),
            product: terms.product,
            appid: terms.appid.clone(),
            amount: terms.amount,
            fingerprint: terms.fingerprint(),
            sealed_body: Some(sealed_body),
            created_at: now,
            expires_at: terms.expires_at(now),
            issue_lease,
            issued: false,
            state,
            refunds: RefundTally::NONE,
            version: event.version,
            latest_event: Some(event.clone()),
            due: None,
        };
        Self {
            event,
            order: Order {
                due: schedule::next_order_check(&order, &order.state, now),
                ..order
            },
        }
    }
}

/// What an existing order under the same number means for the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExistingOrder {
    /// It was written by this request, and nothing has happened to it since: the write succeeded
    /// but its answer was lost.
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
    if !found.needs_prepay(now) {
        return ExistingOrder::Show; // it has a live value, is closed or final, or can no longer be paid
    }
    if found.issue_lease.id == wanted.issue_lease.id {
        return ExistingOrder::SameRequest;
    }
    match found.issue_lease.held_for_s(now) {
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
    fn an_order_found_under_the_number_is_checked_by_owner_terms_state_and_lease_in_that_order() {
        let mut wanted = order(OrderState::Reserved);
        wanted.issue_lease = IssueLease::first("mine".into(), NOW);
        let found = |state: OrderState, lease_until: i64| {
            let mut found = order(state);
            found.issue_lease = IssueLease {
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
                issue_lease: wanted.issue_lease.clone(),
                ..found
            };
            let by_this_request = if expected == ExistingOrder::Show {
                ExistingOrder::Show
            } else {
                ExistingOrder::SameRequest
            };
            assert_eq!(
                compare_existing(&wanted, &same, NOW),
                by_this_request,
                "{name}, by this very request"
            );
        }
    }

    #[test]
    fn a_prepay_value_is_of_no_use_from_the_second_on_in_which_it_or_its_order_ends() {
        for (value_ends_s, order_ends_s, is_live) in [
            (1, 1, true),
            (0, 1, false),
            (1, 0, false),
            (-1, 1, false),
            (1, -1, false),
        ] {
            let mut order = order(awaiting(NOW.0 + value_ends_s));
            order.expires_at = NOW.plus_s(order_ends_s);
            assert_eq!(
                order.live_prepay(NOW).is_some(),
                is_live,
                "{value_ends_s} {order_ends_s}"
            );
            assert_eq!(order.needs_prepay(NOW), !is_live && order_ends_s > 0);
        }
    }

    #[test]
    fn an_order_past_its_expiry_is_shown_and_not_renewed() {
        let wanted = order(OrderState::Reserved);
        let mut found = order(awaiting(NOW.0 - 10));
        found.issue_lease.id = "theirs".into();
        found.expires_at = NOW;
        assert_eq!(compare_existing(&wanted, &found, NOW), ExistingOrder::Show);
    }
}
