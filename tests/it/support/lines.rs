//! What the functions log, for a test that reads it.

use std::{
    io,
    sync::{Arc, Mutex, Once, PoisonError},
};

use runtime::{
    clock::Clock,
    telemetry::{self, metrics::METRICS},
};
use tracing::{instrument::WithSubscriber, level_filters::LevelFilter};

use super::MCHID;

/// The lines that were logged while its work ran, as they are deployed, metrics and all.
#[derive(Clone)]
pub(crate) struct Lines {
    written: Arc<Mutex<Vec<u8>>>,
    clock: Clock,
    level: LevelFilter,
}

impl Default for Lines {
    fn default() -> Self {
        Self::by(Clock::system())
    }
}

impl Lines {
    /// Metrics have their times by this clock, and the namespace that the template's alarms watch.
    pub(crate) fn by(clock: Clock) -> Self {
        Self {
            written: Arc::default(),
            clock,
            level: LevelFilter::INFO,
        }
    }

    /// The same at the most talkative `LOG_LEVEL`.
    pub(crate) fn at_trace(clock: Clock) -> Self {
        Self {
            level: LevelFilter::TRACE,
            ..Self::by(clock)
        }
    }

    /// Runs `work` and captures its log; not that of separate tasks.
    pub(crate) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        // A line that is first reached in a test without a subscriber is disabled for all threads.
        // So there is always a subscriber for all deployed lines.
        static WANTED: Once = Once::new();
        WANTED.call_once(|| {
            let nowhere = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_writer(io::sink);
            // Where there is one already, that is as good.
            tracing::subscriber::set_global_default(nowhere.finish()).unwrap_or_default();
        });
        let lines = self.clone();
        let clock = self.clock.clone();
        let named = ("AWS::StackName", MCHID, "Release");
        let subscriber = telemetry::lines_at(
            self.level,
            move || lines.clone(),
            named.0,
            named.1,
            named.2,
            clock,
        );
        work.with_subscriber(subscriber).await
    }

    /// The lines of this level, and forgets all.
    pub(crate) fn take(&self, level: &str) -> Vec<serde_json::Value> {
        let mut lines = self.take_all();
        lines.retain(|line| line["level"] == level);
        lines
    }

    /// The lines of all levels, and forgets them. What divides a metric has a listed value, in
    /// every test that reads lines.
    pub(crate) fn take_all(&self) -> Vec<serde_json::Value> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(std::mem::take(&mut *written)).expect("text");
        let lines = text.lines().map(serde_json::from_str);
        let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>().expect("JSON");
        lines.iter().for_each(has_listed_values);
        lines
    }
}

fn has_listed_values(line: &serde_json::Value) {
    for metric in METRICS
        .iter()
        .filter(|metric| line.get(metric.name).is_some())
    {
        for dimension in metric.by.iter().copied().flatten() {
            if let Some(value) = line[dimension.field].as_str() {
                let (name, field) = (metric.name, dimension.field);
                let is_listed = dimension.values.contains(&value);
                assert!(is_listed, "{name} by {field} does not list {value}: {line}");
            }
        }
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
