//! Notices when the engine ends without being stopped.

use std::path::Path;
use std::time::Duration;

use local::engine::Watch;

use crate::failure::Failure;

/// How often the engine is checked.
const WATCH_PAUSE: Duration = Duration::from_millis(200);

/// Returns when the engine's process has ended.
pub(super) async fn ended(watch: &Watch) {
    while watch.ended().is_none() {
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// Tells the user what the end of the engine means.
pub(super) fn engine_is_gone(watch: &Watch, log: &Path) -> Failure {
    let how = watch
        .ended()
        .map_or_else(String::new, |status| format!(" ({status})"));
    Failure::new(format!(
        "the local AWS engine ended by itself{how}; the orders, messages and keys of this run are gone with it, and the next run \
         begins with what the last clean stop left. Its log: {}",
        log.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stages::blocking;
    use local::engine;

    #[tokio::test]
    async fn the_end_of_the_engine_is_reported_at_once_with_what_is_gone_and_where_its_log_is() {
        let engine = blocking(|| engine::start(engine::Options::default()));
        let engine = engine.await.unwrap().unwrap();
        let watch = engine.watch();
        let process_id = engine.process_id().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &process_id])
            .status();
        assert!(killed.unwrap().success());
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, ended(&watch)).await.unwrap();
        let message = engine_is_gone(&watch, engine.log()).to_string();
        for part in ["ended by itself (signal: 9", "gone", "engine.log"] {
            assert!(message.contains(part), "{part} in: {message}");
        }
        assert!(!message.contains("kept"), "{message}");
        blocking(|| drop(engine)).await.unwrap();
    }
}
