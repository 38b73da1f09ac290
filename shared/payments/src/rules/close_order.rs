//! Closing an order: when it is allowed, and what WeChat Pay's answer means. An order is closed at
//! WeChat Pay first and only then here.

use wechatpay::{
    UnixSeconds,
    api::{ErrorCode, Refusal},
};

use crate::{
    model::order::{Order, OrderState},
    news::call_outcome::CallOutcome,
    rules::schedule::issue_calls_end_at,
};

/// Whether an order can be closed in its present state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseEligibility {
    /// Yes: it goes to `closing` first.
    Open,
    /// It is being closed.
    Closing,
    /// It can no longer be paid: there is nothing to close.
    Over,
    Paid,
}

/// Decides whether an order can be closed.
pub fn close_eligibility(order: &Order) -> CloseEligibility {
    match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) => CloseEligibility::Open,
        OrderState::Closing => CloseEligibility::Closing,
        OrderState::Closed | OrderState::Rejected(_) => CloseEligibility::Over,
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::PaidAfterClose(_) => CloseEligibility::Paid,
    }
}

/// What to do after a close call to WeChat Pay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseStep {
    /// It is closed there: close it here.
    Closed,
    /// Query the order: it may have been paid just before (shared/wechatpay/PROTOCOL.md, 5.5).
    Query,
    /// WeChat Pay does not know the order, but a prepay call may still be under way. Close again
    /// after the lease ends.
    Wait,
}

/// Decides about the answer to a close call that was sent at `asked_at`. The order was read before
/// the call.
pub fn after_close_answer(
    order: &Order,
    asked_at: UnixSeconds,
    answer: &CallOutcome<()>,
) -> CloseStep {
    match answer {
        CallOutcome::Done(()) => CloseStep::Closed,
        CallOutcome::Refused(Refusal {
            code: ErrorCode::OrderNotExist,
            ..
        }) => {
            // An error answer is not signed, but the answer that WeChat Pay has the order was. So
            // an error answer alone closes nothing.
            if order.issued {
                CloseStep::Query
            } else if asked_at.0 < issue_calls_end_at(order).0 {
                CloseStep::Wait
            } else {
                CloseStep::Closed
            }
        }
        CallOutcome::Refused(_) | CallOutcome::Unreadable(_) | CallOutcome::Unknown(_) => {
            CloseStep::Query
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::order::IssueLease,
        rules::{schedule::ARRIVES_WITHIN_S, settle_trade::tests::order},
    };

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn refused(status: u16, code: &str) -> CallOutcome<()> {
        CallOutcome::Refused(Refusal::read(
            status,
            format!(r#"{{"code":"{code}"}}"#).as_bytes(),
        ))
    }

    #[test]
    fn an_order_that_wechat_does_not_have_is_closed_only_when_no_process_can_be_making_it() {
        let mut order = order(OrderState::Closing);
        let unknown = refused(404, "ORDER_NOT_EXIST");
        order.issue_lease = IssueLease::first("a".into(), NOW);
        assert_eq!(after_close_answer(&order, NOW, &unknown), CloseStep::Wait);
        let given_up = UnixSeconds(NOW.0 + IssueLease::LEASE_S);
        assert_eq!(
            after_close_answer(&order, given_up, &unknown),
            CloseStep::Wait
        );
        let later = UnixSeconds(given_up.0 + ARRIVES_WITHIN_S);
        assert_eq!(
            after_close_answer(&order, later, &unknown),
            CloseStep::Closed
        );
        order.issue_lease = IssueLease::none("a".into());
        assert_eq!(
            after_close_answer(&order, NOW, &unknown),
            CloseStep::Closed,
            "nobody ever set out to make it"
        );
    }

    #[test]
    fn an_order_that_wechat_once_had_is_not_closed_because_an_error_says_that_it_has_it_not() {
        let mut order = order(OrderState::Closing);
        order.issued = true;
        let unknown = refused(404, "ORDER_NOT_EXIST");
        assert_eq!(after_close_answer(&order, NOW, &unknown), CloseStep::Query);
    }

    #[test]
    fn whatever_is_no_success_leads_to_a_question() {
        let order = order(OrderState::Closing);
        assert_eq!(
            after_close_answer(&order, NOW, &CallOutcome::Done(())),
            CloseStep::Closed
        );
        for answer in [
            refused(400, "ORDERPAID"),
            refused(403, "TRADE_ERROR"),
            refused(403, "RULE_LIMIT"),
            refused(500, "SYSTEM_ERROR"),
            CallOutcome::Unknown("time-out".into()),
        ] {
            assert_eq!(after_close_answer(&order, NOW, &answer), CloseStep::Query);
        }
    }
}
