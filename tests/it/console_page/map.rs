//! The service map in a browser.

use std::time::Duration;

use browser::{Browser, Screen};
use serde_json::json;

use super::{is_narrow_enough, pictures};
use crate::{service_map::hour_of_orders, support::cloudwatch::Manner, support::serve_app};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_map_is_drawn_without_a_script_and_told_without_colours() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let (testbed, endpoint) = hour_of_orders().await;
    let at_ms = testbed.clock.now_ms();
    let put = |namespace, name, dimension, value, count| {
        endpoint.put((namespace, name), &[(dimension, value)], count, at_ms);
    };
    put(
        "AWS/Lambda",
        "Invocations",
        "FunctionName",
        "AWS::StackName-manage-order",
        1_234_567,
    );
    put(
        "AWS/Lambda",
        "Errors",
        "FunctionName",
        "AWS::StackName-manage-order",
        98_765,
    );
    put(
        "AWS/Lambda",
        "Throttles",
        "FunctionName",
        "AWS::StackName-reconcile",
        2,
    );
    put(
        "AWS/ApiGateway",
        "Count",
        "ApiId",
        testbed::environment::API_ID,
        900,
    );
    put(
        "AWS/ApiGateway",
        "5xx",
        "ApiId",
        testbed::environment::API_ID,
        3,
    );
    testbed.clock.advance(Duration::from_secs(600));
    let url = serve_app(&endpoint.console(&testbed.clock)).await;

    browser.open(&format!("{url}/console/map")).await;
    browser
        .wait("document.readyState === 'complete' && document.querySelector('.map svg .part')")
        .await;
    let parts = "[...document.querySelectorAll('.map .part .name')].map(one => one.textContent)";
    let parts = browser.value(parts).await;
    assert_eq!(
        parts.as_array().expect("parts").len(),
        service_map::nodes::Node::ALL.len()
    );
    // What failed has its number beside its colour and another line.
    let strokes = "[...document.querySelectorAll('.map.chart svg path.arrow.many')].map(one => \
        [getComputedStyle(one).stroke, getComputedStyle(one).strokeWidth])";
    assert_eq!(
        browser.value(strokes).await[0],
        json!([super::RED, "3.5px"])
    );
    let dashed =
        "getComputedStyle(document.querySelector('.map.chart svg path.arrow.few')).strokeDasharray";
    assert_eq!(browser.value(dashed).await, json!("9px, 4px"));
    let text = browser.value("document.body.innerText").await;
    let text = text.as_str().expect("text");
    for expected in [
        "98,765 (8.0 %)",
        "1,234,567",
        "1.2M/h, 8.0 % failed",
        "3 (0.4 %)",
        "2 throttled",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let scripts = "document.querySelectorAll('main script, main [style]').length";
    assert_eq!(browser.value(scripts).await, json!(0));
    // Each word stays in its part, no part leaves the picture or lies on another.
    let outside = "[...document.querySelectorAll('.map .part')].flatMap(part => { \
        const box = part.querySelector('.box').getBoundingClientRect(); \
        return [...part.querySelectorAll('text')].filter(one => { const at = one.getBoundingClientRect(); \
        return at.right > box.right - 2 || at.bottom > box.bottom || at.left < box.left; }).map(one => one.textContent); })";
    assert_eq!(browser.value(outside).await, json!([]));
    let overlaps = "(() => { const all = [...document.querySelectorAll('.map .part .box')].map(one => one.getBoundingClientRect()); \
        const svg = document.querySelector('.chart.map svg').getBoundingClientRect(); \
        const lies = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom; \
        return [all.filter(a => all.some(b => a !== b && lies(a, b))).length, \
        all.filter(a => a.left < svg.left || a.right > svg.right || a.top < svg.top || a.bottom > svg.bottom).length]; })()";
    assert_eq!(browser.value(overlaps).await, json!([0, 0]));
    pictures(&mut browser, "map").await;
    is_narrow_enough(&mut browser, "map").await;

    endpoint.answers(Manner::Denies);
    browser.click(".meta a[href='/console/map']").await;
    browser.wait("document.querySelector('.banner.bad')").await;
    pictures(&mut browser, "no-map").await;
    is_narrow_enough(&mut browser, "no-map").await;
}
