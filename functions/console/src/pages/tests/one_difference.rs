//! The page of one difference, and what may be decided there.

use flows::problem::Problem;
use payments::reconcile::{
    difference::{
        Decision, Difference, DifferenceKind, DifferenceSubject, SideView, SoloExplainLimit,
    },
    run::RunState,
};

use super::super::{DifferenceView, RejectedForm, difference};
use super::{NOW, date, found, li, one, page, run};
use crate::{
    daily_run::DailyRun,
    person::{Person, Viewer},
    runs::DayAlerts,
};

#[test]
fn only_possible_decisions_are_offered_and_others_have_a_reason() {
    let buttons = |page: &str| -> Vec<String> {
        let values = page.split("name=\"decision\" value=\"").skip(1);
        values
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let open = found(DifferenceKind::DuplicatePayment);
    assert_eq!(buttons(&one(&li(), &open, None)), ["propose", "explain"]);
    let differs = found(DifferenceKind::AmountDiffers);
    assert_eq!(buttons(&one(&li(), &differs, None)), ["explain"]);
    let proposed = open.decided(Decision::Propose, "li", "twice", NOW).unwrap();
    let page = one(&li(), &proposed, None);
    assert_eq!(buttons(&page), ["approve", "reject", "explain"]);
    assert!(page.contains("value=\"approve\" disabled"), "{page}");
    assert!(page.contains("You stand behind this proposal already"));
    let wang = Viewer::Known(Person::named("wang").unwrap());
    assert!(!one(&wang, &proposed, None).contains("value=\"approve\" disabled"));
    let approved = proposed
        .decided(Decision::Approve, "wang", "yes", NOW)
        .unwrap();
    let page = one(&li(), &approved, None);
    assert_eq!(buttons(&page), Vec::<String>::new());
    assert!(page.contains("Approved, 2 of 2"), "{page}");
    assert!(
        page.contains("The system: the refund is being made"),
        "{page}"
    );
}

#[test]
fn another_currency_appid_merchant_and_the_expected_fee_stand_beside_ours() {
    let side = |currency: &str, appid: &str, mchid: &str| {
        Some(SideView {
            amount_fen: Some(12_345),
            currency: Some(currency.to_owned()),
            appid: Some(appid.to_owned()),
            mchid: Some(mchid.to_owned()),
            ..SideView::default()
        })
    };
    let (there, here) = (
        side("HKD", "wx-theirs", "1900000002"),
        side("CNY", "wx-ours", "1900000001"),
    );
    let about = DifferenceSubject::default();
    let kind = DifferenceKind::IdentityDiffers;
    let foreign = Difference::found(date(), kind, about.clone(), there, here, "r", NOW);
    let steps = [
        "123.45 HKD",
        "¥123.45",
        "wx-theirs",
        "wx-ours",
        "1900000002",
        "1900000001",
    ];
    let day = page(Some(&run(RunState::Done)), vec![foreign.clone()]);
    for page in [day, one(&li(), &foreign, None)] {
        for text in steps {
            assert!(page.contains(text), "{text} is not in {page}");
        }
    }
    let fee = |fee_e5| {
        Some(SideView {
            fee_e5: Some(fee_e5),
            rate: Some("0.60%".to_owned()),
            ..SideView::default()
        })
    };
    let kind = DifferenceKind::FeeOffTheRate;
    let off = Difference::found(date(), kind, about, fee(70_000), fee(60_000), "r", NOW);
    let single = one(&li(), &off, None);
    for text in ["¥0.70", "¥0.60", "0.60%", "The rate gives"] {
        assert!(single.contains(text), "{text} is not in {single}");
    }
    let listed = page(Some(&run(RunState::Done)), vec![off.clone()]);
    for text in [">The rate gives</th>", "data-label=\"The rate gives\""] {
        assert!(listed.contains(text), "{text} is not in {listed}");
    }
    let old = Difference { here: None, ..off };
    assert!(!one(&li(), &old, None).contains("The rate gives"));
}

#[test]
fn a_decision_on_what_has_changed_meanwhile_is_answered_by_what_it_is_now() {
    let problem = Problem::stale_difference();
    let found = found(DifferenceKind::AmountDiffers);
    let view = DifferenceView {
        viewer: &li(),
        alerts: DayAlerts::default(),
        daily_run: DailyRun::default(),
        difference: &found,
        journal: None,
        now: NOW,
        explain_alone: SoloExplainLimit::default(),
        done: None,
        draft: Some(RejectedForm {
            problem: &problem,
            you: "li",
            why: "a discount",
            client: "",
        }),
    };
    let page = difference(&view).into_string();
    assert!(
        page.contains("Below is its present state: read it, then decide."),
        "{page}"
    );
    assert!(!page.contains("Load it again"), "{page}");
}

#[test]
fn advice_about_a_kind_is_shown_only_while_one_of_it_waits_for_a_person() {
    let to_do = "<p class=\"todo\">";
    let done = run(RunState::Done);
    let twice = found(DifferenceKind::DuplicatePayment);
    let proposed = twice.proposed("run-1", "twice", NOW);
    let page_of = |one: &Difference| page(Some(&done), vec![one.clone()]);
    assert!(page_of(&twice).contains("approve the refund of the second payment."));
    assert!(page_of(&proposed).contains("approve its refund, or reject it."));
    let rejected = proposed.decided(Decision::Reject, "li", "no", NOW).unwrap();
    let repaired = twice.repaired("run-1", "given back", NOW);
    for over in [&rejected, &repaired] {
        assert!(!page_of(over).contains(to_do), "{:?}", over.state);
    }
    let explained = twice.decided(Decision::Explain, "li", "x", NOW).unwrap();
    let both = page(
        Some(&done),
        vec![explained, found(DifferenceKind::AmountDiffers)],
    );
    assert_eq!(both.matches(to_do).count(), 1, "of the open kind alone");
}
