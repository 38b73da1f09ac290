//! Every interleaving of two concurrent sides, with two switches: one side makes some calls, the
//! other some, then the first runs to its end, then the other.

use std::{fmt, time::Instant};

use crate::{
    cases::{
        case::{self, CaseResult},
        script::{Interleave, Reached, Slot, take},
        workers,
    },
    flows::Race,
    previous::Turns,
    report::Report,
};

/// How two sides are interleaved.
#[derive(Clone, Copy)]
pub(crate) struct Switches {
    /// The side that begins.
    pub(crate) side: usize,
    /// How many calls it makes, and then the other, before each runs to its end.
    pub(crate) calls: [usize; 2],
}

impl Switches {
    /// From `side,calls,calls`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers: Option<Vec<usize>> =
            text.split(',').map(|number| number.parse().ok()).collect();
        match numbers?.as_slice() {
            [side @ (0 | 1), first, second] => Some(Self {
                side: *side,
                calls: [*first, *second],
            }),
            _ => None,
        }
    }

    /// As [`Switches::further`], for a race whose other side always runs to its end.
    fn further_on(self, reached: Reached, stride: usize) -> Option<Self> {
        let [first, second] = self.calls;
        reached.first.then_some(Self {
            calls: [first + stride, second],
            ..self
        })
    }

    /// Those to be run next, when each side was stopped or came to its end before: how many
    /// calls a side has depends on what the other does meanwhile, so each is stopped one call later
    /// until it has none.
    fn further(self, reached: Reached) -> impl Iterator<Item = Self> {
        let [first, second] = self.calls;
        let more_of_second = reached.second.then_some([first, second + 1]);
        let more_of_first = (reached.first && second == 1).then_some([first + 1, 1]);
        let further = more_of_second.into_iter().chain(more_of_first);
        further.map(move |calls| Self { calls, ..self })
    }
}

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.calls;
        write!(f, "{},{first},{second}", self.side)
    }
}

/// More calls than any side makes.
const TO_THE_END: usize = 100_000;

/// Runs a race in every way. `strides` is [`Race::strides`].
pub(crate) fn every_way(
    race: &Race,
    turns: Turns,
    strides: Option<usize>,
    threads: usize,
    report: &mut Report,
) {
    let (began, before) = (Instant::now(), report.violations());
    let mut cases = 0;
    let mut jobs: Vec<Switches> = [0, 1]
        .map(|side| Switches {
            side,
            calls: [0, strides.map_or(1, |_| TO_THE_END)],
        })
        .into();
    while !jobs.is_empty() && report.wants_more() {
        let mut further = Vec::new();
        workers::each(
            threads,
            &jobs,
            |switches| scenario(race, turns, *switches),
            |position, (reached, outcome)| {
                let switches = jobs[position];
                let name = format!("race {} switched {switches}", race.name);
                report.case(
                    &name,
                    &outcome,
                    &format!(
                        "--race {} --switches {switches}{}",
                        race.name,
                        turns.option()
                    ),
                );
                cases += 1;
                match strides {
                    None => further.extend(switches.further(reached)),
                    Some(stride) => further.extend(switches.further_on(reached, stride)),
                }
                report.wants_more()
            },
        );
        jobs = further;
    }
    report.race();
    report.print(&format!(
        "race {}: {cases} cases, {} violations ({:.1} s)",
        race.name,
        report.violations() - before,
        began.elapsed().as_secs_f64()
    ));
}

/// Runs a race in one way. Gives whether each side was stopped.
pub(crate) fn scenario(race: &Race, turns: Turns, switches: Switches) -> (Reached, CaseResult) {
    let reached = Slot::default();
    let script = Interleave::new(switches.side, switches.calls, Slot::clone(&reached))
        .latest_first(race.latest_first());
    let outcome = case::race(race, turns, Box::new(script));
    (take(&reached), outcome)
}
