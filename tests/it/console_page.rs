//! The console in a real browser: a person reads differences, proposes and approves, on a desktop
//! screen and on a phone.

use std::path::Path;

use browser::{Browser, Screen};
use matching::totals::Gap;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        difference::{Decision, DifferenceKind, DifferenceState},
        run::{Run, RunState},
    },
};
use serde_json::{Value, json};
use wechatpay_simulator::{PayOptions, PlantedDifference, RefundOutcome, WantedDifference};

use crate::support::{Testbed, native, native_for};

const NARROW: Screen = Screen {
    width: 400,
    height: 860,
    is_phone: true,
};

// Colours of the stylesheet, as a browser computes them where a person likes it light.
const RED: &str = "rgb(179, 38, 30)";
const AMBER: &str = "rgb(138, 82, 0)";
const GREEN: &str = "rgb(20, 113, 63)";

/// Saves a screenshot of the whole page, light and dark, for inspection.
async fn pictures(browser: &mut Browser, name: &str) {
    for (dark, shade) in [(false, "light"), (true, "dark")] {
        browser.likes_dark(dark).await;
        let file = format!("console-{name}-{shade}.png");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        browser.whole_picture(&file).await;
    }
    browser.likes_dark(false).await;
}

/// Shows the page on a phone's screen, where nothing may stick out, and goes back to the desktop.
async fn is_narrow_enough(browser: &mut Browser, name: &str) {
    browser.set_screen(NARROW).await;
    browser.wait("innerWidth === 400").await;
    let widths = "[document.documentElement.scrollWidth, \
        [...document.querySelectorAll('body *')].filter(e => !e.closest('.chart, .hidden, table thead') \
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))]";
    assert_eq!(browser.value(widths).await, json!([400, []]), "{name}");
    pictures(browser, &format!("{name}-narrow")).await;
    browser.set_screen(Screen::DESKTOP).await;
}

/// Writes into a field, over what is there.
async fn fill(browser: &mut Browser, selector: &str, text: &str) {
    browser.click(selector).await;
    browser
        .value(&format!("document.querySelector('{selector}').select()"))
        .await;
    browser.write(text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_persons_read_what_differs_and_let_the_money_go_back() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    let mut order = native("books-0042");
    order["amount_fen"] = json!(12_850);
    assert_eq!(testbed.post_order(&order).await.status, 201);
    testbed.pay("books-0042").await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.a_month().await;
    let url = testbed.serve_console().await;
    let yesterday = testbed.day(1);

    browser.open(&format!("{url}/console")).await;
    browser
        .wait(&format!(
            "location.pathname === '/console/{yesterday}' && document.readyState === 'complete'"
        ))
        .await;
    let text = browser.value("document.body.innerText").await;
    let text = text.as_str().expect("text");
    for expected in [
        "¥24,954.00",
        "¥24,747.50",
        "Difference +¥206.50 = explained +¥0.50 + rejected ¥0.00",
        "open +¥206.00",
        "4 differences still need somebody",
        "3 trades are judged with the next day’s bills",
        "<script>alert(1)</script>",
    ] {
        assert!(text.contains(expected), "{expected} is not in: {text}");
    }
    assert_eq!(
        browser
            .value("document.querySelectorAll('main script').length")
            .await,
        json!(0)
    );
    let style = "getComputedStyle(document.querySelector('.card')).borderTopLeftRadius";
    assert_eq!(
        browser.value(style).await,
        json!("14px"),
        "the stylesheet is in force"
    );
    pictures(&mut browser, "day").await;
    browser
        .value("document.querySelector('details').open = true")
        .await;
    is_narrow_enough(&mut browser, "day").await;
    let print = json!({"media": "print"});
    browser.command("Emulation.setEmulatedMedia", print).await;
    browser
        .whole_picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-day-print.png"))
        .await;
    browser
        .command("Emulation.setEmulatedMedia", json!({"media": ""}))
        .await;

    browser.click("a[href*='duplicate-payment']").await;
    browser.wait("document.querySelector('#why')").await;
    fill(&mut browser, "#you", "li").await;
    fill(&mut browser, "#why", "the payer called: paid twice").await;
    browser.click("button[value=approve]").await;
    browser.wait("document.querySelector('.notice')").await;
    let who = browser.value("document.querySelector('#you').value").await;
    assert_eq!(who, "li", "the name is remembered");

    fill(&mut browser, "#why", "and once more").await;
    browser.click("button[value=approve]").await;
    browser.wait("document.querySelector('[role=alert]')").await;
    let alert = browser
        .value("document.querySelector('[role=alert]').innerText")
        .await;
    assert!(
        alert
            .as_str()
            .expect("text")
            .contains("second, different person"),
        "{alert}"
    );
    assert_eq!(
        browser.value("document.querySelector('#why').value").await,
        "and once more"
    );
    pictures(&mut browser, "same-person").await;
    is_narrow_enough(&mut browser, "same-person").await;
    assert_eq!(
        testbed.reconcile_work().await,
        Vec::<serde_json::Value>::new()
    );

    fill(&mut browser, "#you", "wang").await;
    fill(&mut browser, "#why", "checked with the bank").await;
    browser.click("button[value=approve]").await;
    browser
        .wait("document.querySelector('.chip').innerText === 'Refund approved'")
        .await;
    pictures(&mut browser, "approved").await;
    let id = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let kept = testbed.reconciliation.difference(yesterday, &id).await;
    let kept = kept.expect("a table").expect("the difference");
    assert_eq!(
        (kept.state, kept.behind_the_proposal().len()),
        (DifferenceState::Approved, 0)
    );
    assert_eq!(
        testbed.reconcile_work().await,
        [json!({"v": "apply-difference.v1", "date": yesterday, "id": id})]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_never_run_says_so_and_is_run_by_a_button() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    let url = testbed.serve_console().await;
    let day = testbed.day(3);
    browser.open(&format!("{url}/console/{day}")).await;
    browser.wait("document.querySelector('.banner')").await;
    let text = browser.value("document.body.innerText").await;
    assert!(
        text.as_str().expect("text").contains("Not reconciled"),
        "{text}"
    );
    pictures(&mut browser, "never").await;
    is_narrow_enough(&mut browser, "never").await;
    browser.click("button[name=dry_run][value=true]").await;
    browser.wait("document.querySelector('.notice')").await;
    let work = testbed.reconcile_work().await;
    assert_eq!(work.len(), 1);
    assert_eq!(
        (&work[0]["v"], &work[0]["dry_run"]),
        (&json!("reconcile-day.v1"), &json!(true))
    );
    assert_eq!(work[0]["date"], json!(day));
}

/// The colour of the sum in the third figure, and of the banner's heading.
const COLOURS: &str = "[...document.querySelectorAll('.figure:last-child .sum, .banner h2')].map(e => getComputedStyle(e).color)";

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_is_red_only_while_something_of_it_is_open() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    let mut run = testbed.done(testbed.day(1), [1_000_050, 0], [1_000_000, 0]);
    let part = run.parts_done.get_mut(&0).expect("a part");
    part.differences.insert(DifferenceKind::AmountDiffers, 1);
    part.carried = 0;
    let gap = Gap {
        paid_fen: 50,
        ..Gap::default()
    };
    testbed
        .write_gaps(
            &mut run,
            &[(DifferenceKind::AmountDiffers, "ticket-88", gap)],
        )
        .await;
    testbed.write_run(&run).await;
    let differs = testbed.difference(DifferenceKind::AmountDiffers, "ticket-88");
    testbed.write_difference(differs.clone(), &[]).await;
    let url = format!(
        "{}/console/{}",
        testbed.serve_console().await,
        testbed.day(1)
    );
    browser.open(&url).await;
    browser.wait("document.readyState === 'complete'").await;
    assert_eq!(browser.value(COLOURS).await, json!([RED, RED]));

    let now = testbed.clock.now();
    let explained = differs.decided(Decision::Explain, "zhao", "waived at the counter", now);
    let explained = explained.expect("a decision");
    let saved = testbed.reconciliation.save_difference(&explained);
    saved.await.expect("a table");
    browser.open(&format!("{url}?state=explained")).await;
    browser
        .wait("location.search && document.readyState === 'complete'")
        .await;
    assert_eq!(browser.value(COLOURS).await, json!([GREEN, GREEN]));
    let text = browser
        .value("document.querySelector('.figures').innerText")
        .await;
    let text = text.as_str().expect("text");
    assert!(
        text.contains("Difference +¥0.50 = explained +¥0.50"),
        "{text}"
    );
    pictures(&mut browser, "explained").await;
    is_narrow_enough(&mut browser, "explained").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yesterday_whose_run_did_not_come_is_red_and_first() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    testbed.until(testbed.day(-1), 10, 44).await;
    let (yesterday, before) = (testbed.day(1), testbed.day(2));
    testbed
        .write_run(&testbed.done(before, [100, 0], [100, 0]))
        .await;
    let url = testbed.serve_scheduled_console().await;
    let first =
        "[...document.querySelectorAll('main .banner')].map(e => [e.className, e.innerText])[0]";
    let opened = |path: String| {
        format!("location.pathname === '{path}' && document.readyState === 'complete'")
    };
    browser.open(&format!("{url}/console")).await;
    browser.wait(&opened(format!("/console/{yesterday}"))).await;
    assert_eq!(
        browser.value(first).await[0],
        "banner quiet",
        "it may still come"
    );

    testbed.until(testbed.day(0), 10, 45).await;
    browser.open(&format!("{url}/console?again")).await;
    browser.wait(&opened(format!("/console/{yesterday}"))).await;
    let banner = browser.value(first).await;
    assert_eq!(banner[0], "banner bad", "{banner}");
    assert!(
        banner[1].as_str().expect("text").contains("Not reconciled"),
        "{banner}"
    );
    pictures(&mut browser, "overdue").await;

    // Two days before the last one that was done: of one there is nothing, of the other a run that
    // waits.
    let (nothing, waits) = (testbed.day(3), testbed.day(4));
    let first_known = testbed.done(testbed.day(5), [100, 0], [100, 0]);
    let mut waiting = Run::begun(waits, "77aa", false, first_known.started_at);
    waiting.state = RunState::Waiting;
    for run in [first_known, waiting] {
        testbed.write_run(&run).await;
    }
    browser.open(&format!("{url}/console/{before}")).await;
    browser.wait(&opened(format!("/console/{before}"))).await;
    let banner = browser.value(first).await;
    assert_eq!(banner[0], "banner bad", "{banner}");
    assert!(
        banner[1]
            .as_str()
            .expect("text")
            .contains("is not reconciled"),
        "{banner}"
    );
    let above = "document.querySelector('#missing').getBoundingClientRect().top < document.querySelector('h1').getBoundingClientRect().top";
    assert_eq!(browser.value(above).await, json!(true));
    let listed = "[...document.querySelectorAll('#missing p a')].map(a => a.pathname)";
    assert_eq!(
        browser.value(listed).await,
        json!([nothing, waits].map(|day| format!("/console/{day}")))
    );
    let red_on_soft = json!([RED, "rgb(251, 232, 230)"]);
    let not_missing = json!(["rgb(90, 102, 117)", "none"]);
    for (day, mark, colours) in [
        (yesterday, ".none.missing", &red_on_soft),
        (nothing, ".none.missing", &red_on_soft),
        (waits, ".waits.missing", &json!([RED, "none"])),
        (testbed.day(6), ".none:not(.missing)", &not_missing),
    ] {
        let mark = format!("document.querySelector(\"a[href='/console/{day}'] {mark}\")");
        let drawn = format!("[getComputedStyle({mark}).stroke, getComputedStyle({mark}).fill]");
        assert_eq!(browser.value(&drawn).await, *colours, "{day}");
    }
    is_narrow_enough(&mut browser, "overdue").await;
    browser.click("#missing a.button").await;
    browser.wait(&opened(format!("/console/{yesterday}"))).await;
}

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
    another_currency_stands_beside_ours(&mut browser, url("MONEY-1")).await;
    two_explain_and_a_third_opens_it_again(&mut browser, url("LARGE-1")).await;
    an_abnormal_refund_goes_to_the_merchant_and_its_payer_is_paid(
        &testbed,
        &mut browser,
        url("TWICE-1"),
    )
    .await;
}

async fn another_currency_stands_beside_ours(browser: &mut Browser, url: String) {
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
    let next = "A person: look, then explain";
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
    page.shows("Open", RED, "A person: pay the payer, then say how")
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
