//! The page at `/phone`, in a real browser: a person scans or taps, and pays, cancels or fails.

use std::path::Path;

use browser::{Browser, Screen};
use serde_json::json;
use wechatpay_simulator::{
    AttemptOutcome, Config, ConsoleRefund, PayOptions, RefundOutcome, RefundStatus, SigningMode,
    TradeState,
};

use crate::support::{Ask, Merchant, Receiver, started};

async fn browser() -> Option<Browser> {
    Browser::start_or_skip(Screen::PHONE).await
}

/// Saves a screenshot of the page for inspection.
async fn picture(browser: &mut Browser, name: &str) {
    let file = format!("phone-{name}.png");
    browser
        .picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(file))
        .await;
}

async fn native(
    merchant: &Merchant,
    receiver: &Receiver,
    number: &str,
    description: &str,
    total_fen: i64,
) -> String {
    let mut order = merchant.order(number, total_fen);
    order["notify_url"] = json!(receiver.url);
    order["description"] = json!(description);
    merchant.native(&order).await
}

#[tokio::test]
async fn a_person_taps_an_order_pays_it_and_the_merchant_gets_a_notice() {
    let Some(mut browser) = browser().await else {
        return;
    };
    let (merchant, receiver) = (started(Config::for_tests()), Receiver::start().await);
    browser.open(&merchant.simulator.details.phone_url).await;
    browser
        .wait("document.getElementById('nothing').checkVisibility()")
        .await;
    picture(&mut browser, "empty").await;

    native(
        &merchant,
        &receiver,
        "ORDER-1001",
        "Jasmine tea <b>500 g</b>",
        12_845,
    )
    .await;
    native(&merchant, &receiver, "ORDER-1002", "手冲咖啡 两杯", 5_600).await;
    browser
        .wait("document.querySelectorAll('#open button').length === 2")
        .await;
    picture(&mut browser, "open").await;
    let text = browser
        .value("document.getElementById('open').innerText")
        .await;
    let text = text.as_str().unwrap();
    assert!(
        text.contains("¥128.45") && text.contains("Jasmine tea <b>500 g</b>"),
        "{text}"
    );

    browser.click("#open [data-number='ORDER-1001']").await;
    browser
        .wait("document.getElementById('pay-qr').naturalWidth > 100")
        .await;
    picture(&mut browser, "sheet").await;
    let names = browser.names().await;
    assert!(
        names.iter().all(|(_, name)| !name.is_empty()),
        "all have a name: {names:?}"
    );
    let pay = (
        "button".to_owned(),
        "Pay 128.45 yuan for Jasmine tea <b>500 g</b>".to_owned(),
    );
    assert!(names.contains(&pay), "{names:?}");

    browser.click("#do-pay").await;
    browser
        .wait("document.getElementById('result-title').innerText === 'Paid'")
        .await;
    picture(&mut browser, "paid").await;
    let order = merchant.admin().order("ORDER-1001").unwrap();
    assert_eq!(order.trade_state, TradeState::Success);
    let shown = browser
        .value("document.getElementById('result-text').innerText")
        .await;
    assert!(
        shown
            .as_str()
            .unwrap()
            .contains(&order.order.payment.unwrap().transaction_id),
        "{shown}"
    );
    let received = receiver.wait_for(1).await;
    let opened = merchant.open(&received[0], SigningMode::PublicKey);
    assert_eq!(opened["plain"]["amount"]["payer_total"], 12_845);

    browser.click("#result-done").await;
    browser.wait("document.querySelector('#past [data-number=\"ORDER-1001\"]')?.innerText.includes('Paid')").await;
    browser
        .wait("document.querySelectorAll('#open button').length === 1")
        .await;
    picture(&mut browser, "after").await;
    assert_eq!(
        browser.value("document.documentElement.scrollWidth").await,
        390,
        "nothing sticks out sideways"
    );
}

#[tokio::test]
async fn a_refund_is_shown_as_what_it_is_by_now() {
    let Some(mut browser) = browser().await else {
        return;
    };
    let (merchant, receiver) = (started(Config::for_tests()), Receiver::start().await);
    let admin = merchant.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    let mut refunds = Vec::new();
    for (number, refund_fen) in [("ORDER-1001", 100), ("ORDER-1002", 40), ("ORDER-1003", 100)] {
        native(&merchant, &receiver, number, "Tea", 100).await;
        admin.pay(number, &PayOptions::default()).unwrap();
        let requested = ConsoleRefund {
            order: number.to_owned(),
            refund_fen,
            ..ConsoleRefund::default()
        };
        refunds.push(admin.console_refund(&requested).unwrap().out_refund_no);
    }
    browser.open(&merchant.simulator.details.phone_url).await;
    let shown = |number: &str, words: &str| {
        format!(
            "document.querySelector('[data-number=\"{number}\"] .state')?.innerText === '{words}'"
        )
    };
    for number in ["ORDER-1001", "ORDER-1002", "ORDER-1003"] {
        browser.wait(&shown(number, "Refund on its way")).await;
    }
    for (refund, status) in refunds.iter().zip([
        RefundStatus::Success,
        RefundStatus::Success,
        RefundStatus::Closed,
    ]) {
        admin.settle_refund(refund, status).unwrap();
    }
    for (number, words) in [
        ("ORDER-1001", "Refunded"),
        ("ORDER-1002", "Refunded in part"),
        ("ORDER-1003", "Paid, refund failed"),
    ] {
        browser.wait(&shown(number, words)).await;
    }
}

#[tokio::test]
async fn a_person_scans_a_code_cancels_and_lets_it_fail_and_the_order_stays_open() {
    let Some(mut browser) = browser().await else {
        return;
    };
    let (merchant, receiver) = (started(Config::for_tests()), Receiver::start().await);
    let dead = native(&merchant, &receiver, "ORDER-1001", "Tea", 100).await;
    let live = native(&merchant, &receiver, "ORDER-1001", "Tea", 100).await;
    browser.open(&merchant.simulator.details.phone_url).await;
    browser
        .wait("document.querySelectorAll('#open button').length === 1")
        .await;

    browser.click("#value").await;
    browser.write(&dead).await;
    browser.click("#scan button").await;
    browser
        .wait("document.getElementById('problem').innerText.includes('replaced by a newer one')")
        .await;
    browser
        .value("document.getElementById('value').value = ''")
        .await;
    browser.click("#value").await;
    browser.write(&live).await;
    browser.click("#scan button").await;

    browser.click("#do-cancel").await;
    browser
        .wait("document.getElementById('result-title').innerText === 'Cancelled'")
        .await;
    browser.click("#result-done").await;
    browser
        .wait("document.querySelector('#open .state').innerText.includes('cancelled')")
        .await;
    browser.click("#open button").await;
    browser.click("#do-fail").await;
    browser
        .wait("document.getElementById('result-title').innerText === 'Payment failed'")
        .await;
    picture(&mut browser, "failed").await;

    let order = merchant.admin().order(&live).unwrap();
    let outcomes: Vec<AttemptOutcome> = order
        .order
        .attempts
        .iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Cancelled, AttemptOutcome::Failed]
    );
    assert_eq!(
        (order.trade_state, order.payable),
        (TradeState::NotPay, true)
    );
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn an_h5_url_opens_its_order_and_leads_back_to_the_shop() {
    let Some(mut browser) = browser().await else {
        return;
    };
    let merchant = started(Config::for_tests());
    let mut order = merchant.order("ORDER-1001", 990);
    order["scene_info"] = json!({"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}});
    let answer = merchant
        .ask(&Ask::post("/v3/pay/transactions/h5", &order))
        .await
        .json();
    let url = answer["h5_url"].as_str().unwrap();
    browser
        .open(&format!(
            "{url}&redirect_url=https%3A%2F%2Fshop.example.com%2Fthanks"
        ))
        .await;
    browser.click("#do-pay").await;
    browser
        .wait("document.getElementById('result-title').innerText === 'Paid'")
        .await;
    assert_eq!(
        browser
            .value("document.getElementById('result-back').href")
            .await,
        "https://shop.example.com/thanks"
    );
    assert_eq!(
        merchant.admin().order("ORDER-1001").unwrap().trade_state,
        TradeState::Success
    );
}
