//! Which invocation is one of which release.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;

use super::marks::Marks;
use crate::engine::{call::Function, deployment::Deployment, director, release::Release};

/// How many of a hundred invocations are this release's, by what is drawn: as the alias sends
/// them, as many of each, and as they are while the release before is all but gone.
const SHARES: [u8; 3] = [10, 50, 90];

/// Whose turn it is at each invocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turns {
    /// Always this release's: nothing goes out.
    This,
    /// So many invocations are of one release, and all after them of the other: of the release
    /// before first, if it is replaced, and of this one first, if it is taken back.
    Switched { first: Release, after: usize },
    /// Each invocation is drawn, by a seed.
    Drawn(u64),
    /// In a race, one side is of this release and the other of the one before. Nothing else has
    /// sides: it is of this release.
    Sides(Release),
}

impl Turns {
    /// From what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(',')?;
        match kind {
            "drawn" => Some(Self::Drawn(value.parse().ok()?)),
            "sides" => Some(Self::Sides(Release::named(value)?)),
            _ => Some(Self::Switched {
                first: Release::named(kind)?,
                after: value.parse().ok()?,
            }),
        }
    }

    /// The options that repeat a case with these turns.
    pub(crate) fn option(self) -> String {
        match self {
            Self::This => String::new(),
            Self::Switched { .. } | Self::Drawn(_) | Self::Sides(_) => {
                format!("{} --turns {self}", super::option())
            }
        }
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::This => f.write_str("this"),
            Self::Switched { first, after } => write!(f, "{},{after}", first.name()),
            Self::Drawn(seed) => write!(f, "drawn,{seed}"),
            Self::Sides(first) => write!(f, "sides,{}", first.name()),
        }
    }
}

/// The turns of one deployment, and what a later release is taken to have added.
pub(crate) struct Rollout(Mutex<State>);

struct State {
    turns: Turns,
    dice: Rng,
    invocations: usize,
    marks: Marks,
}

impl Rollout {
    pub(crate) fn new(turns: Turns) -> Self {
        let seed = match turns {
            Turns::Drawn(seed) => seed,
            Turns::This | Turns::Switched { .. } | Turns::Sides(_) => 0,
        };
        Self(Mutex::new(State {
            turns,
            dice: Rng::with_seed(seed),
            invocations: 0,
            marks: Marks::default(),
        }))
    }

    /// Of which release the next invocation is.
    pub(crate) fn next(&self) -> Release {
        let mut state = self.state();
        let invocation = state.invocations;
        state.invocations += 1;
        match state.turns {
            Turns::This => Release::This,
            Turns::Switched { first, after } if invocation < after => first,
            Turns::Switched { first, .. } => first.other(),
            Turns::Drawn(seed) => {
                let kind = usize::try_from(seed % 3).unwrap_or_default();
                if state.dice.u8(..100) < SHARES[kind] {
                    Release::This
                } else {
                    Release::Previous
                }
            }
            Turns::Sides(first) => match director::side() {
                Some(0) => first,
                Some(_) => first.other(),
                None => Release::This,
            },
        }
    }

    /// An invocation is over, or its sandbox died.
    pub(crate) fn worked(&self, deployment: &Deployment, function: Function, release: Release) {
        let mut state = self.state();
        if state.turns != Turns::This {
            state.marks.check(deployment, function, release);
        }
    }

    /// How many invocations there were.
    pub(crate) fn invocations(&self) -> usize {
        self.state().invocations
    }

    /// What was lost that a later release had added.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.state().marks.lost().to_vec()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
