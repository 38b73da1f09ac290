//! The console's pages as HTTP: who has access, which forms are accepted, and what browsers may
//! cache and run.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use http::{Request, Response};
use matching::totals::Gaps;
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        carried::CarriedTrade,
        difference::{DifferenceKind, DifferenceState},
        run::{FundState, Run, RunState},
    },
};
use serde_json::{Value, json};
use stores::reconciliation::SaveOutcome;
use testbed::{Match, Service};

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
async fn without_a_verified_token_nothing_is_shown_whatever_headers_say() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    let one = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    for path in [
        "/console",
        "/console/style.css",
        "/console/nowhere",
        &day,
        &format!("{day}/differences/{one}"),
    ] {
        let mut request = get(path);
        for (name, value) in [
            ("cookie", "console_you=li@example.com"),
            ("authorization", "Bearer e30.e30."),
            ("x-forwarded-user", "li@example.com"),
        ] {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let answer = testbed.console(None, request).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(header(&answer, "www-authenticate"), "Bearer");
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
        assert!(answer.body().contains("Nobody is signed in"));
        assert!(!answer.body().contains("¥"), "{path}");
    }
    for groups in ["[staff]", "[finance readers]"] {
        let stranger = Some(claims(groups));
        let answer = testbed.console(stranger, get(&day)).await;
        assert_eq!(answer.status(), 403, "{groups}");
        assert!(!answer.body().contains("¥"));
    }
    let unverified = json!({"email": "li@example.com", "cognito:groups": "[finance]"});
    let answer = testbed.console(Some(unverified), get(&day)).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.body().contains("email_verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_not_cached_and_may_run_nothing() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    for path in [&day, &format!("{day}?kind=other"), "/console"] {
        let answer = testbed.console(li(), get(path)).await;
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "referrer-policy"), "same-origin");
        let policy = header(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let page = testbed.console(li(), get(&day)).await.into_body();
    for forbidden in ["<script", " style=", "<style", " onclick", "javascript:"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let style = page
        .split('"')
        .find(|text| text.contains("style.css"))
        .expect("a stylesheet");
    let style = testbed.console(li(), get(style)).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    assert!(header(&style, "cache-control").contains("immutable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_counts_only_when_a_page_of_ours_sent_it() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "null")],
        &[("origin", "https://pay.example.com.evil.example")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://pay.example.com"),
        ],
    ] {
        let answer = testbed
            .console(li(), from(&day, "dry_run=false", headers))
            .await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        assert!(answer.body().contains("Nothing was done"));
    }
    assert!(testbed.reconcile_work().await.is_empty());
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://pay.example.com")],
    ] {
        let answer = testbed
            .console(li(), from(&day, "dry_run=false", headers))
            .await;
        assert_eq!(answer.status(), 303, "{headers:?}");
        let asked_at = testbed.clock.now().0;
        assert_eq!(
            header(&answer, "location"),
            format!("{day}?done=run&at={asked_at}")
        );
    }
    assert_eq!(testbed.reconcile_work().await.len(), 2);
    let mut plain = form(&day, "dry_run=false");
    plain
        .headers_mut()
        .insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(testbed.console(li(), plain).await.status(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_put_down_to_the_token_and_never_to_the_form() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let path = format!("/console/{}/differences/{id}", testbed.day(1));
    let approve = |version| {
        form(
            &path,
            &format!("decision=approve&why=paid+twice&version={version}&you=boss"),
        )
    };
    let answer = testbed.console(li(), approve(2)).await;
    assert_eq!(answer.status(), 303, "{}", answer.body());
    assert_eq!(header(&answer, "location"), format!("{path}?done=approve"));
    assert_eq!(header(&answer, "set-cookie"), "");
    let same = testbed.console(li(), approve(3)).await;
    assert_eq!(same.status(), 403);
    assert!(
        same.body()
            .contains("a second, different person has to approve")
    );
    assert!(
        same.body().contains("paid twice"),
        "what was written is not lost"
    );
    let stale = testbed
        .console(li(), form(&path, "decision=explain&why=x&version=1"))
        .await;
    assert_eq!(stale.status(), 409);
    assert!(stale.body().contains("Changed in the meantime"));
    let kept = testbed.reconciliation.difference(testbed.day(1), &id).await;
    let kept = kept.expect("a table").expect("the difference");
    assert_eq!(kept.state, DifferenceState::Proposed);
    assert_eq!(kept.behind_the_proposal(), ["li@example.com"]);
    let page = testbed.console(li(), get(&path)).await.into_body();
    assert!(page.contains("value=\"approve\" disabled"), "{page}");
    assert!(!page.contains("name=\"you\""));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_record_cannot_be_read_says_so_on_every_page_and_all_others_stand() {
    let testbed = Testbed::start().await;
    testbed.until(testbed.day(-1), 13, 0).await;
    let found = testbed.difference(DifferenceKind::AmountDiffers, "tea-1");
    testbed.write_difference(found.clone(), &[]).await;
    // Also one that trades were left to.
    for back in 1..=4 {
        let day = testbed.day(back);
        let run = testbed.done(day, [1_250_000, 0], [1_250_000, 0]);
        testbed.write_run(&run).await;
    }
    let damaged = testbed.day(3);
    damage(&testbed, damaged, "run").await;
    let page = async |path: String| {
        let answer = testbed.console(li(), get(&path)).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.body());
        answer.into_body()
    };
    for back in [1, 2, 3, 4, 30] {
        let day = testbed.day(back);
        let reads = Match::operation(Service::DynamoDb, "BatchGetItem");
        testbed.wire.forget();
        let shown = page(format!("/console/{day}")).await;
        let column = format!("href=\"/console/{damaged}\" aria-label");
        let column = shown.split(&column).nth(1);
        let column = column.and_then(|rest| rest.split("</a>").next());
        let says = |column: &str| column.contains("its record cannot be read");
        let column = column.map(|column| says(column) && column.contains("failed"));
        assert_eq!(column, (back < 30).then_some(true), "{back}: in the chart");
        let is_own = back == 3;
        assert_eq!(shown.contains("id=\"unreadable\""), !is_own, "{back}");
        let own = shown.contains("The day’s record cannot be read");
        assert_eq!(own, is_own, "{back}");
        assert_eq!(shown.contains("¥12,500.00"), back < 30, "{back}: of others");
        assert!(!shown.contains("id=\"missing\""), "it may be reconciled");
        let may_run = shown.contains("name=\"dry_run\"");
        assert_eq!(may_run, !is_own, "{back}: no run of it could begin");
        if !is_own {
            // Those of the days that trades were left to are read beside.
            assert!(testbed.wire.count(&reads) <= 2, "{back}");
        }
    }
    let own = page(format!("/console/{}/differences/{}", found.date, found.id)).await;
    assert!(own.contains("id=\"unreadable\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_cannot_be_read_is_said_to_be_one_and_hides_no_other() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = testbed.day(1);
    let path = format!("/v1/reconciliations/{day}");
    let asked = async |path: &str| testbed.console(li(), get(path)).await;
    let before: Value = serde_json::from_str(asked(&path).await.body()).expect("JSON");
    let count = before["differences"]["count"].as_u64().expect("a number");
    assert!(before["totals"].get("difference_by").is_some());
    let damaged = &testbed.differences_of(day).await[0];
    let sk = format!("difference#{}", damaged.id);
    damage(&testbed, day, &sk).await;
    let shown: Value = serde_json::from_str(asked(&path).await.body()).expect("JSON");
    let of_day = &shown["differences"];
    assert_eq!(
        (&of_day["unreadable"], &of_day["count"]),
        (&json!(1), &json!(count - 1))
    );
    assert!(shown["totals"].get("difference_by").is_none(), "{shown}");
    let page = asked(&format!("/console/{day}")).await;
    assert_eq!(page.status(), 200);
    assert!(
        page.body()
            .contains("1 of this day’s differences cannot be read")
    );
    assert!(page.body().contains("ticket-1090"), "the others stand");
    // A file or a list in which one is missing would be taken for the whole.
    for whole in ["differences", "differences.csv"] {
        let answer = asked(&format!("{path}/{whole}")).await;
        assert_eq!(answer.status(), 503, "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_a_difference_that_cannot_be_read_is_not_green_nor_to_be_run_again() {
    let testbed = Testbed::start().await;
    let day = testbed.day(1);
    // Its sums agree, and it differs in its identity.
    let mut run = testbed.done(day, [50_000, 0], [50_000, 0]);
    let part = run.parts_done.get_mut(&0).expect("a part");
    part.differences.insert(DifferenceKind::IdentityDiffers, 1);
    testbed.write_run(&run).await;
    let found = testbed.difference(DifferenceKind::IdentityDiffers, "tea-1");
    testbed.write_difference(found.clone(), &[]).await;
    damage(&testbed, day, &format!("difference#{}", found.id)).await;
    let page = async || {
        let answer = testbed.console(li(), get(&format!("/console/{day}"))).await;
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer.into_body()
    };
    let is_neither = |page: &str| {
        for words in [
            "Both sides",
            "banner good",
            "figure good",
            "amount good",
            "is repaired, explained or decided",
            "un the day again",
            "Run again",
            "name=\"dry_run\"",
            "differences.csv",
        ] {
            assert!(!page.contains(words), "{words} is in {page}");
        }
        assert!(page.contains("banner bad"), "{page}");
        assert!(page.contains("1 of this day’s differences cannot be read"));
    };
    let alone = page().await;
    is_neither(&alone);
    assert!(alone.contains("None that can be read."), "{alone}");
    assert!(alone.contains("Done, and some differences cannot be read"));
    let repaired = testbed.difference(DifferenceKind::PaidThereUnpaidHere, "tea-2");
    let step = repaired.repaired("8f3a1c5e", "booked", testbed.clock.now());
    testbed.write_difference(repaired, &[step]).await;
    let beside = page().await;
    is_neither(&beside);
    assert!(beside.contains("tea-2"), "{beside}");
    // A run that fails for it is not to be run again either.
    run.version += 1;
    run.state = RunState::Failed;
    run.trouble = Some("something of ours cannot be read".to_owned());
    testbed.write_run(&run).await;
    let failed = page().await;
    is_neither(&failed);
    assert!(failed.contains("no run of the day comes to its end before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_not_green_while_the_next_one_has_a_difference_that_cannot_be_read() {
    let testbed = Testbed::start().await;
    let day = testbed.day(2);
    let absent = testbed.difference(DifferenceKind::PaidHereAbsentThere, "tea-1");
    let id = CarriedTrade::id_of_absent(&absent).expect("a carried trade");
    let mut run = testbed.done(day, [50_000, 0], [50_000, 0]);
    let part = run.parts_done.get_mut(&0).expect("a part");
    (part.carried, part.left_of) = (1, Some("once".to_owned()));
    let left = BTreeMap::from([(id, Gaps::default())]);
    let table = &testbed.reconciliation;
    let saved = table.save_left(day, &run.id, 0, "once", &left);
    saved.await.expect("a table");
    testbed.write_run(&run).await;
    let next = testbed.done(testbed.day(1), [50_000, 0], [50_000, 0]);
    testbed.write_run(&next).await;
    let page = async || {
        let answer = testbed.console(li(), get(&format!("/console/{day}"))).await;
        assert_eq!(answer.status(), 200, "{}", answer.body());
        answer.into_body()
    };
    let before = page().await;
    assert!(before.contains("banner good") && before.contains("Both sides agree"));
    testbed.write_difference(absent.clone(), &[]).await;
    damage(&testbed, absent.date, &format!("difference#{}", absent.id)).await;
    let page = page().await;
    for words in [
        "Both sides",
        "banner good",
        "figure good",
        "un the day again",
    ] {
        assert!(!page.contains(words), "{words} is in {page}");
    }
    assert!(page.contains("Done, and a difference of the next day cannot be read"));
    assert!(page.contains("a difference of that day cannot be read"));
    // That can be run: its own differences are as they were.
    assert!(page.contains("Run again"), "{page}");
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
                "fetched anew by itself, four times",
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
        page.contains("A preview is on its way")
    };
    assert!(says_so(&address).await);
    assert!(!says_so(&format!("/console/{day}")).await);
    assert!(!says_so(&format!("/console/{day}?done=preview")).await);
    let page = testbed.console(li(), get(&address)).await.into_body();
    let plain = format!("href=\"/console/{day}\">Load the page anew");
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
async fn what_is_said_after_a_decision_is_not_said_of_a_difference_that_went_on() {
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
