//! A new file for a secret, readable by its owner only.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use stores::keys_table::KeysError;

/// A file that is created for a secret before the secret is registered, so that no secret is
/// registered which could not be stored.
pub(crate) struct SecretFile {
    path: PathBuf,
    file: File,
}

impl SecretFile {
    /// Makes the file, and its folder. One that is there is never written over: it may hold a
    /// secret in use.
    pub(crate) fn create(path: &Path) -> Result<Self, Box<dyn Error>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                format!(
                    "{}: {error}; move it away or name another file",
                    path.display()
                )
            })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes the text and a line break to the disk. If that fails, the file is removed: it would
    /// block the next attempt.
    pub(crate) fn write(mut self, text: &str) -> Result<Self, Box<dyn Error>> {
        let written = writeln!(self.file, "{text}").and_then(|()| self.file.sync_all());
        let Err(error) = written else {
            return Ok(self);
        };
        let text = format!("{}: {error}", self.path.display());
        match self.discard() {
            Ok(()) => Err(text.into()),
            Err(left) => Err(format!("{text}; {left}").into()),
        }
    }

    /// What happens to the file if its secret was not registered. If that is uncertain, the file
    /// may be the only copy of the secret: it is kept, and `next` says what to do.
    pub(crate) fn not_registered(self, error: KeysError, next: &str) -> Box<dyn Error> {
        if error.may_be_done() {
            let path = self.path.display();
            let text = format!(
                "{error}; whether the secret was registered is not known, so {path} is kept: {next}"
            );
            return text.into();
        }
        match self.discard() {
            Ok(()) => error.into(),
            Err(left) => format!("{error}; {left}").into(),
        }
    }

    /// Removes it: its secret was never registered.
    pub(crate) fn discard(self) -> Result<(), Box<dyn Error>> {
        std::fs::remove_file(&self.path).map_err(|error| {
            let path = self.path.display();
            format!("{path} is worth nothing and still there: {error}").into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_takes_no_secret_is_not_left_behind() {
        let path = std::env::temp_dir().join(format!("client-no-secret-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        // Opened for reading only: it takes nothing, like a disk that is full.
        let file = SecretFile {
            file: File::open(&path).unwrap(),
            path: path.clone(),
        };
        let message = file.write("secret").err().unwrap().to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        assert!(!path.exists());
    }
}
