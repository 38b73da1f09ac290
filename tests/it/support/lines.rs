//! What the functions log, for a test that reads it.

use std::{
    io,
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing::instrument::WithSubscriber;

/// The lines that were logged while its work ran, as JSON like those that are deployed.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Runs `work` and keeps what it logs by itself; not what it leaves to tasks of their own.
    pub(crate) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        // A line that a test without a subscriber meets first is taken for one that nobody wants, for all threads. So somebody
        // always wants what is deployed.
        static WANTED: Once = Once::new();
        WANTED.call_once(|| {
            let nowhere = tracing_subscriber::fmt().with_writer(io::sink);
            // Where there is one already, that is as good.
            tracing::subscriber::set_global_default(nowhere.finish()).unwrap_or_default();
        });
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || lines.clone())
            .finish();
        work.with_subscriber(subscriber).await
    }

    /// The lines of this level, and forgets all.
    pub(crate) fn take(&self, level: &str) -> Vec<serde_json::Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
            .filter(|line| line["level"] == level)
            .collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
