mod console;
mod owed;

use wechatpay::UnixSeconds;

use super::*;
use crate::{
    model::refund::ReceivedBy,
    model::{
        decision::Destination,
        ids::{OrderNo, OutRefundNo, RefundId, TransactionId},
        money::Fen,
        order::OrderState,
    },
    rules::{
        reserve_refund::tests::{context, new_refund, refund},
        settle_trade::tests::{order, payment},
    },
};

const AT: UnixSeconds = UnixSeconds(1_000_100);

fn facts() -> MerchantFacts {
    MerchantFacts {
        mchid: "1900000001".into(),
        notify_url: "https://n".into(),
    }
}

/// The paid order that the refund of 40 fen belongs to.
fn paid() -> Order {
    let mut order = order(OrderState::Paid(payment("420001")));
    order.refunds.committed_fen = 40;
    order.refunds.count = 1;
    order
}

pub(crate) fn news(status: ReportedRefundStatus) -> RefundNews {
    let refund = refund(RefundState::Reserved);
    RefundNews {
        mchid: Some("1900000001".into()),
        order_no: refund.order_no,
        transaction_id: refund.transaction_id,
        out_refund_no: refund.out_refund_no,
        refund_id: RefundId::parse("500001").unwrap(),
        status,
        amount: refund.amount,
        total: refund.total,
        accepted_at: None,
        received_by: None,
        request_id: None,
    }
}

fn from_the_console(fen: i64, status: ReportedRefundStatus) -> RefundNews {
    RefundNews {
        out_refund_no: OutRefundNo::parse("console@1").unwrap(),
        amount: Fen::new(fen).unwrap(),
        ..news(status)
    }
}

fn settled(state: RefundState, status: ReportedRefundStatus) -> String {
    let found = refund(state);
    match settle_refund(&paid(), Some(&found), &facts(), &news(status), &context()) {
        RefundSettlement::Change(change) => change.events.last().unwrap().to.clone(),
        RefundSettlement::AlreadyDone => "done".into(),
        RefundSettlement::StillOpen => "open".into(),
        RefundSettlement::PaymentNotBooked => "not yet".into(),
        RefundSettlement::Park(parked) => format!("parked: {}", parked.reason.name()),
    }
}

#[test]
fn news_does_to_each_state_of_a_refund_what_states_md_says() {
    let all = [
        ReportedRefundStatus::Processing,
        ReportedRefundStatus::Succeeded(AT),
        ReportedRefundStatus::Closed,
        ReportedRefundStatus::Abnormal,
    ];
    for (state, becomes) in [
        (
            RefundState::Reserved,
            ["processing", "succeeded", "closed", "abnormal"],
        ),
        (
            RefundState::Processing,
            ["open", "succeeded", "closed", "abnormal"],
        ),
        (
            RefundState::Refused("NO_AUTH".into()),
            ["processing", "succeeded", "closed", "abnormal"],
        ),
        (
            RefundState::Abnormal,
            ["open", "succeeded", "closed", "done"],
        ),
        (RefundState::Succeeded(AT), ["done"; 4]),
        (
            RefundState::Closed,
            ["done", "parked: paid_after_close", "done", "done"],
        ),
    ] {
        for (status, becomes) in all.into_iter().zip(becomes) {
            assert_eq!(
                settled(state.clone(), status),
                becomes,
                "{} by {status:?}",
                state.name()
            );
        }
    }
}

#[test]
fn a_result_that_differs_in_anything_is_parked() {
    let good = news(ReportedRefundStatus::Succeeded(AT));
    let mut other_id = refund(RefundState::Processing);
    other_id.refund_id = RefundId::parse("500009").ok();
    for (news, field) in [
        (
            RefundNews {
                mchid: Some("1900000002".into()),
                ..good.clone()
            },
            "mchid",
        ),
        (
            RefundNews {
                transaction_id: TransactionId::parse("420009").unwrap(),
                ..good.clone()
            },
            "transaction_id",
        ),
        (
            RefundNews {
                amount: Fen::new(41).unwrap(),
                ..good.clone()
            },
            "amount.refund",
        ),
        (
            RefundNews {
                total: Fen::new(99).unwrap(),
                ..good.clone()
            },
            "amount.total",
        ),
        (
            RefundNews {
                order_no: OrderNo::parse("ORDER-2").unwrap(),
                ..good.clone()
            },
            "out_trade_no",
        ),
    ] {
        let found = refund(RefundState::Processing);
        let RefundSettlement::Park(parked) =
            settle_refund(&paid(), Some(&found), &facts(), &news, &context())
        else {
            panic!("{field}")
        };
        assert_eq!(parked.reason, RefundParkReason::Differs { field });
    }
    assert!(matches!(
        settle_refund(&paid(), Some(&other_id), &facts(), &good, &context()),
        RefundSettlement::Park(_)
    ));
}

#[test]
fn a_refund_whose_money_a_person_gave_free_is_parked_when_it_moves_all_the_same() {
    let mut released = refund(RefundState::Closed);
    released.decided = Some(crate::model::decision::DecidedBy {
        who: "Li".into(),
        why: "paid in cash".into(),
    });
    for status in [
        ReportedRefundStatus::Processing,
        ReportedRefundStatus::Abnormal,
    ] {
        let settled = settle_refund(
            &paid(),
            Some(&released),
            &facts(),
            &news(status),
            &context(),
        );
        assert!(matches!(settled, RefundSettlement::Park(_)), "{settled:?}");
    }
}

#[test]
fn money_that_wechat_pay_says_went_to_the_merchant_leaves_its_payer_owed_whatever_sent_it_there() {
    let news_of = |received_by, status| RefundNews {
        received_by,
        ..news(status)
    };
    let through = |found: &Refund, received_by| {
        let news = news_of(received_by, ReportedRefundStatus::Succeeded(AT));
        let settled = settle_refund(&paid(), Some(found), &facts(), &news, &context());
        let RefundSettlement::Change(change) = settled else {
            panic!("{settled:?}")
        };
        let Some(crate::rules::change::RefundChange::Updated(_, to)) = change.refund else {
            panic!()
        };
        *to
    };
    let abnormal = refund(RefundState::Abnormal);
    let merchant = Some(ReceivedBy::Merchant);
    let owed = through(&abnormal, merchant);
    assert!(owed.owes_its_payer() && owed.due.is_some());
    assert_eq!(owed.redirected.unwrap().decided.who, "WeChat Pay's console");
    for received_by in [None, Some(ReceivedBy::Payer)] {
        assert!(!through(&abnormal, received_by).owes_its_payer());
    }
    // The operator who redirected it here stays on record.
    let li = |to| Redirection {
        to,
        decided: crate::model::decision::DecidedBy {
            who: "Li".into(),
            why: "card gone".into(),
        },
        at: AT,
        sent_again_at: None,
    };
    let sent = |to| Refund {
        redirected: Some(li(to)),
        ..abnormal.clone()
    };
    let to_merchant = sent(Destination::Merchant);
    let known = through(&to_merchant, merchant).redirected;
    assert_eq!(known, Some(li(Destination::Merchant)));
    let to_card = sent(Destination::User);
    assert!(through(&to_card, merchant).owes_its_payer());
    // In the opposite case an operator is notified, since no payer must be paid twice.
    let payer = news_of(Some(ReceivedBy::Payer), ReportedRefundStatus::Succeeded(AT));
    assert!(payer.contradicts(&to_merchant) && !payer.contradicts(&to_card));
    assert!(
        through(&to_merchant, None).owes_its_payer(),
        "not known who"
    );
    let payer_has_it = through(&to_merchant, Some(ReceivedBy::Payer));
    assert!(!payer_has_it.owes_its_payer() && payer_has_it.needs_payer_statement());
    assert!(payer_has_it.due.is_some(), "until an operator has checked");
    let early = news_of(Some(ReceivedBy::Payer), ReportedRefundStatus::Processing);
    assert!(!early.contradicts(&to_merchant), "it is not through");

    let console = RefundNews {
        received_by: merchant,
        ..from_the_console(60, ReportedRefundStatus::Succeeded(AT))
    };
    let RefundSettlement::Change(change) =
        settle_refund(&paid(), None, &facts(), &console, &context())
    else {
        panic!()
    };
    assert!(new_refund(&change).owes_its_payer());
    let early = news_of(merchant, ReportedRefundStatus::Processing);
    assert!(!early.went_to_merchant());
}

#[test]
fn when_a_refund_was_accepted_is_kept_from_the_first_news_that_says_it() {
    let news_at = |at: i64, status| RefundNews {
        accepted_at: Some(UnixSeconds(at)),
        ..news(status)
    };
    let moved = |found: &Refund, news: &RefundNews| {
        let settlement = settle_refund(&paid(), Some(found), &facts(), news, &context());
        let RefundSettlement::Change(change) = settlement else {
            panic!("{settlement:?}")
        };
        let Some(crate::rules::change::RefundChange::Updated(from, to)) = change.refund else {
            panic!("{change:?}")
        };
        assert_eq!(*from, *found, "as it was read");
        *to
    };
    let reserved = refund(RefundState::Reserved);
    let abnormal = moved(&reserved, &news(ReportedRefundStatus::Abnormal));
    assert_eq!(abnormal.accepted_at, None, "a notice does not have it");
    let succeeded = moved(&abnormal, &news_at(7, ReportedRefundStatus::Succeeded(AT)));
    assert_eq!(succeeded.accepted_at, Some(UnixSeconds(7)));
    let processing = moved(&reserved, &news_at(7, ReportedRefundStatus::Processing));
    let later = moved(&processing, &news_at(8, ReportedRefundStatus::Closed));
    assert_eq!(later.accepted_at, Some(UnixSeconds(7)));

    let console = RefundNews {
        accepted_at: Some(UnixSeconds(9)),
        ..from_the_console(60, ReportedRefundStatus::Succeeded(AT))
    };
    let RefundSettlement::Change(change) =
        settle_refund(&paid(), None, &facts(), &console, &context())
    else {
        panic!()
    };
    assert_eq!(new_refund(&change).accepted_at, Some(UnixSeconds(9)));
}

#[test]
fn no_refusal_frees_money_and_only_one_of_the_refund_itself_stops_it_at_once() {
    let refusal = |status: u16, code: &str| {
        Refusal::read(status, format!(r#"{{"code":"{code}"}}"#).as_bytes())
    };
    let refuse = |code: &str| RefusalStep::Refuse { code: code.into() };
    let (later, pause) = (|_: &str| RefusalStep::Later, |_: &str| RefusalStep::Pause);
    type Expected<'a> = &'a dyn Fn(&str) -> RefusalStep;
    // When it has just been asked for, and after a day of trying.
    let table: [(&str, u16, [Expected<'_>; 2]); 36] = [
        ("SYSTEM_ERROR", 500, [&later, &later]),
        ("BANK_ERROR", 500, [&later, &later]),
        ("SERVICE_UNAVAILABLE", 502, [&later, &later]),
        ("BIZ_ERR_NEED_RETRY", 400, [&later, &later]),
        ("FREQUENCY_LIMITED", 429, [&later, &later]),
        ("STATEMENT_CREATING", 400, [&later, &later]),
        ("SIGN_ERROR", 401, [&later, &later]),
        ("", 502, [&later, &later]),
        ("", 400, [&later, &later]),
        ("A_NEW_ONE", 500, [&later, &later]),
        ("NOT_ENOUGH", 403, [&pause, &pause]),
        ("NO_AUTH", 403, [&later, &refuse]),
        ("REQUEST_BLOCKED", 403, [&later, &refuse]),
        ("APPID_MCHID_NOT_MATCH", 400, [&later, &refuse]),
        ("MCH_NOT_EXISTS", 404, [&later, &refuse]),
        ("NOT_FOUND", 404, [&later, &refuse]),
        ("RULE_LIMIT", 403, [&later, &refuse]),
        ("USERPAYING", 202, [&later, &refuse]),
        ("A_NEW_ONE", 400, [&later, &refuse]),
        ("PARAM_ERROR", 400, [&refuse, &refuse]),
        ("INVALID_REQUEST", 400, [&refuse, &refuse]),
        ("TRADE_ERROR", 403, [&refuse, &refuse]),
        ("OPENID_MISMATCH", 500, [&refuse, &refuse]),
        ("ORDER_CLOSED", 400, [&refuse, &refuse]),
        ("ORDERPAID", 400, [&refuse, &refuse]),
        ("ORDER_REVERSED", 400, [&refuse, &refuse]),
        ("OUT_TRADE_NO_USED", 403, [&refuse, &refuse]),
        ("ORDER_NOT_EXIST", 404, [&refuse, &refuse]),
        ("INVALID_TRANSACTIONID", 500, [&refuse, &refuse]),
        ("ACCOUNT_ERROR", 403, [&refuse, &refuse]),
        ("USER_ACCOUNT_ABNORMAL", 403, [&refuse, &refuse]),
        ("RESOURCE_NOT_EXISTS", 404, [&refuse, &refuse]),
        ("TRADE_OVERDUE", 403, [&refuse, &refuse]),
        ("REFUND_FEE_MISMATCH", 400, [&refuse, &refuse]),
        ("ALREADY_EXISTS", 400, [&refuse, &refuse]),
        ("NO_STATEMENT_EXIST", 400, [&refuse, &refuse]),
    ];
    assert_eq!(REPEATED_FOR_S, 86_400, "a day");
    for (code, status, expected) in &table {
        let refused = refusal(*status, code);
        let [at_first, after_a_day] = expected.map(|expected| expected(code));
        assert_eq!(after_refusal(&refused, 0), at_first, "{code}");
        assert_eq!(
            after_refusal(&refused, REPEATED_FOR_S - 1),
            at_first,
            "{code}"
        );
        assert_eq!(
            after_refusal(&refused, REPEATED_FOR_S),
            after_a_day,
            "{code}"
        );
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
