//! The compiled functions: built by cargo, or taken from a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::failure::Failure;

/// The functions' packages; each makes one program of the same name.
pub(crate) const PACKAGES: [&str; 9] = [
    "create-order",
    "manage-order",
    "receive-callback",
    "process-payment",
    "reconcile",
    "send-webhook",
    "console",
    "notify-operators",
    "forward-errors",
];

pub(crate) type Programs = BTreeMap<String, PathBuf>;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds all functions; cargo reports on standard error.
///
/// # Errors
/// Cargo cannot be run, or fails; it has reported why by then.
pub(crate) async fn build(release: bool) -> Result<Programs, Failure> {
    let mut command = Command::new("cargo");
    command
        .current_dir(root())
        .args(["build", "--message-format=json-render-diagnostics"]);
    // Of the features of the whole workspace, as this program is: what is compiled already serves
    // the functions. A release is built as it is deployed.
    let chosen_by = if release { "--package" } else { "--bin" };
    for package in PACKAGES {
        command.args([chosen_by, package]);
    }
    if release {
        command.arg("--release");
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Failure::because("cargo cannot be run", &error))?;
    if !output.status.success() {
        return Err(Failure::new(
            "the functions were not built; see cargo's output above",
        ));
    }
    complete(executables(&output.stdout))
}

/// The programs in `directory`, which may be called `<package>` or, as cargo-lambda lays them out,
/// `<package>/bootstrap`.
///
/// # Errors
/// Names the programs that are not there.
pub(crate) fn find(directory: &Path) -> Result<Programs, Failure> {
    let found = PACKAGES.iter().filter_map(|package| {
        let plain = directory.join(package);
        [plain.join("bootstrap"), plain]
            .into_iter()
            .find(|path| path.is_file())
            .map(|path| ((*package).to_owned(), path))
    });
    complete(found.collect())
        .map_err(|failure| Failure::new(format!("{}: {failure}", directory.display())))
}

/// The programs that cargo's messages, one JSON object a line, say it made.
fn executables(messages: &[u8]) -> Programs {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| {
            let path = message.get("executable")?.as_str()?;
            let name = message.pointer("/target/name")?.as_str()?;
            Some((name.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

fn complete(programs: Programs) -> Result<Programs, Failure> {
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .filter(|package| !programs.contains_key(*package))
        .collect();
    if missing.is_empty() {
        Ok(programs)
    } else {
        Err(Failure::new(format!(
            "no program for {}",
            missing.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"reconcile"},"executable":"/t/reconcile"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        let programs = executables(messages.as_bytes());
        assert_eq!(
            programs,
            Programs::from([("reconcile".to_owned(), PathBuf::from("/t/reconcile"))])
        );
        let message = complete(programs).unwrap_err().to_string();
        assert_eq!(
            message,
            "no program for create-order, manage-order, receive-callback, process-payment, send-webhook, console, notify-operators, forward-errors"
        );
    }

    #[test]
    fn prebuilt_programs_are_found_in_both_layouts() {
        let directory =
            std::env::temp_dir().join(format!("local-functions-test-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("reconcile")).unwrap();
        for package in PACKAGES
            .into_iter()
            .filter(|package| *package != "reconcile")
        {
            std::fs::write(directory.join(package), "").unwrap();
        }
        assert!(
            find(&directory)
                .unwrap_err()
                .to_string()
                .contains("no program for reconcile")
        );
        std::fs::write(directory.join("reconcile/bootstrap"), "").unwrap();
        let programs = find(&directory).unwrap();
        assert_eq!(programs["reconcile"], directory.join("reconcile/bootstrap"));
        assert_eq!(programs["create-order"], directory.join("create-order"));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
