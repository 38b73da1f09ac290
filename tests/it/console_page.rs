//! The console in a real browser: a person reads differences, proposes and approves, on a desktop
//! screen and on a phone.

mod difference;
mod map;
mod order;

use std::path::Path;

use browser::{Browser, Screen};
use matching::totals::Gap;
use payments::reconcile::difference::{Decision, DifferenceKind, DifferenceState};
use payments::reconcile::run::{Run, RunState};
use serde_json::json;

use crate::support::{Testbed, native};

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
        "4 differences still need attention",
        "3 trades will be compared with the next day’s bills",
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
