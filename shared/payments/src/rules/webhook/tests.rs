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

#[test]
fn a_receiver_rests_for_as_long_as_it_took_where_that_was_long_and_longer_where_it_hangs() {
    for (took_ms, timed_out, pause_ms) in [
        (150, false, None),
        (2_999, false, None),
        (3_000, false, Some(3_000)),
        (14_000, false, Some(14_000)),
        (15_000, true, Some(45_000)),
        // Cut off sooner, since its batch had no more time.
        (7_000, true, Some(45_000)),
        // The machine's clock was set.
        (7_200_000, false, Some(15_000)),
        (-7_200_000, false, None),
    ] {
        let (mut lane, shop) = (Lane::default(), ClientId::new("shop"));
        lane.waited_for(&shop, took_ms, timed_out, CallTime::Now, 1_000_000);
        let left_ms = match lane.call_time(&shop, 1_000_000) {
            CallTime::Now => None,
            CallTime::Later { left_ms, .. } => Some(left_ms),
        };
        assert_eq!(left_ms, pause_ms, "{took_ms}");
    }
}

#[test]
fn the_more_receivers_are_slow_the_longer_each_rests_until_it_answers_quickly() {
    let (mut lane, shop, kiosk) = (
        Lane::default(),
        ClientId::new("shop"),
        ClientId::new("kiosk"),
    );
    let rests = |left_ms| CallTime::Later {
        left_ms,
        may_wait: true,
    };
    let waited_for = |lane: &mut Lane, who: &ClientId, took_ms, hangs, now_ms| {
        lane.waited_for(who, took_ms, hangs, CallTime::Now, now_ms);
    };
    waited_for(&mut lane, &shop, 4_000, false, 4_000);
    assert_eq!(lane.call_time(&kiosk, 4_000), CallTime::Now);
    waited_for(&mut lane, &kiosk, 4_000, false, 8_000);
    assert_eq!(lane.call_time(&shop, 8_000), CallTime::Now);
    assert_eq!(lane.call_time(&kiosk, 8_000), rests(12_000));
    // The clock says so, and what was known before is no shorter for it.
    waited_for(&mut lane, &kiosk, 3_000, false, 8_001);
    let longer = CallTime::Later {
        left_ms: 11_999,
        may_wait: false,
    };
    assert_eq!(lane.call_time(&kiosk, 8_001), longer);
    waited_for(&mut lane, &shop, 15_000, true, 23_000);
    assert_eq!(lane.call_time(&shop, 23_000), rests(45_000));
    waited_for(&mut lane, &kiosk, 100, false, 23_100);
    assert_eq!(lane.call_time(&kiosk, 23_100), CallTime::Now);
    waited_for(&mut lane, &shop, 4_000, false, 72_000);
    assert_eq!(lane.call_time(&shop, 72_000), rests(4_000), "it is alone");
}

#[test]
fn last_attempts_wait_for_a_receiver_that_rests_and_take_no_more_than_its_share_and_3_s_each() {
    let hour_s = 3_600;
    for (receivers, hangs, at_most_s) in [
        (1, true, hour_s / 4),
        (2, true, hour_s / 2),
        (5, true, hour_s / 2),
        (1, false, hour_s / 2),
        (2, false, hour_s / 2),
        (5, false, hour_s / 2),
    ] {
        let mut lane = Lane::default();
        let name = |n: usize| ClientId::new(format!("slow-{n}"));
        let (mut now_ms, mut turn) = (0, 0);
        let (mut waited_s, mut waits, mut last_attempts) = (0, vec![0; receivers], 0);
        // The last attempts that are cut short, and when the next one comes: one in 20 s.
        let (mut cut_short, mut next_ms) = (0, 0);
        while now_ms < hour_s * 1_000 {
            turn = (turn + 1) % receivers;
            let asked = lane.call_time(&name(turn), now_ms);
            match asked {
                CallTime::Now | CallTime::Later { may_wait: true, .. } => {
                    let took_ms = if hangs { 15_000 } else { 14_000 };
                    last_attempts += i64::from(asked != CallTime::Now);
                    now_ms += took_ms;
                    waited_s += took_ms / 1_000;
                    waits[turn] += 1;
                    lane.waited_for(&name(turn), took_ms, hangs, asked, now_ms);
                }
                CallTime::Later {
                    may_wait: false, ..
                } if now_ms >= next_ms => {
                    cut_short += 1;
                    next_ms = now_ms + 20_000;
                    now_ms += SLOW_MS;
                    lane.waited_for(&name(turn), SLOW_MS, true, asked, now_ms);
                }
                CallTime::Later {
                    may_wait: false, ..
                } => now_ms += 100,
            }
        }
        let case = format!("{receivers} {hangs}");
        // Both pauses may be behind the end.
        let spare_s = 30 * i64::try_from(receivers).unwrap();
        assert!(waited_s <= at_most_s + spare_s, "{case}: {waited_s} s");
        let with_cut_s = waited_s + cut_short * SLOW_MS / 1_000;
        let most_cut_s = hour_s / 20 * SLOW_MS / 1_000;
        assert!(
            with_cut_s <= at_most_s + spare_s + most_cut_s,
            "{case}: {with_cut_s} s"
        );
        assert!(cut_short > 20, "{case}: {cut_short}");
        assert!(last_attempts > 20, "{case}: {last_attempts}");
        assert!(waits.iter().all(|count| *count > 5), "{case}: {waits:?}");
    }
}

#[test]
fn an_attempt_that_was_cut_short_does_not_make_a_slow_receiver_one_that_hangs() {
    let (mut lane, shop) = (Lane::default(), ClientId::new("shop"));
    lane.waited_for(&shop, 14_000, false, CallTime::Now, 14_000);
    let asked = lane.call_time(&shop, 14_000);
    lane.waited_for(&shop, 14_000, false, asked, 28_000);
    let asked = lane.call_time(&shop, 28_000);
    let beyond = CallTime::Later {
        left_ms: 28_000,
        may_wait: false,
    };
    assert_eq!(asked, beyond);
    lane.waited_for(&shop, SLOW_MS, true, asked, 31_000);
    let left = CallTime::Later {
        left_ms: 25_000,
        may_wait: false,
    };
    assert_eq!(lane.call_time(&shop, 31_000), left);
    // One that answers quickly now needs no pause.
    lane.waited_for(&shop, 100, false, left, 31_100);
    assert_eq!(lane.call_time(&shop, 31_100), CallTime::Now);
}

#[test]
fn a_pause_that_began_while_others_were_slow_leaves_its_receiver_the_last_attempts_of_its_share() {
    let mut lane = Lane::default();
    let name = |n: usize| ClientId::new(format!("slow-{n}"));
    for n in 0..5 {
        lane.waited_for(&name(n), 15_000, true, CallTime::Now, 15_000);
    }
    for n in 0..4 {
        lane.waited_for(&name(n), 100, false, CallTime::Now, 20_000);
    }
    let (alone, began_ms) = (name(4), 20_000);
    let asked = lane.call_time(&alone, began_ms);
    let of_five = CallTime::Later {
        left_ms: 130_000,
        may_wait: true,
    };
    assert_eq!(asked, of_five);
    lane.waited_for(&alone, 15_000, true, asked, 35_000);
    // That wait made the pause longer by one of a single slow receiver.
    let longer = CallTime::Later {
        left_ms: 175_000,
        may_wait: false,
    };
    assert_eq!(lane.call_time(&alone, 35_000), longer);
    let has_rested = CallTime::Later {
        left_ms: 135_000,
        may_wait: true,
    };
    assert_eq!(lane.call_time(&alone, 75_000), has_rested);
    lane.waited_for(&alone, 15_000, true, has_rested, 90_000);
    let longer = CallTime::Later {
        left_ms: 180_000,
        may_wait: false,
    };
    assert_eq!(lane.call_time(&alone, 90_000), longer);
}

/// For how many seconds of an hour each slow receiver blocks a lane, when all have events at
/// all times.
fn held_up_s_by(slow: &[(i64, bool)]) -> Vec<i64> {
    let mut lane = Lane::default();
    let name = |n: usize| ClientId::new(format!("slow-{n}"));
    let (mut now_ms, mut turn) = (0, 0);
    let mut held_up_s = vec![0; slow.len()];
    while now_ms < 3_600_000 {
        // One after the other, which is worse than in parallel.
        turn = (turn + 1) % slow.len();
        let (took_ms, hangs) = slow[turn];
        if lane.call_time(&name(turn), now_ms) == CallTime::Now {
            now_ms += took_ms;
            held_up_s[turn] += took_ms / 1_000;
            lane.waited_for(&name(turn), took_ms, hangs, CallTime::Now, now_ms);
        } else {
            now_ms += 100;
        }
    }
    held_up_s
}

#[test]
fn half_of_3600_fast_events_one_a_second_find_the_lane_free_however_many_receivers_are_slow() {
    let (slow, hangs) = ((7_000, false), (15_000, true));
    for (receivers, at_most) in [
        (vec![hangs], 3_600 / 4),
        (vec![slow], 3_600 / 2),
        (vec![slow; 2], 3_600 / 2),
        (vec![hangs; 4], 3_600 / 2),
        (vec![slow, hangs, slow, hangs, hangs], 3_600 / 2),
        (vec![hangs; 40], 3_600 / 2),
    ] {
        let held_up_s = held_up_s_by(&receivers);
        let all: i64 = held_up_s.iter().sum();
        // Each is called once before it is known to be slow, and again before all the others
        // are.
        let at_first: i64 = receivers.iter().map(|(took_ms, _)| took_ms / 500).sum();
        assert!(all <= at_most + at_first, "{receivers:?}: {held_up_s:?}");
        // None takes what is another's.
        let least = at_most / i64::try_from(receivers.len()).unwrap() / 2;
        assert!(
            held_up_s.iter().all(|held_s| *held_s >= least),
            "{receivers:?}: {held_up_s:?}"
        );
    }
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
