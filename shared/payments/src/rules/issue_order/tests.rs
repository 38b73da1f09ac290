use wechatpay::UnreadableAnswer;

use super::*;

fn refused(status: u16, code: &str) -> CallOutcome<PrepayValue> {
    CallOutcome::Refused(Refusal {
        status,
        code: ErrorCode::parse(code),
        raw_code: code.into(),
        message: String::new(),
        detail: None,
        request_id: None,
    })
}

#[test]
fn each_answer_to_a_prepay_call_has_its_next_step() {
    let value = PrepayValue::CodeUrl("weixin://x".into());
    assert_eq!(
        after_prepay_answer(CallOutcome::Done(value.clone()), 0, false),
        IssueStep::Store(value)
    );
    assert_eq!(
        after_prepay_answer(CallOutcome::Unknown("time-out".into()), 1, true),
        IssueStep::Repeat
    );
    assert_eq!(
        after_prepay_answer(CallOutcome::Unknown("time-out".into()), 0, true),
        IssueStep::GiveUp(IssueFailure::Unknown("time-out".into()))
    );
    for code in [
        "OUT_TRADE_NO_USED",
        "ORDERPAID",
        "ORDER_PAID",
        "ORDER_CLOSED",
        "OUTTRADENOUSED",
    ] {
        assert_eq!(
            after_prepay_answer(refused(403, code), 1, true),
            IssueStep::Query(None),
            "{code}"
        );
    }
    assert_eq!(
        after_prepay_answer(refused(500, "SYSTEM_ERROR"), 1, true),
        IssueStep::Repeat
    );
    assert!(matches!(
        after_prepay_answer(refused(500, "SYSTEM_ERROR"), 0, true),
        IssueStep::GiveUp(IssueFailure::Unknown(_))
    ));
    assert!(matches!(
        after_prepay_answer(refused(429, "FREQUENCY_LIMITED"), 1, true),
        IssueStep::GiveUp(IssueFailure::Unknown(_))
    ));
}

#[test]
fn only_a_number_in_use_under_an_order_that_was_never_given_a_value_is_of_another_system() {
    let awaiting = OrderState::AwaitingPayment(crate::model::order::Prepay {
        params: crate::model::order::PayParams::CodeUrl("weixin://x".into()),
        expires_at: wechatpay::UnixSeconds(1),
    });
    let unreadable = UnreadableAnswer {
        status: 200,
        line: 1,
        column: 1,
    };
    let used = || refused(403, "OUT_TRADE_NO_USED");
    for (answer, state, expected) in [
        (used(), OrderState::Reserved, true),
        (refused(400, "OUTTRADENOUSED"), OrderState::Reserved, true),
        (used(), awaiting, false),
        (used(), OrderState::Closing, false),
        (used(), OrderState::Closed, false),
        (refused(400, "ORDERPAID"), OrderState::Reserved, false),
        (refused(400, "ORDER_CLOSED"), OrderState::Reserved, false),
        (refused(400, "INVALID_REQUEST"), OrderState::Reserved, false),
        (
            CallOutcome::Unknown("time-out".into()),
            OrderState::Reserved,
            false,
        ),
        (
            CallOutcome::Unreadable(unreadable),
            OrderState::Reserved,
            false,
        ),
        (
            CallOutcome::Done(PrepayValue::CodeUrl("weixin://x".into())),
            OrderState::Reserved,
            false,
        ),
    ] {
        let order = crate::rules::settle_trade::tests::order(state.clone());
        let is_elsewhere = is_number_used_elsewhere(&answer, &order);
        assert_eq!(is_elsewhere, expected, "{answer:?} of {}", state.name());
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_asked_for_again_as_none_is() {
    let unreadable = UnreadableAnswer {
        status: 200,
        line: 1,
        column: 1,
    };
    assert_eq!(
        after_prepay_answer(CallOutcome::Unreadable(unreadable), 1, true),
        IssueStep::Repeat
    );
    assert_eq!(
        after_prepay_answer(CallOutcome::Unreadable(unreadable), 0, true),
        IssueStep::GiveUp(IssueFailure::Unknown(unreadable.to_string()))
    );
}

#[test]
fn only_the_first_attempt_starts_clean() {
    for (count, clean) in [(0, true), (1, true), (2, false), (9, false)] {
        let attempt = IssueLease {
            count,
            ..IssueLease::none("none".into())
        };
        assert_eq!(is_first_attempt(&attempt), clean, "{count}");
    }
}

#[test]
fn an_error_of_wechats_own_and_a_limit_on_how_often_are_no_answer_for_now() {
    for (status, code, none) in [
        (500, "SYSTEM_ERROR", true),
        (503, "", true),
        (400, "BANKERROR", true),
        (429, "FREQUENCY_LIMITED", true),
        (403, "FREQUENCY_LIMIT_EXCEED", true),
        (404, "ORDER_NOT_EXIST", false),
        (401, "SIGN_ERROR", false),
        (403, "NO_AUTH", false),
        (400, "PARAM_ERROR", false),
    ] {
        assert_eq!(
            refused(status, code).is_unavailable(),
            none,
            "{status} {code}"
        );
    }
    assert!(CallOutcome::<()>::Unknown("time-out".into()).is_unavailable());
    assert!(!CallOutcome::Done(()).is_unavailable());
}

#[test]
fn an_answer_without_a_code_rejects_nothing() {
    for status in [302, 403, 404] {
        let next = after_prepay_answer(refused(status, ""), 1, true);
        assert!(
            matches!(next, IssueStep::GiveUp(IssueFailure::NotOfTheOrder(_))),
            "{status}: {next:?}"
        );
    }
}

/// What each code of the manual does to an order at the first attempt, and after an attempt
/// with an unknown result.
#[test]
fn every_code_has_its_next_step_and_only_the_orders_own_faults_reject_it() {
    const STAYS: [&str; 2] = ["stays", "stays"];
    const PEOPLE: [&str; 2] = ["stays, people", "stays, people"];
    const REJECTED: [&str; 2] = ["rejected", "stays"];
    const ASKED: [&str; 2] = ["asked, rejected", "asked, stays"];
    const EXISTS: [&str; 2] = ["asked, stays", "asked, stays"];
    let table = [
        ("SYSTEM_ERROR", 500, STAYS),
        ("BANK_ERROR", 500, STAYS),
        ("SERVICE_UNAVAILABLE", 503, STAYS),
        ("BIZ_ERR_NEED_RETRY", 400, STAYS),
        ("FREQUENCY_LIMITED", 429, STAYS),
        ("FREQUENCY_LIMITED", 403, STAYS),
        ("RULE_LIMIT", 403, STAYS),
        ("STATEMENT_CREATING", 400, STAYS),
        ("USERPAYING", 202, STAYS),
        ("SIGN_ERROR", 401, PEOPLE),
        ("NO_AUTH", 403, PEOPLE),
        ("REQUEST_BLOCKED", 403, PEOPLE),
        ("APPID_MCHID_NOT_MATCH", 400, PEOPLE),
        ("MCH_NOT_EXISTS", 400, PEOPLE),
        ("NOT_ENOUGH", 403, PEOPLE),
        ("NOT_FOUND", 404, PEOPLE),
        ("A_NEW_ONE", 400, PEOPLE),
        ("A_NEW_ONE", 429, STAYS),
        ("A_NEW_ONE", 500, STAYS),
        ("OPENID_MISMATCH", 500, REJECTED),
        ("ORDER_REVERSED", 400, REJECTED),
        ("INVALID_TRANSACTIONID", 500, REJECTED),
        ("ACCOUNT_ERROR", 403, REJECTED),
        ("USER_ACCOUNT_ABNORMAL", 403, REJECTED),
        ("TRADE_OVERDUE", 403, REJECTED),
        ("REFUND_FEE_MISMATCH", 400, REJECTED),
        ("NO_STATEMENT_EXIST", 400, REJECTED),
        ("PARAM_ERROR", 400, ASKED),
        ("INVALID_REQUEST", 400, ASKED),
        ("TRADE_ERROR", 403, ASKED),
        ("ORDER_NOT_EXIST", 404, ASKED),
        ("RESOURCE_NOT_EXISTS", 404, ASKED),
        ("ALREADY_EXISTS", 400, ASKED),
        ("OUT_TRADE_NO_USED", 403, EXISTS),
        ("ORDERPAID", 400, EXISTS),
        ("ORDER_CLOSED", 400, EXISTS),
    ];
    for (code, status, expected) in &table {
        let came_to = [true, false].map(|clean| {
            match (after_prepay_answer(refused(*status, code), 0, clean), clean) {
                (IssueStep::Reject(_), _) => "rejected",
                // What the flow does with the refusal when the order is not there.
                (IssueStep::Query(Some(_)), true) => "asked, rejected",
                (IssueStep::Query(_), _) => "asked, stays",
                (IssueStep::GiveUp(IssueFailure::NotOfTheOrder(refusal)), _) => {
                    assert!(refusal.what_to_do().is_some(), "{code}: no one is notified");
                    "stays, people"
                }
                (IssueStep::GiveUp(_), _) => "stays",
                (IssueStep::Store(_) | IssueStep::Repeat, _) => "goes on",
            }
        });
        assert_eq!(came_to, *expected, "{status} {code}");
    }
    for code in ErrorCode::all() {
        assert!(
            table
                .iter()
                .any(|(raw, _, _)| ErrorCode::parse(raw) == code),
            "{code:?} is not in the table"
        );
    }
}

#[test]
fn a_wrong_value_is_the_orders_fault_only_where_a_field_of_the_order_is_named() {
    for (field, expected) in [
        ("/payer/openid", "rejected"),
        ("/amount/total", "rejected"),
        ("/notify_url", "stays"),
        ("/mchid", "stays"),
        ("/appid", "stays"),
    ] {
        let body = format!(r#"{{"code":"PARAM_ERROR","detail":{{"field":"{field}"}}}}"#);
        let refusal = Refusal::read(400, body.as_bytes());
        let next = after_prepay_answer(CallOutcome::Refused(refusal), 1, true);
        let came_to = if matches!(next, IssueStep::Reject(_)) {
            "rejected"
        } else if matches!(next, IssueStep::GiveUp(IssueFailure::NotOfTheOrder(_))) {
            "stays"
        } else {
            panic!("{field}: {next:?}")
        };
        assert_eq!(came_to, expected, "{field}");
    }
}

#[test]
fn a_value_that_lives_as_long_as_its_order_is_the_last_and_a_shorter_one_ends_before_its_life_does()
{
    use crate::rules::settle_trade::tests::order;
    let order = order(OrderState::Reserved);
    let life_s = order.product.at_wechat().value_life_s();
    let params = || PayParams::CodeUrl("weixin://x".into());
    for (left_s, value_ends_s, is_last) in [
        (life_s, life_s, true),
        (60, 60, true),
        (life_s + 1, life_s - 30, false),
        (2 * life_s, life_s - 30, false),
    ] {
        let context = ChangeContext {
            cause: crate::model::journal::Cause::Request("req-1".into()),
            trace: String::new(),
            is_sampled: true,
            at: order.expires_at.plus_s(-left_s),
            millisecond: None,
            delivery: None,
            request_id: None,
        };
        let issued = IssuedPrepay::new(&order, params(), &context);
        assert_eq!(issued.prepay.expires_at.since(context.at), value_ends_s);
        assert_eq!(issued.is_last, is_last, "{left_s} s before the order's end");
        let awaiting = Order {
            state: OrderState::AwaitingPayment(issued.prepay),
            ..order.clone()
        };
        let just_before = order.expires_at.plus_s(-1);
        assert_eq!(awaiting.needs_prepay(just_before), !is_last);
    }
}

#[test]
fn a_failure_shows_codes_and_causes_but_no_free_text_of_wechat_pay() {
    let CallOutcome::Refused(refusal) = refused(400, "PARAM_ERROR") else {
        panic!("a refusal");
    };
    let refusal = Refusal {
        message: "payer oABC".to_owned(),
        ..refusal
    };
    for (failure, begin) in [
        (
            IssueFailure::Unknown("time-out".into()),
            "unknown outcome: time-out",
        ),
        (
            IssueFailure::RefusedAfterUnknown(refusal.clone()),
            "after an unknown outcome: ",
        ),
        (
            IssueFailure::NotOfTheOrder(refusal),
            "not for the order's sake: ",
        ),
    ] {
        let shown = format!("{failure:?}");
        assert!(shown.starts_with(begin), "{shown}");
        assert!(!shown.contains("oABC"), "{shown}");
    }
}
