//! A payer who is owed, by the console's forms: from a refund that could not be paid out to the
//! record of how the payer was paid. Also the amount up to which one person may record that.

mod console_difference;

use http::{Request, Response};
use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{Difference, DifferenceKind, DifferenceState, RefundStage},
};
use serde_json::{Value, json};
use testbed::{Fault, Match, template};
use wechatpay_simulator::{Endpoint, Fault as SimulatorFault, RefundOutcome, RefundStatus, Rule};

use crate::support::{Lines, Testbed};
pub(crate) use console_difference::ConsoleDifference;

/// An order was paid twice. The refund of its second payment, which two persons approved, could not
/// be paid out.
pub(crate) async fn could_not_be_paid_out(testbed: &Testbed) -> ConsoleDifference<'_> {
    let (day, found) = Box::pin(testbed.paid_twice("TWICE-1", false)).await;
    let difference = ConsoleDifference {
        testbed,
        day,
        id: found.id,
        order_no: "TWICE-1",
    };
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    Box::pin(difference.decides("li", "approve", "paid twice")).await;
    Box::pin(difference.decides_and_done("wang", "approve", "so it is")).await;
    Box::pin(the_refund_ends(testbed)).await;
    admin.set_refund_outcome(RefundOutcome::Success);
    difference
}

/// The same, and two persons redirected its money to the merchant, where it has arrived.
async fn sent_to_the_merchant(testbed: &Testbed) -> ConsoleDifference<'_> {
    let difference = Box::pin(could_not_be_paid_out(testbed)).await;
    Box::pin(difference.is_redirected()).await;
    Box::pin(the_refund_ends(testbed)).await;
    difference
}

/// The refund is sent, WeChat Pay reports its result, and the run of the minute copies that into
/// the difference.
async fn the_refund_ends(testbed: &Testbed) {
    assert_eq!(Box::pin(testbed.work_off()).await, 0);
    testbed.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(Box::pin(testbed.work_off()).await, 0);
    Box::pin(testbed.sweep()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_whose_money_went_to_the_merchant_is_owed_until_one_person_says_in_the_console_how_it_was_paid()
 {
    let testbed = Testbed::start().await;
    let difference = Box::pin(sent_to_the_merchant(&testbed)).await;
    let page = difference.page("zhao").await;
    for words in [
        "on the merchant’s own account",
        "A person: pay the payer, then record how",
        "li@example.com and wang@example.com",
    ] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
    assert_eq!(testbed.get_order("TWICE-1").await.body["payer_owed"], true);
    let refused = difference
        .presses(
            "zhao",
            ("explain", "it is fine"),
            ConsoleDifference::version(&page),
        )
        .await;
    assert_eq!(refused.status(), 409, "nobody explains it away");
    assert!(refused.body().contains("pay the payer, then say how"));

    // Zhao and Li have the same page before them, and press at the same time.
    let version = ConsoleDifference::version(&page);
    let (zhao, li) = (
        ("payer_paid", "by bank, slip 12"),
        ("payer_paid", "in cash"),
    );
    let both = tokio::join!(
        difference.presses("zhao", zhao, version),
        difference.presses("li", li, version)
    );
    let statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    let (who, said, other) = match statuses {
        [303, 409] => ("zhao", zhao, ("li", li, both.1)),
        [409, 303] => ("li", li, ("zhao", zhao, both.0)),
        other => panic!("{other:?}"),
    };
    assert!(other.2.body().contains("Changed in the meantime"));
    // And each once more, since a browser may repeat it.
    let repeat = difference.presses(who, said, version).await;
    assert_eq!(repeat.status(), 303, "{}", repeat.body());
    let late = difference.presses(other.0, other.1, version).await;
    assert_eq!(late.status(), 409);
    assert_eq!(Box::pin(testbed.work_off_days()).await, 0);

    let named = (format!("{who}@example.com"), said.1.to_owned());
    let closed = difference.stands().await;
    assert_eq!(closed.state, DifferenceState::Explained);
    assert_eq!(difference.journal().await, std::slice::from_ref(&named));
    let page = difference.page("zhao").await;
    for words in ["Explained", named.0.as_str(), said.1] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    let refunds = testbed.get("/v1/orders/TWICE-1/refunds").await.body;
    let [refund] = refunds["refunds"].as_array().expect("refunds").as_slice() else {
        panic!("{refunds}")
    };
    assert_eq!(refund["payer_paid"]["who"], named.0);
    assert!(refund.get("payer_owed").is_none());
    let order = testbed.get_order("TWICE-1").await.body;
    assert!(order.get("payer_owed").is_none(), "{order}");
    for notice in testbed.notices().await {
        assert_eq!(notice["status"], "decided", "{notice:?}");
    }

    // Hours later the form is sent once more, by each of them.
    testbed.advance(std::time::Duration::from_secs(7_200)).await;
    for (person, said, status) in [(who, said, 303), (other.0, other.1, 409)] {
        let answer = difference.presses(person, said, version).await;
        assert_eq!(answer.status().as_u16(), status, "{person}");
    }
    Box::pin(testbed.sweep()).await;
    Box::pin(testbed.reconcile(difference.day, false)).await;
    assert_eq!(difference.stands().await, closed, "nothing happened twice");
    assert_eq!(difference.journal().await, [named]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_came_back_is_forgotten_and_a_payer_who_then_has_the_money_is_owed_nothing()
{
    let testbed = Testbed::start().await;
    let difference = Box::pin(could_not_be_paid_out(&testbed)).await;
    let says = |patch: Value| {
        let answers = Rule::always(SimulatorFault::AlteredAnswer { patch });
        let admin = testbed.wechat.admin();
        admin.add_fault(answers.at(Endpoint::QueryRefund)).unwrap()
    };
    let still_abnormal = says(json!({"status": "ABNORMAL"}));
    Box::pin(difference.is_redirected()).await;
    let moving = difference.stands().await.refund.expect("a refund");
    assert!(moving.to_merchant && moving.stage == RefundStage::Moving);
    let ends = Box::pin(the_refund_ends(&testbed));
    testbed.in_silence(ends).await;
    Box::pin(testbed.sweep()).await;
    let back = difference.stands().await;
    assert_eq!(back.state, DifferenceState::Open);
    let refund = back.refund.expect("a refund");
    assert_eq!(
        (refund.stage, refund.to_merchant),
        (RefundStage::Abnormal, false)
    );
    // Staff name another card of the payer's in WeChat Pay's console.
    testbed.wechat.admin().clear_faults(Some(still_abnormal));
    says(json!({"user_received_account": "招商银行信用卡0403"}));
    testbed
        .advance(std::time::Duration::from_secs(6 * 3_600))
        .await;
    for _ in 0..2 {
        Box::pin(testbed.sweep()).await;
    }
    assert_eq!(difference.stands().await.state, DifferenceState::Repaired);
    let order = testbed.get_order("TWICE-1").await.body;
    assert!(order.get("payer_owed").is_none(), "{order}");
    for notice in testbed.notices().await {
        assert_eq!(notice["status"], "decided", "{notice:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_says_to_pay_a_payer_who_has_the_money_as_wechat_pay_says() {
    let testbed = Testbed::start().await;
    let difference = Box::pin(could_not_be_paid_out(&testbed)).await;
    let patch = json!({"user_received_account": "招商银行信用卡0403"});
    let rule = Rule::always(SimulatorFault::AlteredAnswer { patch });
    let admin = testbed.wechat.admin();
    admin.add_fault(rule.at(Endpoint::QueryRefund)).unwrap();
    Box::pin(difference.is_redirected()).await;
    let ends = Box::pin(the_refund_ends(&testbed));
    testbed.in_silence(ends).await;
    Box::pin(testbed.sweep()).await;
    let number = difference.out_refund_no();
    assert_eq!(admin.refund(&number).unwrap().status, RefundStatus::Success);

    const DO_NOT: &str = "do not pay";
    let page = difference.page("zhao").await;
    assert!(page.contains(DO_NOT) && !page.contains("A person: pay the payer"));
    assert!(!page.contains("The payer was paid") && page.contains("Say what was found"));
    let order = testbed.get_order("TWICE-1").await.body;
    assert!(order.get("payer_owed").is_none(), "{order}");
    let refunds = testbed.get("/v1/orders/TWICE-1/refunds").await.body;
    let refund = &refunds["refunds"][0];
    assert!(refund.get("payer_owed").is_none(), "{refund}");
    assert!(refund["what_to_do"].as_str().unwrap().contains(DO_NOT));
    // Nor by who goes by its events, or by the answer about an explanation.
    let events = testbed.get("/v1/orders/TWICE-1/events").await.body;
    let events = events["events"].as_array().expect("events");
    let of_success = events.iter().filter(|event| event["to"] == "succeeded");
    let decisions: Vec<&Value> = of_success.map(|event| &event["decision"]).collect();
    assert_eq!(decisions, [&Value::Null]);
    let payment = testbed.items("payment#").await;
    assert_eq!(payment[0]["state"], "refunded", "{payment:?}");
    let explains = difference.presses(
        "zhao",
        ("explain", "it is fine"),
        ConsoleDifference::version(&page),
    );
    let refused = Box::pin(explains).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.body().contains(DO_NOT), "{}", refused.body());
    let notices = testbed.notices().await;
    let mut owed = notices
        .iter()
        .filter(|one| one["notice_id"].starts_with("owed#"));
    let owed = owed.next().expect("one waits for a person");
    assert_eq!(owed["status"], "parked");
    assert!(owed["what_to_do"].contains(DO_NOT), "{owed:?}");
    // It is logged from the books, whichever process was killed before it was logged first.
    testbed
        .advance(std::time::Duration::from_secs(6 * 3_600))
        .await;
    let lines = Lines::default();
    Box::pin(lines.of(testbed.sweep())).await;
    let errors = lines.take("ERROR");
    let needs = |line: &&Value| line["message"] == "refund needs a person";
    let errors = errors.iter().find(needs).expect("a line");
    assert!(
        errors["what_to_do"].as_str().unwrap().contains(DO_NOT),
        "{errors}"
    );

    let said =
        difference.decides_and_done("zhao", "payer_paid", "WeChat Pay gave it back, seen there");
    Box::pin(said).await;
    let closed = difference.stands().await;
    assert_eq!(closed.state, DifferenceState::Explained);
    let why = &closed.history.last().expect("a step").why;
    assert!(why.contains("the payer has the money") && !why.contains("by other means"));
    let payment = testbed.items("payment#").await;
    assert_eq!(payment[0]["state"], "refunded", "{payment:?}");
    for notice in testbed.notices().await {
        assert_eq!(notice["status"], "decided", "{notice:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_stays_owed_where_wechat_pay_names_an_account_that_is_not_known_here() {
    let testbed = Testbed::start().await;
    let difference = Box::pin(could_not_be_paid_out(&testbed)).await;
    let patch = json!({"user_received_account": "商户账户"});
    let rule = Rule::always(SimulatorFault::AlteredAnswer { patch });
    let admin = testbed.wechat.admin();
    admin.add_fault(rule.at(Endpoint::QueryRefund)).unwrap();
    Box::pin(difference.is_redirected()).await;
    let ends = Box::pin(the_refund_ends(&testbed));
    testbed.in_silence(ends).await;
    Box::pin(testbed.sweep()).await;
    let number = difference.out_refund_no();
    assert_eq!(admin.refund(&number).unwrap().status, RefundStatus::Success);

    const NOT_KNOWN: &str = "not known here whose account has it";
    let order = testbed.get_order("TWICE-1").await.body;
    assert_eq!(order["payer_owed"], true, "{order}");
    let refunds = testbed.get("/v1/orders/TWICE-1/refunds").await.body;
    let refund = &refunds["refunds"][0];
    assert_eq!(refund["payer_owed"], true, "{refund}");
    assert!(refund["what_to_do"].as_str().unwrap().contains(NOT_KNOWN));
    let notices = testbed.notices().await;
    let mut owed = notices
        .iter()
        .filter(|one| one["notice_id"].starts_with("owed#"));
    let owed = owed.next().expect("one waits for a person");
    assert!(owed["what_to_do"].contains(NOT_KNOWN), "{owed:?}");
    let page = difference.page("zhao").await;
    assert!(page.contains("Make sure in WeChat Pay’s console"), "{page}");
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
}

/// Where a crash happens.
const DEATHS: [Fault; 2] = [Fault::DieBefore, Fault::DieAfter];

#[tokio::test(flavor = "multi_thread")]
async fn how_a_payer_was_paid_is_on_record_once_whichever_call_the_console_or_the_run_crashed_at() {
    let testbed = Testbed::start().await;
    let difference = Box::pin(sent_to_the_merchant(&testbed)).await;
    let mut said = Vec::new();
    // It is reopened each time, and recorded again.
    for of_the_console in [true, false] {
        for death in DEATHS {
            let mut calls = 0;
            loop {
                let why = format!("by bank, slip {}", said.len());
                let page = difference.page("zhao").await;
                let version = ConsoleDifference::version(&page);
                let presses = async || {
                    let pressed = ("payer_paid", why.as_str());
                    difference.presses("zhao", pressed, version).await.status()
                };
                let dies = || testbed.wire.break_after(Match::any(), calls, 1, death);
                let has_died = if of_the_console {
                    dies();
                    Box::pin(testbed.wire.run_until_crash(presses()))
                        .await
                        .is_none()
                } else {
                    assert_eq!(presses().await, 303);
                    dies();
                    let work = testbed.wire.run_until_crash(testbed.work_off_days());
                    Box::pin(work).await.is_none()
                };
                testbed.wire.mend();
                // The person presses the button again, and with that the work is handed over again.
                assert_eq!(presses().await, 303, "{death:?} at call {calls}");
                assert_eq!(Box::pin(testbed.work_off_days()).await, 0);
                said.push(("zhao@example.com".to_owned(), why));
                assert_eq!(
                    difference.journal().await,
                    said,
                    "{death:?} at call {calls}"
                );
                let stands = difference.stands().await;
                assert_eq!(
                    stands.state,
                    DifferenceState::Explained,
                    "{death:?} at call {calls}"
                );
                difference.decides("wang", "reopen", "no such slip").await;
                if !has_died {
                    break;
                }
                calls += 1;
            }
            let least = if of_the_console { 3 } else { 5 };
            assert!(calls >= least, "{calls} calls only");
        }
    }
    let page = difference.page("li").await;
    assert!(page.contains("Open again"), "{page}");
    assert_eq!(testbed.wechat.admin().refunds().len(), 1, "no money moved");
}

/// The variable of the console that a parameter of the template is handed over by.
fn variable_of(parameter: &str) -> String {
    let functions = template::resources("AWS::Serverless::Function");
    let variables = functions.filter_map(|(_, function)| {
        let variables = &function["Environment"]["Variables"];
        variables.as_object()
    });
    let mut handed = variables.flatten().filter(|(_, value)| *value == parameter);
    let (name, _) = handed.next().expect("a variable");
    assert_eq!(handed.next(), None);
    name.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_alone_explains_or_rejects_up_to_the_amount_that_is_deployed_and_not_a_fen_more()
{
    let mut testbed = Testbed::start().await;
    let variable = variable_of("ExplainAloneMaxFen");
    // Below what is so by default, and above it.
    for max_fen in [777, 5_000_000] {
        testbed.set_console(&variable, &max_fen.to_string()).await;
        for (fen, alone) in [(max_fen - 1, true), (max_fen, true), (max_fen + 1, false)] {
            let found = |kind| {
                let mut found = testbed.difference(kind, &format!("books-{fen}"));
                found.there.as_mut().expect("a side").amount_fen = Some(fen);
                found.here = None;
                found
            };
            let explained = found(DifferenceKind::AmountDiffers);
            let second = found(DifferenceKind::DuplicatePayment);
            let proposed = second.proposed("run-1", "twice", testbed.clock.now());
            testbed.write_difference(explained.clone(), &[]).await;
            let steps = std::slice::from_ref(&proposed);
            testbed.write_difference(second, steps).await;
            for (one, decision, by_one, by_the_first_of_two) in [
                (
                    explained,
                    "explain",
                    DifferenceState::Explained,
                    DifferenceState::Proposed,
                ),
                (
                    proposed,
                    "reject",
                    DifferenceState::Rejected,
                    DifferenceState::Open,
                ),
            ] {
                let difference = ConsoleDifference {
                    testbed: &testbed,
                    day: one.date,
                    id: one.id,
                    order_no: "",
                };
                difference.decides("li", decision, "looked at it").await;
                let expected = if alone { by_one } else { by_the_first_of_two };
                assert_eq!(
                    difference.stands().await.state,
                    expected,
                    "{decision} of {fen} fen, {max_fen} at most"
                );
            }
        }
    }
}
