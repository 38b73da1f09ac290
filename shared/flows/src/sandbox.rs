//! What every function is built from, once per sandbox of Lambda: the log, its settings, AWS, the
//! clock and random values.
//!
//! A sandbox gets one event at a time, so `main` of each function runs on one thread: more would
//! only cost memory and start-up time.

use runtime::{
    aws::{Aws, AwsSettings, CallLimits},
    clock::Clock,
    env::{ProcessEnv, SettingsError, SettingsReader, Vars},
    otlp::{RecordedInvocation, Spans},
    random::Random,
    telemetry::{self, emf::HELD},
};
use tracing::info;

/// What the parts of a function are built over.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub aws: Aws,
    pub clock: Clock,
    /// The source of random values.
    pub random: Random,
}

impl Sandbox {
    /// The same with other limits of calls to AWS.
    #[must_use]
    pub fn within(&self, limits: CallLimits) -> Self {
        Self {
            aws: self.aws.within(limits),
            ..self.clone()
        }
    }
}

/// The settings of one function beside those of AWS.
pub trait FunctionSettings: Sized {
    /// Reads them. `None` if anything is missing or malformed, which `reader` has noted then. `aws`
    /// is where AWS is, if that could be read.
    fn read(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Self>;
}

/// Reads where AWS is, and the settings of a function.
///
/// # Errors
/// [`SettingsError`] names everything that is missing or malformed.
pub fn read<S: FunctionSettings>(vars: &dyn Vars) -> Result<(AwsSettings, S), SettingsError> {
    let mut reader = SettingsReader::new(vars);
    let aws = AwsSettings::read(&mut reader);
    let settings = S::read(&mut reader, aws.as_ref());
    reader.finish(|| Some((aws?, settings?)))
}

/// Starts the log, reads the settings from the environment of the process, and builds what the
/// function's parts are built over. No call is made. `limits` are those of its calls to AWS. The
/// cold start is counted for `function` on the first line of its first run.
///
/// # Errors
/// [`SettingsError`] names everything that is missing or malformed.
pub fn start<S: FunctionSettings>(
    function: &'static str,
    limits: CallLimits,
) -> Result<(S, Sandbox), SettingsError> {
    telemetry::init(&ProcessEnv);
    info!(target: HELD, function, ColdStarts = 1);
    let (aws, settings) = read(&ProcessEnv)?;
    let (clock, random) = (Clock::system(), Random::system());
    let sandbox = Sandbox {
        aws: Aws::new(&aws, &clock).within(limits),
        clock,
        random,
    };
    Ok((settings, sandbox))
}

/// Below this a deadline is no time of day (2001) but a span.
const EARLIEST_DEADLINE_MS: i64 = 1_000_000_000_000;

/// When Lambda stops an invocation (Unix milliseconds), from the `deadline` of its context.
/// `cargo lambda watch` writes there how many milliseconds the invocation has.
pub fn deadline_ms(deadline: u64, clock: &Clock) -> i64 {
    match i64::try_from(deadline) {
        Ok(span_ms) if span_ms < EARLIEST_DEADLINE_MS => clock.now_ms().saturating_add(span_ms),
        Ok(at_ms) => at_ms,
        Err(_) => i64::MAX,
    }
}

/// What records and exports the spans of `function`, as the environment of the process says.
///
/// # Errors
/// [`SettingsError`] if AWS's own settings cannot be read. An address that cannot be used is
/// logged, and nothing is recorded then.
pub fn spans(function: &'static str, sandbox: &Sandbox) -> Result<Spans, SettingsError> {
    Spans::start(&ProcessEnv, function, &sandbox.clock)
}

/// An invocation by the id and `deadline` of its context, as spans have it.
pub fn recorded(request_id: &str, deadline: u64, clock: &Clock) -> RecordedInvocation {
    RecordedInvocation {
        id: request_id.to_owned(),
        ends_at_ms: deadline_ms(deadline, clock),
    }
}

#[cfg(test)]
mod tests {
    use wechatpay::UnixSeconds;

    use super::*;

    #[test]
    fn a_deadline_is_a_time_and_of_cargo_lambda_watch_a_span_from_now() {
        let clock = Clock::manual(UnixSeconds(1_785_556_800));
        assert_eq!(
            deadline_ms(1_785_556_829_000, &clock),
            1_785_556_829_000,
            "Lambda's"
        );
        assert_eq!(deadline_ms(600_000, &clock), 1_785_557_400_000);
        assert_eq!(deadline_ms(u64::MAX, &clock), i64::MAX);
    }
}
