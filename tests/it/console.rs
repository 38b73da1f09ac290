//! The console's pages as HTTP: who has access, which forms are accepted, and what browsers may
//! cache and run.

mod access;
mod unreadable;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use http::{Request, Response};
use payments::model::bill_date::BillDate;
use payments::reconcile::difference::{DifferenceKind, DifferenceState};
use payments::reconcile::run::{FundState, Run, RunState};
use serde_json::{Value, json};
use stores::reconciliation::SaveOutcome;

use crate::support::{Lines, MCHID, Testbed};

fn claims(groups: &str) -> Value {
    json!({"email": "li@example.com", "email_verified": "true", "cognito:groups": groups})
}

fn li() -> Option<Value> {
    Some(claims("[finance]"))
}

fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).expect("a request")
}

/// A form as a browser sends it from one of our pages.
fn form(path: &str, body: &str) -> Request<String> {
    from(path, body, &[("sec-fetch-site", "same-origin")])
}

fn from(path: &str, body: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::post(path)
        .header("host", "pay.example.com")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.to_owned()).expect("a request")
}

fn header<'a>(answer: &'a Response<String>, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_persons_explained_above_the_limit_is_opened_again_by_one_and_sets_off_an_alarm() {
    let testbed = Testbed::start().await;
    // Older than what the alarm on open differences counts.
    let old = testbed.day(60);
    let mut large = testbed.difference(DifferenceKind::AmountDiffers, "books-0077");
    large.date = old;
    large.there.as_mut().expect("a side").amount_fen = Some(100_001);
    let id = large.id.clone();
    testbed.write_difference(large, &[]).await;
    let path = format!("/console/{old}/differences/{id}");
    let decides = async |person: &str, decision: &str, version: u64| {
        let claims = json!({
            "email": format!("{person}@example.com"),
            "email_verified": "true", "cognito:groups": "[finance]",
        });
        let body = format!("decision={decision}&why=looked+at+it&version={version}");
        let lines = Lines::by(testbed.clock.clone());
        let answer = lines.of(testbed.console(Some(claims), form(&path, &body)));
        assert_eq!(answer.await.status(), 303, "{person} {decision}");
        let kept = testbed.reconciliation.difference(old, &id).await;
        let opened = lines
            .take_all()
            .iter()
            .any(|line| line["DifferencesOpened"] == 1);
        (
            kept.expect("a table").expect("the difference").state,
            opened,
        )
    };
    assert_eq!(
        decides("li", "explain", 1).await,
        (DifferenceState::Proposed, false)
    );
    let explained = decides("wang", "approve", 2).await;
    assert_eq!(explained, (DifferenceState::Explained, false));
    assert_eq!(
        decides("li", "reopen", 3).await,
        (DifferenceState::Open, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_opens_on_yesterday_or_on_the_day_that_was_picked() {
    let testbed = Testbed::start().await;
    let location = async |path: &str| {
        let answer = testbed.console(li(), get(path)).await;
        assert_eq!(answer.status(), 303, "{path}");
        header(&answer, "location").to_owned()
    };
    let yesterday = format!("/console/{}", testbed.day(1));
    assert_eq!(location("/console").await, yesterday);
    testbed
        .write_run(&testbed.done(testbed.day(2), [100, 0], [100, 0]))
        .await;
    assert_eq!(location("/console").await, yesterday, "also without a run");
    assert_eq!(
        location("/console?day=2026-01-31").await,
        "/console/2026-01-31"
    );
    for path in [
        "/console?day=2026-02-30",
        "/console/2026-02-30",
        "/console/x/y/z",
    ] {
        assert_eq!(
            testbed.console(li(), get(path)).await.status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_day_since_the_first_known_one_that_no_run_has_done_is_red_in_the_chart() {
    let testbed = Testbed::start().await;
    testbed.until(testbed.day(-1), 13, 0).await;
    for back in [20, 19, 9, 3, 2, 1] {
        let day = testbed.day(back);
        testbed
            .write_run(&testbed.done(day, [100, 0], [100, 0]))
            .await;
    }
    let red = async |shown: i64| {
        let asked = get(&format!("/console/{}", testbed.day(shown)));
        let page = testbed.console(li(), asked).await.into_body();
        let is_red = |back: &i64| {
            let day = testbed.day(*back);
            let link = format!("href=\"/console/{day}\" aria-label");
            let column = page.split(&link).nth(1);
            let column = column.and_then(|rest| rest.split("</a>").next());
            column.is_some_and(|column| column.contains("none missing"))
        };
        let red: Vec<i64> = (0..50).filter(is_red).collect();
        let banner = page.split("id=\"missing\"").nth(1);
        let banner = banner.and_then(|rest| rest.split("</section>").next());
        (
            red,
            banner.map_or(0, |banner| banner.matches("href=").count()),
        )
    };
    let days: Vec<i64> = (4..9).chain(10..19).collect();
    // Every page names the last seven days; the page of one of them only the others.
    assert_eq!(red(1).await, (days.clone(), 4));
    assert_eq!(red(5).await, (days, 3));
    // A month that ends within the gap, and one that ends at the first run.
    assert_eq!(red(30).await.0, [15, 16, 17, 18]);
    assert_eq!(red(35).await, (vec![], 4));
}

/// Makes an item of a day unreadable.
pub(crate) async fn damage(testbed: &Testbed, day: BillDate, sk: &str) {
    let written = testbed
        .dynamo()
        .update_item()
        .table_name(&testbed.tables.reconciliation)
        .key("pk", AttributeValue::S(format!("day#{MCHID}#{day}")))
        .key("sk", AttributeValue::S(sk.to_owned()))
        .update_expression("SET body = :body")
        .expression_attribute_values(":body", AttributeValue::S("no JSON".to_owned()));
    written.send().await.expect("a table");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_leaves_the_function_byte_for_byte() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let path = format!("/v1/reconciliations/{}/differences.csv", testbed.day(1));
    let event = |query: &str| {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "pay.example.com"}, "isBase64Encoded": false,
            "requestContext": {
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4"},
                "authorizer": {"jwt": {"claims": claims("[finance]")}},
            },
        })
    };
    let answer = testbed.console_event(&event("kind=amount_differs")).await;
    assert_eq!(
        (&answer["statusCode"], &answer["isBase64Encoded"]),
        (&json!(200), &json!(true))
    );
    let body = answer["body"].as_str().expect("base64");
    let file = base64::engine::general_purpose::STANDARD
        .decode(body)
        .expect("base64");
    assert!(file.starts_with(b"\xef\xbb\xbfabout,date,"), "a mark, once");
    assert!(!file.starts_with(b"\xef\xbb\xbf\xef"));
    let file = String::from_utf8(file).expect("UTF-8");
    let rows: Vec<&str> = file.lines().skip(1).collect();
    let chosen = rows.iter().filter(|row| row.contains(",amount_differs,"));
    assert_eq!((rows.len(), chosen.count()), (2, 2), "of that kind alone");
    let disposition = answer["headers"]["content-disposition"]
        .as_str()
        .expect("a name");
    assert!(disposition.contains("-amount_differs.csv"), "{disposition}");
    let refused = testbed.console_event(&event("kind=other")).await;
    assert_eq!(
        (&refused["statusCode"], &refused["isBase64Encoded"]),
        (&json!(400), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_in_trouble_says_what_it_is_and_what_to_do() {
    let testbed = Testbed::start().await;
    let run = |back, state, trouble: Option<&str>| {
        let mut run = Run::begun(testbed.day(back), "run-1", false, testbed.clock.now());
        (run.state, run.trouble) = (state, trouble.map(str::to_owned));
        if let (RunState::Done, Some(funds)) = (state, &mut run.funds) {
            funds.state = FundState::Done;
        }
        run
    };
    for (back, state, trouble, expected) in [
        (
            1,
            RunState::Waiting,
            None,
            &["makes a day’s bill by 10:00"][..],
        ),
        (2, RunState::Running, None, &["0 of 1 parts"]),
        (
            3,
            RunState::Running,
            Some("not now: WeChat Pay did not answer"),
            &[
                "Not now: WeChat Pay did not answer.",
                "tries again by itself",
            ],
        ),
        (
            4,
            RunState::Failed,
            Some("the bill’s SHA-1 is wrong"),
            &[
                "The bill’s SHA-1 is wrong.",
                "fetched again by itself, four times",
                "tell on-call (runbook reconciliation.md)",
            ],
        ),
        (
            5,
            RunState::Failed,
            None,
            &["tell on-call (runbook reconciliation.md)"],
        ),
        (6, RunState::Done, None, &["Both sides agree"]),
    ] {
        testbed.write_run(&run(back, state, trouble)).await;
        let path = format!("/console/{}", testbed.day(back));
        let page = testbed.console(li(), get(&path)).await;
        assert_eq!(page.status(), 200);
        let page = page.into_body();
        for words in expected {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert_eq!(
            page.contains("name=\"dry_run\""),
            state != RunState::Running,
            "{state:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_asked_for_is_on_its_way_only_until_one_has_begun() {
    let testbed = Testbed::start().await;
    let day = testbed.day(1);
    let mut before = Run::begun(day, "run-1", false, testbed.clock.now());
    before.state = RunState::Done;
    testbed.write_run(&before).await;
    testbed.advance(Duration::from_secs(60)).await;
    let asked = form(&format!("/console/{day}"), "dry_run=true");
    let answer = testbed.console(li(), asked).await;
    let address = header(&answer, "location").to_owned();
    let says_so = async |address: &str| {
        let page = testbed.console(li(), get(address)).await.into_body();
        page.contains("A preview is requested")
    };
    assert!(says_so(&address).await);
    assert!(!says_so(&format!("/console/{day}")).await);
    assert!(!says_so(&format!("/console/{day}?done=preview")).await);
    let page = testbed.console(li(), get(&address)).await.into_body();
    let plain = format!("href=\"/console/{day}\">Load the page again");
    assert!(page.contains(&plain), "{page}");
    let begun = Run::begun(day, "run-2", true, testbed.clock.now());
    testbed.write_run(&begun).await;
    assert!(!says_so(&address).await, "it has begun");

    let answer = testbed
        .console(
            li(),
            form(&format!("/console/{}", testbed.day(2)), "dry_run=true"),
        )
        .await;
    let address = header(&answer, "location").to_owned();
    assert!(says_so(&address).await);
    testbed.advance(Duration::from_secs(901)).await;
    assert!(!says_so(&address).await, "it is not said for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_after_a_decision_is_not_shown_for_a_difference_that_went_on() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let path = format!("/console/{}/differences/{id}", testbed.day(1));
    let notice = async |done: &str| {
        let page = testbed
            .console(li(), get(&format!("{path}?done={done}")))
            .await;
        page.into_body().contains("class=\"notice\"")
    };
    for done in ["approve", "reject", "explain", "steal"] {
        assert!(!notice(done).await, "{done}: nobody decided");
    }
    let decide = async |decision: &str, version: u64, who: Option<Value>| {
        let body = format!("decision={decision}&why=x&version={version}");
        let answer = testbed.console(who, form(&path, &body)).await;
        assert_eq!(answer.status(), 303, "{}", answer.body());
    };
    decide("approve", 2, li()).await;
    assert!(notice("approve").await);
    decide("reject", 3, li()).await;
    assert!(!notice("approve").await && notice("reject").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_after_the_sums_were_counted_is_shown_beside_what_is_open() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let says_so = async || {
        let page = testbed
            .console(li(), get(&format!("/console/{}", testbed.day(1))))
            .await;
        page.into_body().contains("+¥128.50 is repaired since")
    };
    assert!(!says_so().await, "that repair was counted before");
    let lost = testbed.difference(DifferenceKind::PaidThereUnpaidHere, "tea-04188");
    let repaired = lost.repaired("8f3a1c5e", "WeChat Pay confirms it", testbed.clock.now());
    let saved = testbed.reconciliation.save_difference(&repaired).await;
    assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
    assert!(says_so().await);
}
