//! The state directory for the next run, `.local` by default.
//!
//! | File | Holds |
//! |---|---|
//! | `engine/` | the AWS engine's data and log, and the logs of the three runs before |
//! | `simulator.json` | the simulator's orders and WeChat Pay's keys; while it runs, `simulator.json.journal` continues it |
//! | `merchant.json` | the merchant's secrets outside AWS: APIv3 key, and the private key for `--sealed-key` |
//! | `client.json` | the API client's key; `cargo client` reads it |
//! | `wechatpay.json` | what an SDK needs to talk to the simulator |
//! | `webhook.json` | port and secret of the receiver of webhooks |
//! | `deployment.json` | what was deployed last, for `cargo local deploy` |
//! | `played.json` | the number of the last order that a scenario paid, which the next run reads again |
//!
//! All of it is made up for this machine and worth nothing elsewhere; still only the owner may read
//! it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The state directory. One run alone holds it; [`StateDir::of_a_run`] looks into it meanwhile.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Locked until the run ends, in whatever way.
    _lock: File,
}

impl StateDir {
    /// Makes the directory, or takes the one of an earlier run; `fresh` empties it first.
    ///
    /// # Errors
    /// Another run has it, or it cannot be written.
    pub(crate) fn take(path: &Path, fresh: bool) -> Result<Self, Failure> {
        make_directory(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| failed("find", path, &error))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(|error| failed("make", &lock_path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format!(
                    "another cargo local uses {}; stop it, or choose another directory with --state",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock_path, &error)),
        }
        let state = Self { path, _lock: lock };
        if fresh {
            state.forget()?;
        }
        Ok(state)
    }

    /// The directory of a run that goes on, from another process.
    ///
    /// # Errors
    /// No run has it.
    pub(crate) fn of_a_run(path: &Path) -> Result<Self, Failure> {
        let is_idle = || {
            Failure::new(format!(
                "no cargo local runs with {}; start it, or name its directory with --state",
                path.display()
            ))
        };
        let path = path.canonicalize().map_err(|_| is_idle())?;
        let lock = File::open(path.join("lock")).map_err(|_| is_idle())?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(Self { path, _lock: lock }),
            Ok(()) | Err(TryLockError::Error(_)) => Err(is_idle()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A value that an earlier run wrote; `None` if there is none.
    ///
    /// # Errors
    /// The file is there but is not what this version writes.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.join(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| failed("read", &path, &error))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let what = format!(
                "{} is not what this version writes (--fresh forgets it)",
                path.display()
            );
            Failure::because(what, &error)
        })
    }

    /// Writes a value for the next run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::because(format!("{name} cannot be written"), &error))?;
        // Renamed into place: a run that is killed leaves the old file or the new one.
        let partial = self.join(&format!("{name}.partial"));
        let written = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| writeln!(file, "{text}"))
            .and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| failed("write", &path, &error))
    }

    /// Removes what this program wrote, and nothing else: `--state` may name any directory.
    fn forget(&self) -> Result<(), Failure> {
        for name in [
            "engine",
            "simulator.json",
            "simulator.json.journal",
            "merchant.json",
            "client.json",
            "wechatpay.json",
            "webhook.json",
            "deployment.json",
            "played.json",
        ] {
            let path = self.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failed("remove", &path, &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| failed("make", path, &error))
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot {verb} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("local-state-test-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_value_is_there_for_the_next_run_and_gone_after_fresh() {
        let path = directory("kept");
        let state = StateDir::take(&path, false).unwrap();
        assert_eq!(state.read::<String>("client.json").unwrap(), None);
        state.write("client.json", &"secret").unwrap();
        fs::write(path.join("somebody-elses"), "x").unwrap();
        let mode = fs::metadata(path.join("client.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(state);

        let state = StateDir::take(&path, false).unwrap();
        assert_eq!(
            state.read("client.json").unwrap(),
            Some("secret".to_owned())
        );
        assert!(
            state
                .read::<u32>("client.json")
                .unwrap_err()
                .to_string()
                .contains("--fresh")
        );
        drop(state);

        let state = StateDir::take(&path, true).unwrap();
        assert_eq!(state.read::<String>("client.json").unwrap(), None);
        assert!(path.join("somebody-elses").exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn two_runs_never_share_a_directory() {
        let path = directory("shared");
        let first = StateDir::take(&path, false).unwrap();
        let message = StateDir::take(&path, false).unwrap_err().to_string();
        assert!(message.contains("--state"), "{message}");
        first.write("deployment.json", &1).unwrap();
        let seen = StateDir::of_a_run(&path).unwrap();
        assert_eq!(seen.read::<u32>("deployment.json").unwrap(), Some(1));
        drop(seen);
        assert!(StateDir::of_a_run(&path).is_ok());
        drop(first);
        for idle in [path.as_path(), &path.join("none")] {
            let message = StateDir::of_a_run(idle).unwrap_err().to_string();
            assert!(message.contains("no cargo local runs"), "{message}");
        }
        assert!(StateDir::take(&path, false).is_ok());
        fs::remove_dir_all(path).unwrap();
    }
}
