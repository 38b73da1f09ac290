//! Checks what the other stages need, so that everything missing is reported at once before
//! anything is started.

use std::process::{Command, Stdio};

use crate::failure::Failure;

/// What must be there: how it is found, why, and how to get it.
struct Prerequisite {
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    get: &'static str,
}

const TO_BUILD: [Prerequisite; 2] = [
    Prerequisite {
        what: "rustc and cargo, to build the functions",
        program: "rustc",
        arguments: &["--version"],
        get: "install Rust from https://rustup.rs",
    },
    Prerequisite {
        what: "a C compiler called cc, to build aws-lc",
        program: "cc",
        arguments: &["--version"],
        get: "Debian and Ubuntu: apt-get install build-essential",
    },
];

const TO_RUN: [Prerequisite; 2] = [
    Prerequisite {
        what: "python3, version 3.10 or newer, for the local AWS engine",
        program: "python3",
        arguments: &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"],
        get: "Debian and Ubuntu: apt-get install python3; or put a newer python3 first on PATH",
    },
    Prerequisite {
        what: "python3 with its modules venv and ensurepip, for the local AWS engine",
        program: "python3",
        arguments: &["-c", "import venv, ensurepip"],
        get: "Debian and Ubuntu: apt-get install python3-venv",
    },
];

/// Checks everything.
///
/// # Errors
/// Names all that is missing and how to get it.
pub(crate) fn check(build: bool) -> Result<(), Failure> {
    let needed = TO_RUN.iter().chain(TO_BUILD.iter().filter(|_| build));
    report_missing(needed.filter(|needed| !is_there(needed)))
}

fn is_there(needed: &Prerequisite) -> bool {
    Command::new(needed.program)
        .args(needed.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn report_missing<'a>(missing: impl Iterator<Item = &'a Prerequisite>) -> Result<(), Failure> {
    let lines: Vec<String> = missing
        .map(|needed| format!("  {}\n    {}", needed.what, needed.get))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "this machine lacks\n{}",
            lines.join("\n")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: Prerequisite = Prerequisite {
        what: "an abacus",
        program: "/nonexistent/abacus",
        arguments: &[],
        get: "carve one",
    };
    const FAILING: Prerequisite = Prerequisite {
        what: "a false that succeeds",
        program: "false",
        arguments: &[],
        get: "wait",
    };

    #[test]
    fn all_that_is_missing_is_reported_at_once_with_how_to_get_it() {
        let error = report_missing([&MISSING, &FAILING].into_iter().filter(|n| !is_there(n)))
            .unwrap_err()
            .to_string();
        for expected in ["an abacus", "carve one", "a false that succeeds", "wait"] {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_machine_that_runs_the_tests_has_everything() {
        assert!(check(true).is_ok());
    }
}
