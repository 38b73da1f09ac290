//! The names by which tables, the API, events and files know the values of our types. What was
//! stored under a name is read again by it years later, and clients compare with it: so a name
//! never changes, and no two values share one.

#![expect(clippy::expect_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;
use std::fmt::Debug;

use payments::model::bill_date::BillName;
use payments::model::decision::{Destination, RefundDecision};
use payments::model::ids::TransactionId;
use payments::model::next_check::CheckKind;
use payments::model::order::{OrderState, PayParams, Payment, Prepay, Product, Rejection};
use payments::model::order_refusal::OrderRefusal;
use payments::model::parked::{ParkReason, ParkedState, RefundParkReason};
use payments::model::refund::{ReceivedBy, RefundState};
use payments::reconcile::carried::CarriedKind;
use payments::reconcile::difference::{DifferenceKind, DifferenceState, RefundStage};
use payments::reconcile::run::{FundState, RunState};
use payments::rules::waterfall::SpanKind;
use serde::Serialize;
use wechatpay::UnixSeconds;

/// Each value has its name, and no other value has it.
fn have_names<T: Debug>(name: impl Fn(&T) -> &'static str, expected: &[(T, &str)]) {
    for (value, expected) in expected {
        assert_eq!(name(value), *expected, "{value:?}");
    }
    let names: BTreeSet<&str> = expected.iter().map(|(value, _)| name(value)).collect();
    assert_eq!(names.len(), expected.len(), "two have one name");
}

/// The same, and each value is read again by its name, and nothing by another.
fn are_read_by_name<T: Debug + PartialEq>(
    name: impl Fn(&T) -> &'static str,
    named: impl Fn(&str) -> Option<T>,
    expected: &[(T, &str)],
) {
    have_names(name, expected);
    for (value, expected) in expected {
        assert_eq!(named(expected).as_ref(), Some(value));
    }
    for unknown in ["", "unknown", "Payer"] {
        assert_eq!(named(unknown), None, "{unknown:?}");
    }
}

/// The name in JSON is the same as the one that the table has.
fn are_written_by_name<T: Debug + Serialize>(expected: &[(T, &str)]) {
    for (value, expected) in expected {
        let written = serde_json::to_value(value).expect("JSON");
        assert_eq!(written, *expected, "{value:?}");
    }
}

#[test]
fn an_order_its_product_and_its_refusal_keep_their_names() {
    are_read_by_name(
        |product: &Product| product.name(),
        Product::named,
        &[
            (Product::Native, "native"),
            (Product::Jsapi, "jsapi"),
            (Product::MiniProgram, "mini_program"),
            (Product::App, "app"),
            (Product::H5, "h5"),
        ],
    );
    let refusal = OrderRefusal {
        code: "PARAM_ERROR".to_owned(),
        message: "wrong".to_owned(),
    };
    are_read_by_name(
        Rejection::name,
        |name| Rejection::named(name, Some(refusal.clone())),
        &[
            (Rejection::Refused(Some(refusal.clone())), "refused"),
            (Rejection::NumberUsedElsewhere, "number_used_elsewhere"),
        ],
    );
    let payment = Payment {
        transaction_id: TransactionId::parse("4200000000000000000000000001").expect("a number"),
        paid_at: UnixSeconds(1_700_000_000),
    };
    let prepay = Prepay {
        params: PayParams::CodeUrl("weixin://wxpay/bizpayurl?pr=1".to_owned()),
        expires_at: UnixSeconds(1),
    };
    have_names(
        OrderState::name,
        &[
            (OrderState::Reserved, "reserved"),
            (OrderState::AwaitingPayment(prepay), "awaiting_payment"),
            (OrderState::Paid(payment.clone()), "paid"),
            (
                OrderState::PartiallyRefunded(payment.clone()),
                "partially_refunded",
            ),
            (OrderState::Refunded(payment.clone()), "refunded"),
            (OrderState::Closing, "closing"),
            (OrderState::Closed, "closed"),
            (
                OrderState::Rejected(Rejection::NumberUsedElsewhere),
                "rejected",
            ),
            (OrderState::PaidAfterClose(payment), "paid_after_close"),
        ],
    );
    have_names(
        |kind: &CheckKind| kind.name(),
        &[
            (CheckKind::Refund, "refund"),
            (CheckKind::Recovery, "recovery"),
            (CheckKind::Closing, "closing"),
            (CheckKind::StatusQuery, "look"),
        ],
    );
}

#[test]
fn a_refund_and_what_is_decided_about_it_keep_their_names() {
    have_names(
        RefundState::name,
        &[
            (RefundState::Reserved, "reserved"),
            (RefundState::Processing, "processing"),
            (RefundState::Succeeded(UnixSeconds(1)), "succeeded"),
            (RefundState::Closed, "closed"),
            (RefundState::Refused("NOT_ENOUGH".to_owned()), "refused"),
            (RefundState::Abnormal, "abnormal"),
        ],
    );
    are_read_by_name(
        |account: &ReceivedBy| account.name(),
        ReceivedBy::named,
        &[
            (ReceivedBy::Payer, "payer"),
            (ReceivedBy::Merchant, "merchant"),
        ],
    );
    are_read_by_name(
        |to: &Destination| to.name(),
        Destination::named,
        &[
            (Destination::Merchant, "merchant"),
            (Destination::User, "user"),
        ],
    );
    let decisions = [
        (RefundDecision::Retry, "retry"),
        (RefundDecision::Release, "release"),
        (RefundDecision::Redirect, "redirect"),
        (RefundDecision::PayerPaid, "payer_paid"),
    ];
    have_names(|decision: &RefundDecision| decision.name(), &decisions);
    are_written_by_name(&decisions);
}

#[test]
fn parked_money_keeps_its_names() {
    are_read_by_name(
        |state: &ParkedState| state.name(),
        ParkedState::named,
        &[
            (ParkedState::Parked, "parked"),
            (ParkedState::Refunding, "refunding"),
            (ParkedState::Refunded, "refunded"),
            (ParkedState::Booked, "booked"),
            (ParkedState::WithMerchant, "with_merchant"),
            (ParkedState::Released, "released"),
        ],
    );
    let paid_by = TransactionId::parse("4200000000000000000000000001").expect("a number");
    have_names(
        ParkReason::name,
        &[
            (ParkReason::UnknownOrder, "unknown_order"),
            (ParkReason::Differs { field: "amount" }, "amount"),
            (ParkReason::SecondPayment { paid_by }, "second_payment"),
            (ParkReason::RefundedElsewhere, "refunded_elsewhere"),
            (ParkReason::NumberUsedElsewhere, "number_used_elsewhere"),
            (ParkReason::OlderThanOrder, "older_than_order"),
        ],
    );
    have_names(
        RefundParkReason::name,
        &[
            (RefundParkReason::UnknownOrder, "unknown_order"),
            (RefundParkReason::Differs { field: "amount" }, "amount"),
            (RefundParkReason::ExceedsPayment, "exceeds_payment"),
            (RefundParkReason::OtherPayment, "other_payment"),
            (RefundParkReason::PartOfParked, "part_of_parked"),
            (RefundParkReason::PaidAfterClose, "paid_after_close"),
        ],
    );
}

#[test]
fn a_days_bills_run_and_differences_keep_their_names() {
    have_names(
        |bill: &BillName| bill.name(),
        &[
            (BillName::Trade, "trade"),
            (BillName::FundBasic, "fund_basic"),
            (BillName::FundOperation, "fund_operation"),
            (BillName::FundFees, "fund_fees"),
        ],
    );
    let runs = [
        (RunState::Waiting, "waiting"),
        (RunState::Running, "running"),
        (RunState::Done, "done"),
        (RunState::Failed, "failed"),
    ];
    have_names(|state: &RunState| state.name(), &runs);
    are_written_by_name(&runs);
    let funds = [
        (FundState::Pending, "pending"),
        (FundState::Waiting, "waiting"),
        (FundState::Running, "running"),
        (FundState::Done, "done"),
        (FundState::Failed, "failed"),
    ];
    have_names(|state: &FundState| state.name(), &funds);
    are_written_by_name(&funds);
    let states = [
        (DifferenceState::Open, "open"),
        (DifferenceState::Proposed, "proposed"),
        (DifferenceState::Approved, "approved"),
        (DifferenceState::OnItsWay, "on_its_way"),
        (DifferenceState::Rejected, "rejected"),
        (DifferenceState::Explained, "explained"),
        (DifferenceState::Repaired, "repaired"),
    ];
    have_names(|state: &DifferenceState| state.name(), &states);
    are_written_by_name(&states);
    assert_eq!(states.map(|(state, _)| state), DifferenceState::ALL);
    let stages = [
        (RefundStage::Moving, "moving"),
        (RefundStage::Succeeded, "succeeded"),
        (RefundStage::Abnormal, "abnormal"),
        (RefundStage::Refused, "refused"),
        (RefundStage::Closed, "closed"),
        (RefundStage::Released, "released"),
    ];
    have_names(|stage: &RefundStage| stage.name(), &stages);
    are_written_by_name(&stages);
    let carried = [
        (CarriedKind::Payment, "payment"),
        (CarriedKind::Refund, "refund"),
    ];
    have_names(|kind: &CarriedKind| kind.name(), &carried);
    are_written_by_name(&carried);
}

#[test]
fn a_kind_of_difference_keeps_its_name() {
    let kinds = [
        (
            DifferenceKind::PaidThereUnpaidHere,
            "paid_there_unpaid_here",
        ),
        (DifferenceKind::UnknownOrderThere, "unknown_order_there"),
        (DifferenceKind::DuplicatePayment, "duplicate_payment"),
        (
            DifferenceKind::PaidHereAbsentThere,
            "paid_here_absent_there",
        ),
        (DifferenceKind::AmountDiffers, "amount_differs"),
        (DifferenceKind::StatusDiffers, "status_differs"),
        (DifferenceKind::IdentityDiffers, "identity_differs"),
        (
            DifferenceKind::RefundThereUnknownHere,
            "refund_there_unknown_here",
        ),
        (
            DifferenceKind::RefundHereAbsentThere,
            "refund_here_absent_there",
        ),
        (DifferenceKind::RefundAmountDiffers, "refund_amount_differs"),
        (DifferenceKind::RefundStateDiffers, "refund_state_differs"),
        (DifferenceKind::FeeOffTheRate, "fee_off_the_rate"),
        (
            DifferenceKind::FundFlowWithoutTrade,
            "fund_flow_without_trade",
        ),
        (
            DifferenceKind::TradeWithoutFundFlow,
            "trade_without_fund_flow",
        ),
        (DifferenceKind::SummaryDiffers, "summary_differs"),
        (DifferenceKind::UncheckedRows, "unchecked_rows"),
    ];
    are_read_by_name(
        |kind: &DifferenceKind| kind.name(),
        DifferenceKind::named,
        &kinds,
    );
    are_written_by_name(&kinds);
    assert_eq!(kinds.len(), DifferenceKind::ALL.len());
}

#[test]
fn a_span_of_a_waterfall_keeps_its_name() {
    let kinds = [
        (SpanKind::Callback, "callback"),
        (SpanKind::Queue, "queue"),
        (SpanKind::Work, "work"),
        (SpanKind::Event, "event"),
    ];
    have_names(|kind: &SpanKind| kind.name(), &kinds);
    are_written_by_name(&kinds);
}
