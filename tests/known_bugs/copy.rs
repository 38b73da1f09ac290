//! The copy of the repository that holds all known bugs.
//!
//! Files are written only where they differ, so that what is built of the copy stays built.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::bug::{KnownBug, SWITCH};

/// The copy's path from the root. It is inside the root, so that cargo finds the same settings and
/// git ignores it.
const COPY: &str = "target/known-bugs";
/// Where files are patched before they go to the copy.
const SCRATCH: &str = "target/known-bugs-patched";
/// Source that must not contain a known bug itself.
const PRODUCTION: [&str; 2] = ["shared/", "functions/"];

/// The files of the copy, by their paths from the root.
pub(crate) struct Copy {
    root: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Copy {
    /// The repository's files in the working tree.
    ///
    /// # Errors
    /// They cannot be listed or read, or production source has a known bug.
    pub(crate) fn of(root: &Path) -> Result<Self, String> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git does not run: {error}"))?;
        if !listed.status.success() {
            return Err(format!(
                "git ls-files failed: {}",
                String::from_utf8_lossy(&listed.stderr)
            ));
        }
        let mut files = BTreeMap::new();
        for path in listed.stdout.split(|byte| *byte == 0) {
            let path = String::from_utf8_lossy(path).into_owned();
            // One that was deleted and is still in the index is not there.
            if !path.is_empty() && root.join(&path).is_file() {
                let content = read(&root.join(&path))?;
                files.insert(path, content);
            }
        }
        let mut production = files
            .iter()
            .filter(|(path, _)| PRODUCTION.iter().any(|folder| path.starts_with(folder)));
        if let Some((path, _)) =
            production.find(|(_, content)| String::from_utf8_lossy(content).contains(SWITCH))
        {
            return Err(format!(
                "{path} has {SWITCH}: a known bug stands in its patch and nowhere else"
            ));
        }
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    /// The copy's root.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join(COPY)
    }

    /// Adds a bug by its patch, given from the root; on top of the bugs before it.
    ///
    /// # Errors
    /// The patch does not apply, and why.
    pub(crate) fn add(&mut self, bug: &KnownBug, patch: &Path) -> Result<(), String> {
        let scratch = self.root.join(SCRATCH);
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(|error| trouble("empty", &scratch, &error))?;
        }
        for path in &bug.paths {
            let content = self
                .files
                .get(path)
                .ok_or_else(|| format!("there is no file {path}"))?;
            write(&scratch.join(path), content)?;
        }
        let applied = Command::new("git")
            .arg("apply")
            .arg(format!("--directory={SCRATCH}"))
            .arg(patch)
            .current_dir(&self.root)
            .output()
            .map_err(|error| format!("git does not run: {error}"))?;
        if !applied.status.success() {
            let message =
                String::from_utf8_lossy(&applied.stderr).replace(&format!("{SCRATCH}/"), "");
            return Err(message.trim().to_owned());
        }
        for path in &bug.paths {
            let content = read(&scratch.join(path))?;
            self.files.insert(path.clone(), content);
        }
        Ok(())
    }

    /// Makes the files on the disk equal to these.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn write(&self) -> Result<(), String> {
        let folder = self.folder();
        let mut there = BTreeSet::new();
        if folder.exists() {
            list(&folder, &folder, &mut there)?;
        }
        for path in there.iter().filter(|path| !self.files.contains_key(*path)) {
            let path = folder.join(path);
            fs::remove_file(&path).map_err(|error| trouble("remove", &path, &error))?;
        }
        for (path, content) in &self.files {
            let path = folder.join(path);
            if fs::read(&path).ok().as_ref() != Some(content) {
                write(&path, content)?;
            }
        }
        Ok(())
    }
}

/// All files in a folder, by their paths from `root`.
fn list(root: &Path, folder: &Path, found: &mut BTreeSet<String>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| trouble("list", folder, &error))?;
    for entry in entries {
        let path = entry
            .map_err(|error| trouble("list", folder, &error))?
            .path();
        if path.is_dir() {
            list(root, &path, found)?;
        } else if let Ok(path) = path.strip_prefix(root) {
            found.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| trouble("read", path, &error))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| trouble("make", folder, &error))?;
    }
    fs::write(path, content).map_err(|error| trouble("write", path, &error))
}

fn trouble(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
