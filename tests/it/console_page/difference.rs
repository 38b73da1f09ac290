//! A difference's page in a browser: who acts next, and what persons decide.

use browser::{Browser, Screen};
use payments::model::bill_date::BillDate;
use serde_json::{Value, json};
use wechatpay_simulator::{PayOptions, PlantedDifference, RefundOutcome, WantedDifference};

use super::{AMBER, GREEN, RED, fill, is_narrow_enough, pictures};
use crate::support::{Testbed, native_for};

/// The page of one difference, with its chip, the chip's colour, and who acts next.
struct DifferencePage<'a> {
    browser: &'a mut Browser,
    url: String,
}

impl<'a> DifferencePage<'a> {
    async fn open(browser: &'a mut Browser, url: String) -> Self {
        let mut page = Self { browser, url };
        page.reload().await;
        page
    }

    async fn reload(&mut self) {
        self.browser.open(&self.url).await;
        let is_there = "document.readyState === 'complete' && document.querySelector('.sides')";
        let is_new = format!("location.href === '{}' && {is_there}", self.url);
        self.browser.wait(&is_new).await;
    }

    async fn shows(&mut self, chip: &str, colour: &str, next: &str) {
        let shown = "(() => { const chip = document.querySelector('.chip'); \
            const fact = [...document.querySelectorAll('.facts > div')]\
                .find(one => one.firstElementChild.innerText === 'Who acts next'); \
            return [chip.innerText, getComputedStyle(chip).color, fact.lastElementChild.innerText]; })()";
        let shown = self.browser.value(shown).await;
        assert_eq!(shown, json!([chip, colour, next]));
    }

    /// A person says why and presses a button. Gives what the page answers.
    async fn presses(&mut self, who: &str, decision: &str, why: &str) -> String {
        fill(self.browser, "#you", who).await;
        fill(self.browser, "#why", why).await;
        let version = "document.querySelector('[name=version]')?.value";
        let before = self.browser.value(version).await;
        let button = format!("button[value={decision}]");
        self.browser.click(&button).await;
        let is_done = format!(
            "document.readyState === 'complete' && document.querySelector('.notice') && {version} !== {before}"
        );
        self.browser.wait(&is_done).await;
        let notice = "document.querySelector('.notice').innerText";
        let notice = self.browser.value(notice).await;
        notice.as_str().expect("text").to_owned()
    }

    /// What stands under each of the two sides.
    async fn sides(&mut self) -> [String; 2] {
        let sides = "[...document.querySelectorAll('.sides .figure')].map(side => side.innerText)";
        let sides = self.browser.value(sides).await;
        [0, 1].map(|side| sides[side].as_str().expect("text").to_owned())
    }

    /// What happened: what, by whom and why, without the order's own first steps.
    async fn happened(&mut self) -> Vec<[String; 3]> {
        let steps = "[...document.querySelectorAll('.timeline li')].map(step => \
            ['strong', '.who', '.why'].map(part => step.querySelector(part)?.innerText ?? ''))";
        let steps = self.browser.value(steps).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let steps = steps.as_array().expect("steps").iter();
        let steps = steps.map(|step| [text(&step[0]), text(&step[1]), text(&step[2])]);
        let steps = steps.filter(|step| !step[0].starts_with("Order: "));
        steps.collect()
    }
}

/// Strings as a list that can be compared.
fn step(what: &str, who: &str, why: &str) -> [String; 3] {
    [what, who, why].map(str::to_owned)
}

/// A day with an order of one fen above what one person may explain, which the bill has under
/// another appid and merchant number, with one in another currency, and with one paid twice.
async fn a_day_of_three(testbed: &Testbed) -> BillDate {
    let day = testbed.fresh_day().await;
    for (order_no, fen) in [("LARGE-1", 100_001), ("MONEY-1", 100), ("TWICE-1", 100)] {
        let made = testbed.post_order(&native_for(order_no, fen)).await;
        assert_eq!(made.status, 201, "{order_no}");
        testbed.pay(order_no).await;
        assert_eq!(testbed.work_off().await, 0);
    }
    let twice = async || {
        let admin = testbed.wechat.admin();
        let again = admin.pay_again("TWICE-1", &PayOptions::default());
        again.expect("a paid order");
    };
    testbed.in_silence(twice()).await;
    let appid = "wx0000000000000000".to_owned();
    let mchid = "1900000000".to_owned();
    let currency = "USD".to_owned();
    for (altered, order_no) in [
        (PlantedDifference::AlterAppid { appid }, "LARGE-1"),
        (PlantedDifference::AlterMchid { mchid }, "LARGE-1"),
        (PlantedDifference::AlterCurrency { currency }, "MONEY-1"),
    ] {
        testbed.plant(WantedDifference::picked(&day.to_string(), altered).of_order(order_no));
    }
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    day
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_who_acts_next_from_an_explanation_by_two_and_from_an_abnormal_refund_to_the_end()
 {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    let day = a_day_of_three(&testbed).await;
    let site = testbed.serve_console().await;
    let all = testbed.differences_of(day).await;
    let url = |order_no: &str| {
        let one = all
            .iter()
            .find(|one| one.about.order_no.as_deref() == Some(order_no));
        let id = &one.expect("a difference").id;
        format!("{site}/console/{day}/differences/{id}")
    };
    another_currency_is_shown_beside_ours(&mut browser, url("MONEY-1")).await;
    two_explain_and_a_third_opens_it_again(&mut browser, url("LARGE-1")).await;
    an_abnormal_refund_goes_to_the_merchant_and_its_payer_is_paid(
        &testbed,
        &mut browser,
        url("TWICE-1"),
    )
    .await;
}

async fn another_currency_is_shown_beside_ours(browser: &mut Browser, url: String) {
    let mut page = DifferencePage::open(browser, url).await;
    let [there, here] = page.sides().await;
    assert!(there.contains("Currency USD"), "{there}");
    assert!(here.contains("Currency CNY"), "{here}");
}

async fn two_explain_and_a_third_opens_it_again(browser: &mut Browser, url: String) {
    let mut page = DifferencePage::open(browser, url).await;
    let [there, here] = page.sides().await;
    for (side, appid, mchid) in [
        (there, "wx0000000000000000", "1900000000"),
        (here, "wx00000000000000aa", "1900000001"),
    ] {
        for words in [
            format!("Appid {appid}"),
            format!("Merchant number {mchid}"),
            "¥1,000.01".to_owned(),
        ] {
            assert!(side.contains(&words), "{words} is not in: {side}");
        }
    }
    let next = "A person: check, then explain";
    page.shows("Open", RED, next).await;
    let text = page
        .presses("li", "explain", "the shop moved its appid")
        .await;
    assert!(
        text.contains("a second, different person has to approve"),
        "{text}"
    );
    page.shows(
        "Explanation proposed",
        AMBER,
        "A person other than li: approve or reject",
    )
    .await;
    pictures(page.browser, "explanation-proposed").await;
    let text = page
        .presses("wang", "approve", "seen in the contract")
        .await;
    assert!(text.contains("approved by two persons"), "{text}");
    page.shows("Explained", GREEN, "Nobody").await;
    let text = page
        .presses("zhao", "reopen", "that contract is over")
        .await;
    assert!(text.contains("open again"), "{text}");
    page.shows("Open", RED, next).await;
    let happened = page.happened().await;
    assert_eq!(happened[0][0], "Found", "{happened:?}");
    assert_eq!(
        happened[1..],
        [
            step("Explanation proposed", "by li", "the shop moved its appid"),
            step("Explained, 2 of 2", "by wang", "seen in the contract"),
            step("Open again", "by zhao", "that contract is over"),
        ]
    );
    is_narrow_enough(page.browser, "opened-again").await;
}

async fn an_abnormal_refund_goes_to_the_merchant_and_its_payer_is_paid(
    testbed: &Testbed,
    browser: &mut Browser,
    url: String,
) {
    let arrives = async || {
        assert_eq!(testbed.work_off_days().await, 0);
        assert_eq!(testbed.work_off().await, 0);
        testbed.advance(std::time::Duration::from_secs(60)).await;
        assert_eq!(testbed.work_off().await, 0);
        testbed.sweep().await;
    };
    let admin = testbed.wechat.admin();
    let mut page = DifferencePage::open(browser, url).await;
    page.shows("Refund proposed", AMBER, "2 persons: approve or reject")
        .await;
    page.presses("li", "approve", "paid twice").await;
    page.presses("wang", "approve", "so it is").await;
    page.shows(
        "Refund approved",
        AMBER,
        "The system: the refund is being made",
    )
    .await;
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    arrives().await;
    page.reload().await;
    page.shows(
        "Open",
        RED,
        "A person: send the refund to the merchant’s account, or explain",
    )
    .await;
    admin.set_refund_outcome(RefundOutcome::Success);
    page.presses("li", "redirect", "the card is gone").await;
    page.shows(
        "Redirecting proposed",
        AMBER,
        "A person other than li: approve or reject",
    )
    .await;
    page.presses("wang", "approve", "asked the payer").await;
    page.shows(
        "Refund redirected",
        AMBER,
        "The system: it is being carried out",
    )
    .await;
    arrives().await;
    page.reload().await;
    page.shows("Open", RED, "A person: pay the payer, then record how")
        .await;
    let refund =
        "document.querySelector('main').innerText.includes('on the merchant’s own account')";
    assert_eq!(page.browser.value(refund).await, true);
    pictures(page.browser, "payer-owed").await;
    page.presses("zhao", "payer_paid", "by bank, slip 12").await;
    arrives().await;
    page.reload().await;
    page.shows("Explained", GREEN, "Nobody").await;
    is_narrow_enough(page.browser, "payer-paid").await;
    // All of a day in three seconds: what was decided stands before what came of it.
    let happened = page.happened().await;
    let steps: Vec<[String; 2]> = happened
        .iter()
        .map(|[what, who, _]| [without_ids(what), of_whom(who)])
        .collect();
    let expected = [
        ["Found", "by run"],
        ["Payment: parked", "by reconciliation"],
        ["Refund proposed", "by run"],
        ["Approved, 1 of 2", "by li"],
        ["Approved, 2 of 2", "by wang"],
        ["Refund: reserved", "by reconciliation"],
        ["Payment: parked → refunding", "by reconciliation"],
        ["Refund: reserved → processing", "by message"],
        ["Refund on its way", "by run"],
        ["Refund: processing → abnormal", "by notice"],
        ["Open again", "by run"],
        ["Redirecting proposed", "by li"],
        ["Approved, 2 of 2", "by wang"],
        [
            "Refund: abnormal → abnormal, sent to the merchant’s own account",
            "by li and wang",
        ],
        ["Refund on its way", "by run"],
        [
            "Refund: abnormal → succeeded, sent to the merchant’s own account",
            "by li and wang",
        ],
        [
            "Payment: refunding → with_merchant, sent to the merchant’s own account",
            "by li and wang",
        ],
        ["Open again", "by run"],
        ["Payer said to be paid", "by zhao"],
        [
            "Refund: succeeded → succeeded, the payer was paid by other means",
            "by zhao",
        ],
        [
            "Payment: with_merchant → released, the payer was paid by other means",
            "by zhao",
        ],
        ["Explained", "by run"],
    ];
    assert_eq!(steps, expected.map(|step| step.map(str::to_owned)));
    for (what, why) in [
        (
            "sent to the merchant’s own account",
            "the card is gone; asked the payer",
        ),
        ("the payer was paid by other means", "by bank, slip 12"),
    ] {
        let mut of_the_books = happened.iter().filter(|step| step[0].ends_with(what));
        assert!(of_the_books.all(|step| step[2] == why), "{happened:#?}");
    }
}

/// What happened, without the numbers of payment and refund.
fn without_ids(what: &str) -> String {
    match (what.split_once(' '), what.split_once(": ")) {
        (Some((subject @ ("Payment" | "Refund"), _)), Some((_, change))) => {
            format!("{subject}: {change}")
        }
        _ => what.to_owned(),
    }
}

/// By whom it was, without the ids of runs and messages.
fn of_whom(who: &str) -> String {
    let words: Vec<&str> = who.split(' ').collect();
    match words[..] {
        [
            "by",
            cause @ ("run" | "reconciliation" | "message" | "notice" | "sweep"),
            _,
        ] => {
            format!("by {cause}")
        }
        _ => who.to_owned(),
    }
}
