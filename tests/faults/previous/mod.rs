//! The release before and this one at once: `cargo faults --with-previous`.
//!
//! While a release goes out, an alias sends a tenth of a function's calls to the new version, and
//! an alarm may take it back at any moment. So sandboxes of both work on the same tables, queues
//! and messages. Here they do: each invocation of a flow is one of the release before or of this
//! one ([`Turns`]), and in the end all checks must hold. To see also what a release to come would
//! add, this release's sandboxes leave an unknown member in every item and message, and no sandbox
//! of the release before may lose one ([`marks`]).
//!
//! The code of the release before is compiled from its commit, into the same program ([`build`]).
//! Its deployed programs would be more honest by their main functions alone, a few lines each, and
//! could not be tested here: they follow the machine's clock, and most flows take hours or days, a
//! refusal after five minutes among them. In one process both releases have the clocks, the
//! randomness and the engines of a deployment, one call has its turn at a time, and a case is the
//! same each time. The AWS SDK and other packages are those of this release for both: it is our own
//! code that must fit.

pub(crate) mod build;
mod marks;
mod rollout;
pub(crate) mod runs;

pub(crate) use rollout::{Rollout, Turns};

/// The option that repeats a case; empty in a harness without the release before.
fn option() -> String {
    let commit = option_env!("PREVIOUS_RELEASE");
    commit.map_or(String::new(), |commit| format!(" --with-previous {commit}"))
}
