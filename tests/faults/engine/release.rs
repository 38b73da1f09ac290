//! Of which release a sandbox is: this one, or with `cargo faults --with-previous` the one before.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::{Response, request::Parts};
use serde_json::Value;
use testbed::environment::{AWS_IN_PROCESS, Environment};

use crate::{engine::call::Function, functions};

/// A release.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Release {
    This,
    Previous,
}

impl Release {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Previous => "previous",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::This, Self::Previous]
            .into_iter()
            .find(|release| release.name() == name)
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::This => Self::Previous,
            Self::Previous => Self::This,
        }
    }
}

/// Does the same with what is of this release and what is of the one before.
macro_rules! of_either {
    ($value:expr, $one:ident => $done:expr) => {
        match $value {
            Self::This($one) => $done,
            #[cfg(with_previous)]
            Self::Previous($one) => $done,
        }
    };
}

/// A sandbox's own clock. Clones are the same clock.
#[derive(Clone, Debug)]
pub(crate) enum SandboxClock {
    This(functions::Clock),
    #[cfg(with_previous)]
    Previous(previous_release::Clock),
}

impl SandboxClock {
    /// One for a sandbox of this release, that stands still at this millisecond.
    pub(crate) fn at(release: Release, now_ms: i64) -> Self {
        match release {
            Release::This => Self::This(functions::Clock::at(now_ms)),
            #[cfg(with_previous)]
            Release::Previous => Self::Previous(previous_release::Clock::at(now_ms)),
            #[cfg(not(with_previous))]
            Release::Previous => panic!("{WITHOUT_PREVIOUS}"),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        of_either!(self, clock => clock.now_ms())
    }

    /// Time passes on it.
    pub(crate) fn advance_ms(&self, ms: i64) {
        let by = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        of_either!(self, clock => clock.advance(by));
    }

    /// Moves it on to this millisecond; never back.
    pub(crate) fn move_to(&self, now_ms: i64) {
        self.advance_ms(now_ms - self.now_ms());
    }
}

#[cfg(not(with_previous))]
const WITHOUT_PREVIOUS: &str =
    "the release before is not in this build: `cargo faults --with-previous` makes one";

/// The functions of the releases in one deployment.
pub(crate) struct Releases {
    this: functions::Functions,
    #[cfg(with_previous)]
    previous: previous_release::Functions,
}

impl Releases {
    pub(crate) fn seeded(seed: u64) -> Self {
        // Random values of their own: no two sandboxes draw the same nonce, and no client.
        Self {
            this: functions::Functions::seeded(!seed),
            #[cfg(with_previous)]
            previous: previous_release::Functions::seeded(!seed.rotate_left(32)),
        }
    }

    /// Opens a function in a sandbox with this clock, which says of which release.
    pub(crate) fn open(
        &self,
        function: Function,
        environment: &Environment,
        http_client: SharedHttpClient,
        clock: &SandboxClock,
    ) -> FunctionApp {
        let name = function.name();
        match clock {
            SandboxClock::This(clock) => {
                let functions = &self.this;
                let app = functions.open(name, environment, AWS_IN_PROCESS, http_client, clock);
                FunctionApp::This(app.expect("a function of this release"))
            }
            #[cfg(with_previous)]
            SandboxClock::Previous(clock) => {
                let functions = &self.previous;
                let app = functions.open(name, environment, AWS_IN_PROCESS, http_client, clock);
                FunctionApp::Previous(app.expect("a function that the release before has, too"))
            }
        }
    }
}

/// What a function works with.
pub(crate) enum FunctionApp {
    This(functions::App),
    #[cfg(with_previous)]
    Previous(previous_release::App),
}

impl FunctionApp {
    /// Answers a request of a client or of a person.
    pub(crate) async fn answer(&self, parts: Parts, body: Vec<u8>) -> Response<String> {
        of_either!(self, app => app.answer(parts, body).await)
    }

    /// Takes one of WeChat Pay's callbacks.
    pub(crate) async fn receive(&self, event: Value) -> Response<String> {
        of_either!(self, app => app.receive(event).await)
    }

    /// Handles an event of a queue or of a schedule. Its answer; `None` when it has none.
    pub(crate) async fn handle(&self, event: Value, deadline_ms: i64) -> Option<Value> {
        of_either!(self, app => app.handle(event, deadline_ms).await)
    }
}
