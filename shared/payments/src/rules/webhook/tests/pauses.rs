//! Pauses of slow receivers.

use super::*;

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
