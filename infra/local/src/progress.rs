//! Prints on standard error what is being done and how long it took. Results go to standard output.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Counts and times the stages of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    stage: usize,
    stages: usize,
}

/// Whether a stage writes to the terminal itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// It does not: the time goes on the same line.
    Silent,
    /// It does, as cargo and pip do: the time goes on a line of its own.
    Talks,
}

impl Progress {
    pub(crate) fn new(stages: usize) -> Self {
        Self { stage: 0, stages }
    }

    /// Does one stage, with its name printed before and its time after.
    pub(crate) async fn stage<T>(
        &mut self,
        name: impl Display,
        output: Output,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.stage += 1;
        let head = format!("[{}/{}] {name} ...", self.stage, self.stages);
        match output {
            Output::Silent => eprint!("{head}"),
            Output::Talks => eprintln!("{head}"),
        }
        // Standard error may be closed; the work matters more than its output.
        drop(std::io::stderr().flush());
        let begin = Instant::now();
        let result = work.await;
        let took = match &result {
            Ok(_) => seconds(begin.elapsed()),
            Err(_) => "failed".to_owned(),
        };
        match output {
            Output::Silent => eprintln!(" {took}"),
            Output::Talks => eprintln!("{head} {took}"),
        }
        result
    }

    /// A remark on the stage that was done last.
    pub(crate) fn note(&self, text: impl Display) {
        eprintln!("      {text}");
    }
}

/// `0.8 s`.
fn seconds(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_tenths_of_a_second() {
        for (ms, expected) in [
            (0, "0.0 s"),
            (99, "0.0 s"),
            (850, "0.8 s"),
            (61_900, "61.9 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(ms)), expected);
        }
    }
}
