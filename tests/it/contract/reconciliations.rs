//! The routes of finance staff under `/v1/reconciliations`.

use futures_util::{StreamExt, stream};
use http::Request;
use payments::{
    model::bill_date::BillName,
    reconcile::difference::{Difference, DifferenceKind, DifferenceSubject, SideView},
};
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};

use super::{CONTRACT, conforms};
use crate::support::{ApiAnswer, Testbed};

const DAY: &str = "/v1/reconciliations/{date}";
const LIST: &str = "/v1/reconciliations/{date}/differences";
const CSV: &str = "/v1/reconciliations/{date}/differences.csv";
const ONE: &str = "/v1/reconciliations/{date}/differences/{id}";
const DECIDE: &str = "/v1/reconciliations/{date}/differences/{id}/decisions";

/// A person in the group that reconciles.
fn staff(name: &str) -> Option<Value> {
    Some(json!({"email": name, "email_verified": "true", "cognito:groups": "[finance]"}))
}

/// A request of a route under a day, and of a difference.
struct Ask<'a> {
    testbed: &'a Testbed,
    date: String,
    id: String,
    who: Option<Value>,
}

impl Ask<'_> {
    /// Reads, and holds the answer to the contract.
    async fn get(&self, route: &str, query: &str, status: u16) -> ApiAnswer {
        self.send(route, query, None, status).await
    }

    /// Posts JSON, and holds the answer to the contract.
    async fn post(&self, route: &str, body: &Value, status: u16) -> ApiAnswer {
        let body = (body.to_string(), "application/json");
        self.send(route, "", Some(body), status).await
    }

    async fn send(
        &self,
        route: &str,
        query: &str,
        body: Option<(String, &str)>,
        status: u16,
    ) -> ApiAnswer {
        let path = route
            .replace("{date}", &self.date)
            .replace("{id}", &self.id);
        let request = Request::builder().uri(format!("{path}{query}"));
        let (method, request) = match body {
            None => ("get", request.method("GET").body(String::new())),
            Some((body, kind)) => {
                let request = request.method("POST").header("content-type", kind);
                ("post", request.body(body))
            }
        };
        let request = request.expect("a request");
        let answer = self.testbed.console(self.who.clone(), request).await;
        let is_file = answer
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/csv; charset=utf-8");
        let answer = if is_file {
            ApiAnswer::of(answer.map(|file| json!(file).to_string()))
        } else {
            ApiAnswer::of(answer)
        };
        assert_eq!(answer.status, status, "{method} {route}: {answer:?}");
        conforms(route, method, &answer);
        answer
    }
}

fn ask<'a>(testbed: &'a Testbed, id: &str, who: &str) -> Ask<'a> {
    Ask {
        testbed,
        date: testbed.day(1).to_string(),
        id: id.to_owned(),
        who: staff(who),
    }
}

#[test]
fn the_contract_names_every_kind_of_difference_in_the_order_of_a_report() {
    let kinds = &CONTRACT["components"]["schemas"]["DifferenceKind"]["enum"];
    assert_eq!(*kinds, json!(DifferenceKind::ALL.map(DifferenceKind::name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_its_differences_and_the_file_are_as_the_contract_says() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(DifferenceKind::AmountDiffers, "ticket-88")
        .id;
    let li = ask(&testbed, &id, "li@example.com");
    let day = li.get(DAY, "", 200).await.body;
    assert_eq!(day["totals"]["difference"]["paid_fen"], 20_650);
    let by_end = |end: &str| day["totals"]["difference_by"][end]["paid_fen"].clone();
    assert_eq!(
        (by_end("open"), by_end("explained"), by_end("other_days")),
        (json!(20_600), json!(50), json!(0))
    );
    assert_eq!(day["totals"]["there"]["fee_yuan"], "149.72400");
    assert_eq!(day["differences"]["needing_somebody"], 4);
    assert_eq!(day["differences"]["by_state"]["open"], 3);
    assert_eq!(day["differences"]["by_kind"]["amount_differs"], 2);

    let list = li.get(LIST, "", 200).await.body;
    let all: Vec<&Value> = list["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!((all.len(), &list["next"]), (6, &Value::Null));
    let (mut pieces, mut query) = (Vec::new(), "?limit=4".to_owned());
    loop {
        let piece = li.get(LIST, &query, 200).await.body;
        pieces.extend(
            piece["differences"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].clone()),
        );
        let Some(next) = piece["next"].as_str() else {
            break;
        };
        query = format!("?limit=4&after={next}");
    }
    assert_eq!(
        pieces.iter().collect::<Vec<_>>(),
        all,
        "the same, piece by piece"
    );
    let open = li
        .get(LIST, "?state=open&kind=amount_differs", 200)
        .await
        .body;
    assert_eq!(open["differences"][0]["about"]["order_no"], "ticket-1090");
    assert_eq!(open["differences"].as_array().unwrap().len(), 1);

    let one = li.get(ONE, "", 200).await.body;
    assert_eq!(
        one["history"][1]["by"],
        json!({"kind": "person", "id": "zhao"})
    );
    let file = li.get(CSV, "?state=explained", 200).await;
    let name = format!("differences-{}-explained.csv", testbed.day(1));
    let disposition = file.header("content-disposition").unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"{name}\""));
    let file = file.body;
    let file = file.as_str().unwrap();
    assert_eq!(file.lines().count(), 2);
    assert!(
        file.starts_with("\u{feff}about,date,id,") && file.contains(",128.50,128.00,"),
        "{file}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_whose_sum_is_wrong_is_named_as_the_contract_says() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let about = DifferenceSubject {
        bill: Some(BillName::FundBasic),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        note: Some("line 4: the summary says 200.01, the rows say 200.00".to_owned()),
        ..SideView::default()
    };
    let (day, now) = (testbed.day(1), testbed.clock.now());
    let kind = DifferenceKind::SummaryDiffers;
    let wrong = Difference::found(day, kind, about, Some(there), None, "run-1", now);
    testbed.write_difference(wrong.clone(), &[]).await;
    let li = ask(&testbed, &wrong.id, "li@example.com");
    let one = li.get(ONE, "", 200).await.body;
    assert_eq!(one["about"], json!({"bill": "fund_basic"}));
    let list = li.get(LIST, "?kind=summary_differs", 200).await.body;
    assert_eq!(list["differences"][0]["about"]["bill"], "fund_basic");
    let day = li.get(DAY, "", 200).await.body;
    assert_eq!(day["differences"]["by_kind"]["summary_differs"], 1);
    let file = li.get(CSV, "?kind=summary_differs", 200).await.body;
    assert!(file.as_str().unwrap().contains(",fund_basic,"), "{file}");
    let example = &CONTRACT["components"]["examples"]["WrongSum"]["value"];
    assert_eq!(one["id"], example["id"], "the example is one of these");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_very_many_differences_is_downloaded_by_kind() {
    const TOO_MANY: u32 = 10_001;
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let (day, now) = (testbed.day(1), testbed.clock.now());
    let write = async |number: u32| {
        let about = DifferenceSubject {
            order_no: Some(format!("order-{number:05}")),
            ..DifferenceSubject::default()
        };
        let kind = DifferenceKind::FeeOffTheRate;
        let one = Difference::found(day, kind, about, None, None, "run-1", now);
        testbed.write_difference(one, &[]).await;
    };
    stream::iter(0..TOO_MANY)
        .for_each_concurrent(64, write)
        .await;
    let li = ask(&testbed, "x", "li@example.com");
    let all = li.get(CSV, "", 422).await;
    assert_eq!(all.code(), "too_many_for_a_file");
    // Behind the many, in the order of ids.
    let file = li.get(CSV, "?kind=unknown_order_there", 200).await.body;
    assert_eq!(file.as_str().unwrap().lines().count(), 2, "{file}");
    let page = format!("/console/{day}?kind=unknown_order_there");
    let page = Request::get(page).body(String::new()).expect("a request");
    let page = testbed.console(staff("li@example.com"), page).await;
    let page = page.into_body();
    assert!(
        page.contains("&lt;script&gt;"),
        "it is found behind the many"
    );
    assert!(page.contains("differences.csv?kind=unknown_order_there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_and_runs_are_as_the_contract_says() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(
            DifferenceKind::UnknownOrderThere,
            "<script>alert(1)</script>",
        )
        .id;
    let li = ask(&testbed, &id, "li@example.com");
    let wang = ask(&testbed, &id, "wang@example.com");
    let decision = |decision: &str, version: u64| json!({"decision": decision, "why": "nobody knows it", "version": version});

    let proposed = li.post(DECIDE, &decision("propose", 1), 200).await.body;
    assert_eq!(
        (&proposed["state"], &proposed["version"]),
        (&json!("proposed"), &json!(2))
    );
    let repeated = li.post(DECIDE, &decision("propose", 1), 200).await.body;
    assert_eq!(repeated, proposed, "it was taken before");
    let same = li.post(DECIDE, &decision("approve", 2), 403).await;
    assert_eq!(same.code(), "same_person");
    let stale = wang.post(DECIDE, &decision("approve", 1), 409).await;
    assert_eq!(stale.code(), "stale");
    assert!(testbed.reconcile_work().await.is_empty());
    let approved = wang.post(DECIDE, &decision("approve", 2), 200).await.body;
    assert_eq!(approved["state"], "approved");
    let work = json!({"v": "apply-difference.v1", "date": testbed.day(1), "id": id});
    assert_eq!(testbed.reconcile_work().await, std::slice::from_ref(&work));
    let over = wang.post(DECIDE, &decision("explain", 3), 409).await;
    assert_eq!(over.code(), "difference_state");
    assert_eq!(
        testbed.reconcile_work().await,
        [work],
        "it is started again"
    );

    let other = testbed
        .difference(DifferenceKind::AmountDiffers, "ticket-1090")
        .id;
    let other = ask(&testbed, &other, "li@example.com");
    other.post(DECIDE, &decision("propose", 1), 422).await;
    let paid = |client: Option<&str>| {
        let mut body = decision("propose_paid", 1);
        if let Some(client) = client {
            body["client"] = json!(client);
        }
        body
    };
    let not_lost = other.post(DECIDE, &paid(Some("shop")), 422).await;
    assert_eq!(not_lost.code(), "nothing_to_take_on");
    for client in [None, Some(""), Some("(nobody)")] {
        other.post(DECIDE, &paid(client), 400).await;
    }
    let no_refund = other.post(DECIDE, &decision("retry", 1), 409).await;
    assert_eq!(no_refund.code(), "difference_state");
    other
        .post(
            DECIDE,
            &json!({"decision": "explain", "why": " ", "version": 1}),
            400,
        )
        .await;
    other
        .post(DECIDE, &json!({"decision": "explain"}), 400)
        .await;

    let run = li.post(DAY, &json!({"dry_run": true}), 202).await;
    assert_eq!(
        run.header("location"),
        Some(format!("/v1/reconciliations/{}", testbed.day(1)).as_str())
    );
    let asked = json!({"v": "reconcile-day.v1", "date": testbed.day(1), "dry_run": true, "run_id": run.body["run_id"], "requested_at_ms": testbed.clock.now_ms()});
    assert_eq!(testbed.reconcile_work().await, [asked]);
    for (days_ago, status) in [(0, 422), (-1, 422), (89, 202), (90, 422)] {
        let day = Ask {
            date: testbed.day(days_ago).to_string(),
            ..ask(&testbed, "x", "li@example.com")
        };
        day.post(DAY, &json!({"dry_run": false}), status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_finance_staff_is_described_by_the_contract() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let li = ask(&testbed, &id, "li@example.com");
    let body = json!({"decision": "approve", "why": "x", "version": 2});
    for (who, status) in [
        (None, 401),
        (
            Some(json!({"sub": "1", "cognito:groups": "[finance]"})),
            401,
        ),
        (
            Some(json!({"email": "li@example.com", "cognito:groups": "[finance]"})),
            401,
        ),
        (Some(json!({"email": "li@example.com"})), 403),
        (
            Some(
                json!({"email": "li@example.com", "email_verified": "true", "cognito:groups": "[staff]"}),
            ),
            403,
        ),
    ] {
        let other = Ask {
            who,
            ..ask(&testbed, &id, "")
        };
        for route in [DAY, LIST, CSV, ONE] {
            other.get(route, "", status).await;
        }
        other.post(DAY, &json!({"dry_run": true}), status).await;
        other.post(DECIDE, &body, status).await;
    }
    let nowhere = Ask {
        date: "2026-02-30".to_owned(),
        ..ask(&testbed, &id, "li@example.com")
    };
    for route in [DAY, LIST, CSV, ONE] {
        nowhere.get(route, "", 404).await;
    }
    nowhere.post(DAY, &json!({"dry_run": true}), 404).await;
    nowhere.post(DECIDE, &body, 404).await;
    let never = Ask {
        date: testbed.day(9).to_string(),
        ..ask(&testbed, &id, "li@example.com")
    };
    assert_eq!(never.get(DAY, "", 404).await.code(), "not_reconciled");
    assert_eq!(
        never.get(LIST, "", 200).await.body,
        json!({"differences": []})
    );
    never.get(ONE, "", 404).await;
    never.post(DECIDE, &body, 404).await;

    for query in ["?limit=0", "?limit=501", "?kind=other", "?state=other"] {
        li.get(LIST, query, 400).await;
    }
    li.get(CSV, "?kind=other", 400).await;
    for route in [DAY, DECIDE] {
        li.post(route, &json!({"who": "boss"}), 400).await;
        let form = (
            "dry_run=true".to_owned(),
            "application/x-www-form-urlencoded",
        );
        li.send(route, "", Some(form), 415).await;
        let large = json!({"why": "x".repeat(17_000)});
        li.post(route, &large, 413).await;
    }

    testbed
        .wire
        .break_all(Match::service(Service::Sqs), AwsFault::ServiceFault);
    li.post(DAY, &json!({"dry_run": true}), 503).await;
    li.post(DECIDE, &body, 200).await;
    let wang = ask(&testbed, &id, "wang@example.com");
    let body = json!({"decision": "approve", "why": "x", "version": 3});
    let stranded = wang.post(DECIDE, &body, 503).await;
    assert_eq!(stranded.code(), "refund_not_started");
    testbed.wire.mend();
    testbed.advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(wang.get(ONE, "", 200).await.body["state"], "approved");
    assert_eq!(
        testbed.reconcile_work().await.len(),
        1,
        "opening the difference starts it"
    );

    testbed
        .wire
        .break_all(Match::service(Service::DynamoDb), AwsFault::ServiceFault);
    for route in [DAY, LIST, CSV, ONE] {
        li.get(route, "", 503).await;
    }
    li.post(DECIDE, &body, 503).await;
}
