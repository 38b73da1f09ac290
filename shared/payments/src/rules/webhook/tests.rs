mod pauses;

use super::*;
use crate::model::decision::{Destination, RefundDecision};

fn detail() -> Value {
    json!({
        "order_no": "ORDER-1",
        "client_id": "shop",
        "version": 3,
        "subject": "order",
        "subject_id": "ORDER-1",
        "from": "awaiting_payment",
        "to": "paid",
        "amount_fen": 100,
        "cause_kind": "notice",
        "cause_id": "n-1",
        "at": 1_785_556_801,
        "trace": "0af7651916cd43dd8448eb211c80319c",
    })
}

fn event() -> OutgoingEvent {
    serde_json::from_value(detail()).unwrap()
}

#[test]
fn a_webhook_says_what_a_person_decided_and_who_and_why() {
    let decision = OperatorDecision {
        what: RefundDecision::Redirect,
        to: Some(Destination::Merchant),
        who: "Li".to_owned(),
        why: "the payer has no \"card\"".to_owned(),
    };
    let mut detail = detail();
    detail["decision"] = decision.to_text().into();
    let event: OutgoingEvent = serde_json::from_value(detail.clone()).unwrap();
    let body: Value = serde_json::from_str(&event.body()).unwrap();
    let decision = json!({"what": "redirect", "to": "merchant", "who": "Li", "why": "the payer has no \"card\""});
    assert_eq!(body["data"]["decision"], decision);
    let sent_again = serde_json::to_value(&event).unwrap();
    assert_eq!(sent_again["decision"], detail["decision"]);
    for none in [json!(""), json!("?"), json!(1), Value::Null] {
        detail["decision"] = none;
        let event: OutgoingEvent = serde_json::from_value(detail.clone()).unwrap();
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        assert!(
            body["data"].get("decision").is_none(),
            "{}",
            detail["decision"]
        );
    }
}

#[test]
fn a_webhook_of_a_trace_whose_spans_nobody_wants_says_so_to_its_receiver() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let mut detail = detail();
    detail["trace"] = format!("{trace}-").into();
    let unsampled: OutgoingEvent = serde_json::from_value(detail).unwrap();
    let (parent, sampled) = (unsampled.traceparent(), event().traceparent());
    // The same ids: the journal has the event all the same.
    assert_eq!(parent.strip_suffix("-00"), sampled.strip_suffix("-01"));
    assert!(parent.starts_with(&format!("00-{trace}-")), "{parent}");
    assert_eq!(unsampled.body(), event().body());
}

#[test]
fn attempts_follow_five_seconds_five_minutes_half_an_hour_two_five_ten_and_ten_hours() {
    let ladder: Vec<Option<i32>> = (1..=9).map(next_attempt_after_s).collect();
    let (minute, hour) = (60, 3600);
    assert_eq!(
        ladder,
        [
            Some(5),
            Some(5 * minute),
            Some(30 * minute),
            Some(2 * hour),
            Some(5 * hour),
            Some(10 * hour),
            Some(10 * hour),
            None,
            None,
        ]
    );
}

#[test]
fn a_count_that_no_queue_gives_has_an_answer_too() {
    assert_eq!(next_attempt_after_s(0), Some(5));
    assert_eq!(next_attempt_after_s(u32::MAX), None);
}

#[test]
fn an_event_s_record_is_read_when_it_was_sent_again_came_before_or_is_older_than_a_quarter_of_an_hour()
 {
    let event = event();
    let after = |age_s, replay, attempt| {
        may_be_on_record(&event, replay, attempt, UnixSeconds(event.at.0 + age_s))
    };
    assert!(!after(899, false, 1));
    assert!(after(900, false, 1) && after(0, true, 1) && after(0, false, 2));
}

/// The answers at these ages, in seconds; when the last of them came the webhook ended or did
/// not.
fn ends_after(answers: &[(i64, &str)]) -> bool {
    let mut last: Option<LastAnswer> = None;
    let mut ends = false;
    for (age_s, answer) in answers {
        let now = UnixSeconds(1_000_000 + age_s);
        if let Some(next) = LastAnswer::after(last.as_ref(), answer, now) {
            last = Some(next);
        }
        let run = last.as_ref().and_then(|last| last.gone);
        ends = run.is_some_and(|run| run.ends_the_webhook(now));
    }
    ends
}

#[test]
fn one_410_or_a_thousand_within_a_moment_do_not_end_a_webhook() {
    assert!(!ends_after(&[(0, "410")]));
    let burst: Vec<(i64, &str)> = (0..1_000).map(|age_s| (age_s, "410")).collect();
    assert!(!ends_after(&burst));
}

#[test]
fn a_webhook_ends_when_its_receiver_says_410_and_nothing_else_for_six_hours() {
    let hour = 3_600;
    let hourly: Vec<(i64, &str)> = (0..=6).map(|n| (n * hour, "410")).collect();
    assert!(ends_after(&hourly));
    assert!(!ends_after(&hourly[..6]), "five hours are too few");
    // One event alone, on its ladder: the fourth that counts comes after seven and a half
    // hours.
    let ladder = [0, 5, 305, 2_105, 9_305, 27_305].map(|age_s| (age_s, "410"));
    assert!(ends_after(&ladder));
    assert!(!ends_after(&ladder[..5]));
    assert!(
        !ends_after(&[(0, "410"), (7 * hour, "410")]),
        "two are too few"
    );
}

#[test]
fn any_other_answer_begins_the_six_hours_again_and_silence_does_not() {
    let hour = 3_600;
    let with = |answer| {
        let mut answers: Vec<(i64, &str)> = (0..=6).map(|n| (n * hour, "410")).collect();
        answers.insert(3, (2 * hour + 1_800, answer));
        ends_after(&answers)
    };
    let ends_a_run = |answer| {
        let answer = LastAnswer::after(None, answer, UnixSeconds(0));
        answer.is_some_and(|answer| answer.ends_a_run())
    };
    for other in ["204", "404", "500", "301"] {
        assert!(!with(other) && ends_a_run(other), "{other}");
    }
    for silence in ["timed_out", "unreachable"] {
        assert!(with(silence) && !ends_a_run(silence), "{silence}");
    }
    assert!(!ends_a_run("410"));
}

#[test]
fn an_answer_is_written_down_when_it_changes_and_once_a_minute() {
    let at = |age_s: i64| UnixSeconds(1_000_000 + age_s);
    let first = LastAnswer::after(None, "204", at(0)).unwrap();
    assert_eq!((first.at, first.since), (at(0), at(0)));
    assert_eq!(LastAnswer::after(Some(&first), "204", at(59)), None);
    let again = LastAnswer::after(Some(&first), "204", at(60)).unwrap();
    assert_eq!((again.at, again.since), (at(60), at(0)));
    let other = LastAnswer::after(Some(&again), "500", at(61)).unwrap();
    assert_eq!((other.at, other.since), (at(61), at(61)));
}

/// When receivers with these answers at these ages, in seconds, are reported to an operator.
fn reported_at(answers: &[(i64, &str)]) -> Vec<i64> {
    let mut last: Option<LastAnswer> = None;
    let mut reported = Vec::new();
    for (age_s, answer) in answers {
        let now = UnixSeconds(1_000_000 + age_s);
        if let Some(next) = LastAnswer::after(last.as_ref(), answer, now) {
            reported.extend(next.to_report().map(|_| *age_s));
            last = Some(next);
        }
    }
    reported
}

#[test]
fn a_receiver_that_takes_nothing_for_half_an_hour_is_reported_once_whatever_it_answers() {
    // One event alone, on its ladder.
    let ladder = [0, 5, 305, 2_105, 9_305, 27_305, 63_305, 99_305];
    for answers in [
        ["502"; 8],
        ["timed_out"; 8],
        ["410"; 8],
        ["address_refused"; 8],
        [
            "502",
            "timed_out",
            "503",
            "unreachable",
            "410",
            "404",
            "502",
            "301",
        ],
    ] {
        let answers: Vec<(i64, &str)> = ladder.into_iter().zip(answers).collect();
        assert_eq!(reported_at(&answers), [2_105], "{answers:?}");
    }
    assert_eq!(reported_at(&[(0, "502"), (1_799, "503")]), [0; 0]);
    assert_eq!(reported_at(&[(0, "502"), (1_800, "503")]), [1_800]);
}

#[test]
fn a_taken_event_ends_a_receiver_s_failures_and_so_does_half_a_day_without_an_attempt() {
    let taken = [(0, "502"), (1_700, "204"), (1_801, "502"), (3_600, "502")];
    assert_eq!(reported_at(&taken), [0; 0]);
    let again = [
        (0, "502"),
        (1_800, "502"),
        (2_000, "200"),
        (2_001, "502"),
        (3_801, "502"),
    ];
    assert_eq!(reported_at(&again), [1_800, 3_801]);
    let half_a_day = 43_200;
    let rare = [
        (0, "502"),
        (1_800, "502"),
        (1_800 + half_a_day, "502"),
        (3_600 + half_a_day, "502"),
    ];
    assert_eq!(reported_at(&rare), [1_800, 3_600 + half_a_day]);
}

#[test]
fn failures_that_an_earlier_version_wrote_down_count_from_their_last_answer() {
    let at = |age_s: i64| UnixSeconds(1_000_000 + age_s);
    let of_an_earlier_version = |answer: &str| LastAnswer {
        answer: answer.to_owned(),
        at: at(1_000),
        since: at(0),
        gone: None,
        failing: None,
    };
    let reported_since = |answer: &str| {
        let last = of_an_earlier_version(answer);
        let next = LastAnswer::after(Some(&last), "502", at(1_800)).unwrap();
        next.to_report().map(|run| run.since)
    };
    assert_eq!(reported_since("502"), Some(at(0)));
    assert_eq!(reported_since("204"), None);
}

#[test]
fn only_a_2xx_is_taken_and_only_a_410_says_that_the_receiver_is_gone() {
    for (status, meaning) in [
        (100, DeliveryResult::Failed),
        (200, DeliveryResult::Accepted),
        (204, DeliveryResult::Accepted),
        (299, DeliveryResult::Accepted),
        (301, DeliveryResult::Failed),
        (307, DeliveryResult::Failed),
        (404, DeliveryResult::Failed),
        (410, DeliveryResult::Gone),
        (429, DeliveryResult::Failed),
        (500, DeliveryResult::Failed),
    ] {
        assert_eq!(DeliveryResult::with(status), meaning, "{status}");
    }
}

#[test]
fn the_body_has_the_change_and_not_its_client() {
    let body: Value = serde_json::from_str(&event().body()).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "order.changed",
            "timestamp": "2026-08-01T12:00:01+08:00",
            "data": {
                "order_no": "ORDER-1",
                "version": 3,
                "subject": "order",
                "subject_id": "ORDER-1",
                "from": "awaiting_payment",
                "to": "paid",
                "amount_fen": 100,
                "currency": "CNY",
                "cause": {"kind": "notice", "id": "n-1"},
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
            },
        })
    );
    assert_eq!(event().webhook_id(), "ORDER-1_3");
}

#[test]
fn the_first_event_of_an_order_has_no_state_before() {
    for from in [json!(""), Value::Null] {
        let mut first = detail();
        if from.is_null() {
            first.as_object_mut().unwrap().remove("from");
        } else {
            first["from"] = from;
        }
        let first: OutgoingEvent = serde_json::from_value(first).unwrap();
        let body: Value = serde_json::from_str(&first.body()).unwrap();
        assert_eq!(body["data"].get("from"), None);
    }
}

#[test]
fn numbers_are_read_from_text_too_and_nothing_else_is() {
    let mut texts = detail();
    texts["version"] = json!("3");
    texts["amount_fen"] = json!("100");
    texts["at"] = json!("1785556801");
    assert_eq!(
        serde_json::from_value::<OutgoingEvent>(texts).unwrap(),
        event()
    );
    for wrong in [json!("3.0"), json!(3.5), json!(""), json!(true), json!(-1)] {
        let mut detail = detail();
        detail["version"] = wrong.clone();
        assert!(
            serde_json::from_value::<OutgoingEvent>(detail).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn what_is_written_reads_back() {
    let written = serde_json::to_value(event()).unwrap();
    assert_eq!(written, detail());
}
