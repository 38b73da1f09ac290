//! All stages, with the lines that each brings about.

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::Value;

use super::{channels, days, messages, orders, refunds, spans, webhooks, wechat_pay};
use crate::webhooks::{CAUSE_IS_OURS, TAKES_NOTHING};

/// A line as the page has it.
pub(super) struct Line {
    /// Which module logs it.
    pub(super) module: &'static str,
    pub(super) message: &'static str,
    /// What an operator needs: what it is about, why, and what to do.
    pub(super) fields: &'static [&'static str],
    /// What its row says, and the stage shows.
    pub(super) row: &'static str,
}

const fn line(
    module: &'static str,
    message: &'static str,
    fields: &'static [&'static str],
    row: &'static str,
) -> Line {
    Line {
        module,
        message,
        fields,
        row,
    }
}

/// Brings lines about, and gives all at ERROR.
pub(super) type Stage = fn() -> LocalBoxFuture<'static, Vec<Value>>;

/// All stages, with the lines that each brings about.
pub(super) const STAGES: &[(Stage, &[Line])] = &[
    (
        || messages::money_of_another_currency_comes().boxed_local(),
        &[
            line(
                "flows::settle_payment",
                "money parked for a person",
                &["order_no", "reason", "what_to_do", "wechat_request_id"],
                "`notices-parked` stays on until a person has decided",
            ),
            line(
                "process_payment::ledger",
                "notice parked for a person",
                &["notice_id", "order_no", "what_to_do"],
                "`notices-parked` stays on until a person has decided",
            ),
        ],
    ),
    (
        || messages::a_signed_notice_cannot_be_read().boxed_local(),
        &[line(
            "process_payment::ledger",
            "notice parked for a person",
            &["notice_id", "what_to_do"],
            "[notices.md](notices.md)",
        )],
    ),
    (
        || messages::messages_are_written_by_hand().boxed_local(),
        &[
            line(
                "process_payment::handler",
                "unknown message",
                &[],
                "a queue's message that no retry can finish",
            ),
            line(
                "reconcile::handler",
                "unknown message",
                &[],
                "a queue's message that no retry can finish",
            ),
            line(
                "send_webhook::handler",
                "unknown message",
                &[],
                "a queue's message that no retry can finish",
            ),
            line(
                "flows::verdict",
                "message needs a person",
                &["error"],
                "It goes to the dead-letter queue",
            ),
        ],
    ),
    (
        || wechat_pay::the_merchant_is_refused().boxed_local(),
        &[line(
            "wechat_client::api::answer",
            "WeChat Pay refuses the merchant, and not this request alone",
            &["refusal", "what_to_do", "wechat_request_id"],
            "Orders and refunds wait and continue by themselves",
        )],
    ),
    (
        || wechat_pay::wechat_pay_signs_with_an_unknown_key().boxed_local(),
        &[
            line(
                "receive_callback::handler",
                "callback refused: none of WeChat Pay's keys here verifies it",
                &["error", "what_to_do"],
                "the alarms `callbacks-unverified` and `answers-unverified`",
            ),
            line(
                "wechat_client::api::answer",
                "an answer was not believed",
                &["error", "what_to_do", "wechat_request_id"],
                "the alarms `callbacks-unverified` and `answers-unverified`",
            ),
        ],
    ),
    (
        || messages::callbacks_are_not_acknowledged().boxed_local(),
        &[line(
            "receive_callback::handler",
            "callback not acknowledged",
            &["error"],
            "it comes again. Check SQS, KMS, or [keys.md](keys.md)",
        )],
    ),
    (
        || messages::services_fail_behind_the_api_and_the_console().boxed_local(),
        &[
            line(
                "flows::problem",
                "request failed on our side",
                &["error"],
                "a client, or a user of our console, got a 503",
            ),
            line(
                "flows::problem::reconciliation",
                "request failed on our side",
                &["error"],
                "a client, or a user of our console, got a 503",
            ),
        ],
    ),
    (
        || channels::no_channel_takes_an_alarm().boxed_local(),
        &[
            line(
                "notify_operators::handler",
                "people on call were not told",
                &["alarms", "reason", "what_to_do"],
                "they are tried again for seven hours",
            ),
            line(
                "notify_operators::handler",
                "unknown message",
                &[],
                "a queue's message that no retry can finish",
            ),
            line(
                "flows::verdict",
                "message needs a person",
                &["error"],
                "a queue's message that no retry can finish",
            ),
        ],
    ),
    (
        || webhooks::a_webhook_fails_for_the_eighth_time().boxed_local(),
        &[line(
            "send_webhook::handler",
            "webhook given up: it goes to the dead-letter queue",
            &["order_no", "client_id", "error", "what_to_do", "trace_id"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || webhooks::a_receiver_says_410_for_hours().boxed_local(),
        &[line(
            "send_webhook::handler",
            "a webhook is disabled: its events are kept and not sent",
            &["client_id", "reason", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || webhooks::a_receiver_takes_nothing_for_half_an_hour().boxed_local(),
        &[line(
            "send_webhook::handler",
            TAKES_NOTHING,
            &["client_id", "reason", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || webhooks::events_cannot_be_sent_for_a_cause_of_ours().boxed_local(),
        &[line(
            "send_webhook::handler",
            CAUSE_IS_OURS,
            &["client_id", "error", "what_to_do"],
            "[webhooks.md](webhooks.md)",
        )],
    ),
    (
        || orders::answers_about_orders_cannot_be_read().boxed_local(),
        &[
            line(
                "flows::query_order",
                "WeChat Pay's answer about an order cannot be read",
                &["order_no", "error", "what_to_do"],
                "Nothing is applied",
            ),
            line(
                "reconcile::sweep",
                "what is due needs a person",
                &["order_no", "error"],
                "Nothing is applied",
            ),
        ],
    ),
    (
        || wechat_pay::certificates_are_refused().boxed_local(),
        &[line(
            "reconcile::certificates",
            "WeChat Pay's certificates were not refreshed",
            &["error", "what_to_do"],
            "[keys.md](keys.md)",
        )],
    ),
    (
        || days::an_approved_refund_cannot_be_paid_out().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "a difference is open again: its refund does not get on",
            &["date", "what_to_do"],
            "finance staff decide about the refund in our console",
        )],
    ),
    (
        || days::what_two_persons_approved_is_refused().boxed_local(),
        &[line(
            "reconcile::apply",
            "what was approved could not be done",
            &["date", "reason", "what_to_do"],
            "finance staff decide about the refund in our console",
        )],
    ),
    (
        || days::an_entry_of_the_list_of_refunds_is_damaged().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "differences that wait for refunds cannot be looked at",
            &["error", "what_to_do"],
            "as long as the list, or an entry of it, cannot be read",
        )],
    ),
    (
        || days::a_difference_that_waits_for_a_refund_is_damaged().boxed_local(),
        &[line(
            "reconcile::track_refunds",
            "a difference cannot be told how its refund stands",
            &["date", "error", "what_to_do"],
            "the difference (`date`, `id`) or its refund cannot be read, or a table may not be read or written",
        )],
    ),
    (
        || messages::parked_notices_may_not_be_read().boxed_local(),
        &[line(
            "reconcile::handler",
            "notices that wait for a person cannot be counted",
            &["error", "what_to_do"],
            "Until that is repaired `notices-parked` keeps its state",
        )],
    ),
    (
        || days::a_bill_is_of_no_use_four_times().boxed_local(),
        &[line(
            "reconcile::handler",
            "the day needs a person",
            &["error"],
            "`error` is the day's `trouble`",
        )],
    ),
    (
        || days::an_approval_cannot_be_handed_over().boxed_local(),
        &[
            line(
                "flows::problem::reconciliation",
                "an approved refund was not started",
                &["error"],
                "the approval is recorded. Opening the difference in our console",
            ),
            line(
                "console::handler::act",
                "an approved refund was not started again",
                &["error"],
                "the approval is recorded. Opening the difference in our console",
            ),
        ],
    ),
    (
        || orders::an_order_is_not_closed_for_an_hour().boxed_local(),
        &[line(
            "flows::close_order",
            "an order cannot be closed",
            &["order_no", "what_to_do", "wechat_request_id"],
            "for an hour after its time WeChat Pay has not closed it; the lines before have the reason",
        )],
    ),
    (
        || orders::an_order_is_forgotten_at_wechat_pay().boxed_local(),
        &[line(
            "flows::close_order",
            "WeChat Pay had the order and does not know it now",
            &["order_no", "what_to_do", "wechat_request_id"],
            "check the order on the merchant platform",
        )],
    ),
    (
        || refunds::a_refund_is_abnormal().boxed_local(),
        &[
            line(
                "flows::order_store",
                "refund needs a person",
                &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
                "[refunds.md](refunds.md)",
            ),
            line(
                "flows::process_refund::overdue",
                "refund needs a person",
                &["order_no", "refund_no", "what_to_do"],
                "[refunds.md](refunds.md)",
            ),
        ],
    ),
    (
        || refunds::a_refund_is_refused_for_an_hour().boxed_local(),
        &[line(
            "flows::process_refund::send",
            "a refund does not get on",
            &["order_no", "refund_no", "refusal", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || refunds::the_balance_is_too_low().boxed_local(),
        &[line(
            "flows::process_refund::send",
            "all refunds rest: the balance is too low",
            &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || refunds::a_refund_of_another_amount_is_logged().boxed_local(),
        &[line(
            "flows::process_refund::settle",
            "refund parked for a person",
            &["order_no", "reason", "what_to_do", "wechat_request_id"],
            "a parked one is in the ledger too",
        )],
    ),
    (
        || refunds::a_refund_is_forgotten_at_wechat_pay().boxed_local(),
        &[line(
            "flows::process_refund::advance",
            "WeChat Pay accepted the refund before and does not know it now",
            &["order_no", "refund_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || refunds::answers_about_a_refund_cannot_be_read().boxed_local(),
        &[line(
            "flows::process_refund::accepted",
            "WeChat Pay's answer about a refund cannot be read",
            &["order_no", "refund_no", "error", "what_to_do"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || refunds::a_payer_has_the_money_that_went_to_the_merchant().boxed_local(),
        &[line(
            "flows::process_refund::settle",
            "a refund was sent to the merchant's account, and WeChat Pay says that the payer has it",
            &["order_no", "what_to_do", "wechat_request_id"],
            "[refunds.md](refunds.md)",
        )],
    ),
    (
        || spans::the_endpoint_is_none().boxed_local(),
        &[line(
            "runtime::otlp::export",
            "spans have nowhere to go",
            &["error", "what_to_do"],
            "the functions work without spans",
        )],
    ),
];
