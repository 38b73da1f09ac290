//! An order's page in a browser: its way as a picture.

use std::time::Duration;

use browser::{Browser, Screen};
use serde_json::json;

use super::{is_narrow_enough, pictures};
use crate::support::{Testbed, native};

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_way_is_drawn_without_a_script() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let testbed = Testbed::start().await;
    let body = native("ORDER-1");
    assert_eq!(testbed.post_order_async(&body).await.status, 202);
    testbed
        .advance_with_queues(Duration::from_millis(1_234))
        .await;
    assert_eq!(testbed.work_off().await, 0);
    testbed.advance_with_queues(Duration::from_secs(30)).await;
    testbed.pay("ORDER-1").await;
    testbed.advance_with_queues(Duration::from_millis(85)).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.refund("ORDER-1", "r1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
    let url = testbed.serve_console().await;

    browser.open(&format!("{url}/console/orders/ORDER-1")).await;
    browser
        .wait("document.readyState === 'complete' && document.querySelector('.way svg')")
        .await;
    let names = "[...document.querySelectorAll('.way g.span > text:not(.took)')].map(one => one.textContent)";
    let names = browser.value(names).await;
    let names: Vec<&str> = names
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("text"))
        .collect();
    assert_eq!(
        names[..9],
        [
            "create-order",
            "order",
            "process-payment",
            "order",
            "receive-callback",
            "payment-results",
            "process-payment",
            "order",
            "manage-order",
        ],
        "{names:?}"
    );
    let times = "[...document.querySelectorAll('.way .took')].map(one => one.textContent)";
    let times = browser.value(times).await;
    let mut times_shown = times.as_array().expect("times").iter();
    assert!(times_shown.any(|one| one == "85 ms"), "{times}");
    let text = browser.value("document.body.innerText").await;
    let text = text.as_str().expect("text");
    for expected in [
        "WeChat Pay's callback",
        "+1.234 s",
        "+30.000 s",
        "linked to trace",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    // Its colours come from the stylesheet, which the policy allows, and it has no script.
    let fill = "getComputedStyle(document.querySelector('.way svg rect.work')).fill";
    assert_eq!(browser.value(fill).await, json!("rgb(47, 143, 107)"));
    let scripts = "document.querySelectorAll('main script').length";
    assert_eq!(browser.value(scripts).await, json!(0));
    // No bar and no word leaves the picture.
    let outside = "(() => { const box = document.querySelector('.chart.way svg').getBoundingClientRect(); \
        return [...document.querySelectorAll('.chart.way svg *:not(title)')].filter(one => { const at = one.getBoundingClientRect(); \
        return at.left < box.left - 6 || at.right > box.right + 1 || at.bottom > box.bottom + 1; }).length; })()";
    assert_eq!(browser.value(outside).await, json!(0));
    pictures(&mut browser, "order").await;
    is_narrow_enough(&mut browser, "order").await;

    browser.open(&format!("{url}/console/orders/ORDER-2")).await;
    browser.wait("document.querySelector('.empty')").await;
}
