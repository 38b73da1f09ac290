//! The state file: keys, so that the second start is fast, and the books, so that orders survive a
//! restart.
//!
//! It is written whole at the start and at the end. In between each change is appended to a journal
//! beside it, one line each; when the journal has outgrown the file, the file is written whole
//! again and a new journal begins.
//!
//! What a kill can do: a line without its end is left out, and nothing before it is lost. A journal
//! names the file that it continues, so that an earlier one is never applied to a later file.
//!
//! The file is synced before it replaces the previous one: otherwise a power cut could leave
//! neither. The journal is not synced: data given to the system survives any end of the simulator,
//! and a power cut may lose the last seconds of a simulation, but no earlier line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    journal::{Changes, FileState},
    sim::Shared,
    stored::{Stored, StoredMerchant},
};

/// Changes are gathered for so long before they are written.
const GATHER: Duration = Duration::from_millis(200);

/// The journal may always grow to this many bytes, however small the state file is.
const JOURNAL_BYTES: u64 = 1024 * 1024;

/// The first line of a journal.
#[derive(Deserialize, Serialize)]
struct Head {
    journal_id: u64,
}

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It, or its journal, cannot be read.
    #[error("cannot read the state file {0}; mend its permissions or choose another with --state")]
    Read(PathBuf, #[source] io::Error),
    /// It is not ours.
    #[error("the state file {0} is damaged or from another version; delete it to start afresh")]
    Parse(PathBuf, #[source] serde_json::Error),
    /// A line of its journal is not ours.
    #[error(
        "line {line} of the journal {path} is damaged; cut the journal before it to go on with what was before, or delete it"
    )]
    Journal {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// `None` if there is no such file yet.
pub(crate) fn load(path: &Path) -> Result<Option<Stored>, StateError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let mut stored: Stored =
        serde_json::from_slice(&text).map_err(|error| StateError::Parse(path.to_owned(), error))?;
    let journal = journal_of(path);
    if let Some(text) = read(&journal)? {
        replay(&mut stored, &journal, &text)?;
    }
    Ok(Some(stored))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::Read(path.to_owned(), error)),
    }
}

/// Replays the journal into the state. A journal of another file is ignored.
fn replay(stored: &mut Stored, path: &Path, text: &[u8]) -> Result<(), StateError> {
    // What follows the last line end was cut off while it was written.
    let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let mut lines = text
        .get(..whole)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    let continues =
        serde_json::from_slice::<Head>(head).is_ok_and(|head| head.journal_id == stored.journal_id);
    if !continues {
        return Ok(());
    }
    for (number, line) in lines.enumerate() {
        let damaged = |source: Box<dyn std::error::Error + Send + Sync>| StateError::Journal {
            path: path.to_owned(),
            line: number.saturating_add(2),
            source,
        };
        let changes: Changes =
            serde_json::from_slice(line).map_err(|error| damaged(error.into()))?;
        changes
            .apply(stored)
            .map_err(|error| damaged(error.into()))?;
    }
    Ok(())
}

fn journal_of(path: &Path) -> PathBuf {
    beside(path, ".journal")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Opens a file for writing that only this user can read.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Keeps the files up to date for as long as the simulator runs.
pub(crate) struct Writer {
    path: PathBuf,
    merchant: Option<StoredMerchant>,
    /// One writes at a time: the last write of all waits for the one before it, and is not
    /// overtaken by it. `None` until the state file was written, and after a write that failed:
    /// what comes next is the whole file.
    journal: Mutex<Option<Journal>>,
}

/// A journal that is being written.
struct Journal {
    file: File,
    bytes: u64,
    bytes_max: u64,
    written: FileState,
}

impl Writer {
    pub(crate) fn new(path: PathBuf, merchant: Option<StoredMerchant>) -> Self {
        Self {
            path,
            merchant,
            journal: Mutex::new(None),
        }
    }

    /// Writes after each change, gathered.
    pub(crate) async fn follow(self: Arc<Self>, sim: Arc<Shared>) {
        loop {
            self.write(&sim, |journal| journal.bytes > journal.bytes_max);
            sim.changed.notified().await;
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Writes the state file for the last time, so that everything is in one file, and removes the
    /// journal.
    pub(crate) fn finish(&self, sim: &Shared) {
        self.write(sim, |_| true);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let in_file = match &*journal {
            Some(journal) => !sim.unsaved.load(Ordering::SeqCst) && journal.has_nothing(),
            None => false,
        };
        if in_file {
            *journal = None;
            // One that stays is applied again without a message.
            drop(fs::remove_file(journal_of(&self.path)));
        }
    }

    /// Writes what changed since the last time: as a line of the journal, or the whole file if
    /// there is no journal, or `afresh` says that the journal has had its time.
    fn write(&self, sim: &Shared, afresh: impl FnOnce(&Journal) -> bool) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = sim.unsaved.swap(false, Ordering::SeqCst);
        let due = journal.as_ref().is_none_or(afresh);
        let outcome = match journal.as_mut() {
            Some(known) if !due && changed => known.append(sim),
            Some(known) if due && (changed || !known.has_nothing()) => {
                self.write_whole(sim).map(|new| *known = new)
            }
            None if changed => self.write_whole(sim).map(|new| *journal = Some(new)),
            Some(_) | None => Ok(()),
        };
        if let Err(error) = outcome {
            // The changes are taken; only the whole file has them now.
            *journal = None;
            sim.unsaved.store(true, Ordering::SeqCst);
            sim.log(&format!(
                "cannot write the state file {}: {error}",
                self.path.display()
            ));
        }
    }

    /// The state file first, then an empty journal that continues it: until that is there, the old
    /// one continues nothing.
    fn write_whole(&self, sim: &Shared) -> io::Result<Journal> {
        let journal_id = rand::random();
        let (stored, written) = {
            let mut world = sim.world();
            let crate::sim::MutableState { books, keys, .. } = &mut *world;
            let written = FileState::whole(books, keys);
            let stored = Stored {
                journal_id,
                merchant: self.merchant.clone(),
                keys: keys.store(),
                books: books.clone(),
            };
            (stored, written)
        };
        let unfinished = beside(&self.path, ".new");
        let file = private(
            OpenOptions::new().write(true).create(true).truncate(true),
            &unfinished,
        )?;
        let mut buffer = BufWriter::new(file);
        serde_json::to_writer(&mut buffer, &stored)?;
        let file = buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let bytes_max = file.metadata()?.len().max(JOURNAL_BYTES);
        fs::rename(&unfinished, &self.path)?;

        let path = journal_of(&self.path);
        let unfinished = beside(&path, ".new");
        let mut file = private(
            OpenOptions::new().write(true).create(true).truncate(true),
            &unfinished,
        )?;
        let mut head = serde_json::to_vec(&Head { journal_id })?;
        head.push(b'\n');
        file.write_all(&head)?;
        fs::rename(&unfinished, &path)?;
        Ok(Journal {
            file,
            bytes: 0,
            bytes_max,
            written,
        })
    }
}

impl Journal {
    fn has_nothing(&self) -> bool {
        self.bytes == 0
    }

    /// One line, in one write.
    fn append(&mut self, sim: &Shared) -> io::Result<()> {
        let changes = {
            let mut world = sim.world();
            let crate::sim::MutableState { books, keys, .. } = &mut *world;
            self.written.take_changes(books, keys)
        };
        let mut line = serde_json::to_vec(&changes)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }
}
