//! Pauses between attempts: each longer than the one before, and different for two processes that
//! collided.

use std::time::Duration;

use crate::random::Random;

/// How long to wait before a try is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The shortest pause before the first repeat, in milliseconds. It doubles with each further
    /// one.
    pub first_ms: u64,
    /// What the doubling ends at, in milliseconds.
    pub max_ms: u64,
}

impl Backoff {
    /// The pause before repeat number `round`, counted from 1: between the doubled base and twice
    /// as much, by chance.
    pub fn pause(self, round: u32, random: &Random) -> Duration {
        let doublings = round.saturating_sub(1);
        let base_ms = self
            .first_ms
            .saturating_mul(2_u64.saturating_pow(doublings))
            .min(self.max_ms);
        let chance = u64::from(u16::from_be_bytes(random.bytes()));
        let jitter_ms = base_ms.saturating_add(1).saturating_mul(chance) / 65_536;
        Duration::from_millis(base_ms.saturating_add(jitter_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        first_ms: 20,
        max_ms: 100,
    };

    #[test]
    fn pauses_double_up_to_a_limit_and_lie_between_once_and_twice_their_base() {
        let random = Random::seeded(1);
        for (round, base_ms) in [
            (0, 20),
            (1, 20),
            (2, 40),
            (3, 80),
            (4, 100),
            (5, 100),
            (u32::MAX, 100),
        ] {
            for _ in 0..200 {
                let pause = BACKOFF.pause(round, &random);
                assert!(
                    (base_ms..=2 * base_ms).contains(&pause.as_millis()),
                    "round {round}: {pause:?}"
                );
            }
        }
    }

    #[test]
    fn two_processes_that_collided_do_not_wait_equally_long() {
        let random = Random::seeded(1);
        let pauses: BTreeSet<Duration> = (0..200).map(|_| BACKOFF.pause(1, &random)).collect();
        assert_eq!(pauses.len(), 21, "each of 20 to 40 ms comes up");
    }
}
