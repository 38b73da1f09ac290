//! The state file: keys, so that the second start is fast, and the books, so that orders survive a restart.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{books::Books, details, keys::StoredKey, sim::Sim};

/// Changes are gathered for so long before they are written.
const GATHER: Duration = Duration::from_millis(200);

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Stored {
    /// The generated merchant, if there is one.
    pub(crate) merchant: Option<StoredMerchant>,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) books: Books,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct StoredMerchant {
    pub(crate) mchid: String,
    pub(crate) appids: Vec<String>,
    pub(crate) serial: String,
    pub(crate) private_key: String,
    pub(crate) apiv3_key: String,
    /// X.509 PEM; issued when it is first written for clients.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
}

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("cannot read the state file {0}; mend its permissions or choose another with --state")]
    Read(PathBuf, #[source] io::Error),
    /// It is not ours.
    #[error("the state file {0} is damaged or from another version; delete it to start afresh")]
    Parse(PathBuf, #[source] serde_json::Error),
}

/// `None` if there is no such file yet.
pub(crate) fn load(path: &Path) -> Result<Option<Stored>, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::Read(path.to_owned(), error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| StateError::Parse(path.to_owned(), error))
}

/// Keeps the file up to date for as long as the simulator runs.
pub(crate) struct Writer {
    path: PathBuf,
    merchant: Option<StoredMerchant>,
    /// One writes at a time: the last write of all waits for the one before it, and is not overtaken by it.
    writing: Mutex<()>,
}

impl Writer {
    pub(crate) fn new(path: PathBuf, merchant: Option<StoredMerchant>) -> Self {
        Self {
            path,
            merchant,
            writing: Mutex::new(()),
        }
    }

    /// Writes after each change, gathered.
    pub(crate) async fn follow(self: Arc<Self>, sim: Arc<Sim>) {
        loop {
            self.write(&sim);
            sim.changed.notified().await;
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Writes now, if anything changed since the last time.
    pub(crate) fn write(&self, sim: &Sim) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !sim.unsaved.swap(false, Ordering::SeqCst) {
            return;
        }
        let stored = {
            let world = sim.world();
            Stored {
                merchant: self.merchant.clone(),
                keys: world.keys.store(),
                books: world.books.clone(),
            }
        };
        let written = serde_json::to_string(&stored)
            .map_err(io::Error::other)
            .and_then(|text| details::write_private(&self.path, &text));
        if let Err(error) = written {
            sim.log(&format!(
                "cannot write the state file {}: {error}",
                self.path.display()
            ));
        }
    }
}
