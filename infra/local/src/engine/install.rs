//! Installs the engine with pip into a virtual environment under `target/`, once per version.
//!
//! The environment is made under another name and renamed when it is whole, under a lock that other
//! processes wait for, so that an interrupted installation or two test runs at once never leave
//! half an environment behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The version of ministack that is installed. Its faults and the workarounds for them belong to
/// this version.
pub const VERSION: &str = "1.5.33";

/// An environment of Python packages.
struct Environment {
    /// For the reader.
    what: &'static str,
    /// The directory, which names the version: another one is another environment.
    name: &'static str,
    /// All in one line for pip: installed one after the other they break each other's version
    /// bounds.
    packages: &'static [&'static str],
    /// What shows that it is whole.
    modules: &'static [&'static str],
}

/// The engine. `cryptography` is what its KMS signs with; the SAM translator and its boto3 deploy
/// `template.yaml`.
const ENGINE: Environment = Environment {
    what: "the local AWS engine",
    name: "venv-1.5.33",
    packages: &[
        "ministack==1.5.33",
        "cryptography==50.0.2",
        "aws-sam-translator==1.115.0",
    ],
    modules: &["ministack", "cryptography", "samtranslator", "boto3"],
};

/// The AWS CLI, for tests that run what the runbooks print. Version 1, since version 2 is not on
/// the package index; the runbooks use only what both understand. Installed separately from the
/// engine, since `cargo local` does not need it.
const AWS_CLI: Environment = Environment {
    what: "the AWS CLI",
    name: "aws-cli-1.46.3",
    packages: &["awscli==1.46.3"],
    modules: &["awscli"],
};

/// The oldest Python that all of these run on.
const PYTHON_MIN: (u32, u32) = (3, 10);

/// Where the engine is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The environment's interpreter.
    pub python: PathBuf,
    /// The directory that holds the environment and the engines' scratch directories.
    pub root: PathBuf,
}

/// Why the engine cannot be installed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(
        "python3 was not found on PATH; install Python 3.10 or newer (Debian and Ubuntu: apt-get install python3 python3-venv)"
    )]
    NoPython,
    /// An interpreter that is too old.
    #[error(
        "python3 is version {found}, but the local AWS engine needs 3.10 or newer; put a newer python3 first on PATH"
    )]
    PythonTooOld {
        /// `major.minor`.
        found: String,
    },
    /// Debian ships `venv` apart from Python.
    #[error(
        "this python3 cannot make virtual environments: its modules venv and ensurepip are missing; install them (Debian and Ubuntu: apt-get install python3-venv)"
    )]
    NoVenv,
    /// pip failed; most often the package index cannot be reached.
    #[error(
        "pip could not install {packages} ({outcome}): {said}; check that the Python package index or the mirror in your pip \
         configuration can be reached, then run this again"
    )]
    Pip {
        packages: String,
        /// How pip ended.
        outcome: String,
        /// Its last lines.
        said: String,
    },
    /// The system refused a file operation or a process.
    #[error("the local AWS engine cannot be installed: {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Installs the engine where that was not done yet, with progress on standard error. A second call
/// takes a few milliseconds. Safe in several processes at once.
///
/// # Errors
/// When Python, its `venv` module or the package index is missing; the message says what to do.
pub fn install() -> Result<Installed, InstallError> {
    install_into(&root(), &ENGINE)
}

/// The same for the AWS CLI, for tests of what the runbooks print; gives the interpreter that runs
/// it as `-m awscli`.
///
/// # Errors
/// As [`install`].
pub fn install_aws_cli() -> Result<PathBuf, InstallError> {
    Ok(install_into(&root(), &AWS_CLI)?.python)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/local-engine")
}

fn install_into(root: &Path, environment: &Environment) -> Result<Installed, InstallError> {
    fs::create_dir_all(root).map_err(io(format!("making {}", root.display())))?;
    let root = root
        .canonicalize()
        .map_err(io(format!("finding {}", root.display())))?;
    let Environment { what, name, .. } = environment;
    let whole = root.join(name);
    let installed = Installed {
        python: whole.join("bin/python"),
        root: root.clone(),
    };

    let lock_path = root.join("install.lock");
    let lock = File::create(&lock_path).map_err(io(format!("making {}", lock_path.display())))?;
    lock.lock()
        .map_err(io(format!("locking {}", lock_path.display())))?; // released when `lock` is dropped

    if runs(&installed.python, environment) {
        return Ok(installed);
    }
    check_python(OsStr::new("python3"))?;
    let partial = root.join(format!("{name}.partial"));
    for leftover in [&partial, &whole] {
        match fs::remove_dir_all(leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io(format!("removing {}", leftover.display()))(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    eprintln!(
        "installing {what} ({}) into {}, once ...",
        environment.packages.join(" "),
        whole.display()
    );
    make_environment(OsStr::new("python3"), &partial, environment)?;
    fs::rename(&partial, &whole).map_err(io(format!("renaming {}", partial.display())))?;
    Ok(installed)
}

/// Whether the environment's interpreter still starts and finds its packages: an upgrade of the
/// system's Python leaves an environment that does not.
fn runs(python: &Path, environment: &Environment) -> bool {
    let finds =
        "import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in sys.argv[1:]))";
    Command::new(python)
        .args(["-c", finds])
        .args(environment.modules)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn check_python(python: &OsStr) -> Result<(), InstallError> {
    let probe = "import sys; print('%d.%d' % sys.version_info[:2])\ntry: import venv, ensurepip\nexcept ImportError: print('no venv')";
    let output = match Command::new(python)
        .args(["-c", probe])
        .stdin(Stdio::null())
        .output()
    {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(InstallError::NoPython),
        other => other.map_err(io("running python3".to_owned()))?,
    };
    check_python_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads what the probe printed: the version, and a second line if a module is missing.
fn check_python_version(said: &str) -> Result<(), InstallError> {
    let mut lines = said.lines();
    let found = lines.next().unwrap_or_default();
    let version = found
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if version.is_none_or(|version: (u32, u32)| version < PYTHON_MIN) {
        return Err(InstallError::PythonTooOld {
            found: found.to_owned(),
        });
    }
    if lines.next().is_some() {
        Err(InstallError::NoVenv)
    } else {
        Ok(())
    }
}

fn make_environment(
    python: &OsStr,
    at: &Path,
    environment: &Environment,
) -> Result<(), InstallError> {
    let made = Command::new(python)
        .args([OsStr::new("-m"), OsStr::new("venv"), at.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .map_err(io("running python3 -m venv".to_owned()))?;
    if !made.status.success() {
        return Err(pip_error(&made, environment));
    }
    let installed = Command::new(at.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(environment.packages)
        .stdin(Stdio::null())
        .output()
        .map_err(io("running pip".to_owned()))?;
    if installed.status.success() {
        Ok(())
    } else {
        Err(pip_error(&installed, environment))
    }
}

fn pip_error(output: &Output, environment: &Environment) -> InstallError {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stdout
        .lines()
        .chain(stderr.lines())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines
        .get(lines.len().saturating_sub(3)..)
        .unwrap_or_default();
    InstallError::Pip {
        packages: environment.packages.join(" "),
        outcome: output.status.to_string(),
        said: last.join(" / "),
    }
}

fn io(what: String) -> impl FnOnce(std::io::Error) -> InstallError {
    move |source| InstallError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_old_or_incomplete_python_is_reported_with_the_next_step() {
        let missing = check_python(OsStr::new("/nonexistent/python3")).unwrap_err();
        assert!(missing.to_string().contains("apt-get install python3"));
        for (said, expected) in [
            ("3.9\n", "is version 3.9"),
            ("2.7\n", "is version 2.7"),
            ("3.12\nno venv\n", "apt-get install python3-venv"),
        ] {
            let error = check_python_version(said).unwrap_err().to_string();
            assert!(error.contains(expected), "{said}: {error}");
        }
        assert!(check_python_version("3.10\n").is_ok());
    }

    #[test]
    fn an_environment_is_named_by_the_version_that_is_pinned() {
        assert_eq!(ENGINE.packages[0], format!("ministack=={VERSION}"));
        assert_eq!(ENGINE.name, format!("venv-{VERSION}"));
        let version = AWS_CLI.name.strip_prefix("aws-cli-").unwrap();
        assert_eq!(AWS_CLI.packages, [format!("awscli=={version}")]);
    }

    #[test]
    fn an_environment_whose_interpreter_is_gone_is_not_taken_for_whole() {
        assert!(!runs(Path::new("/nonexistent/bin/python"), &ENGINE));
        assert!(!runs(Path::new("/bin/false"), &ENGINE));
    }

    #[test]
    fn two_installations_at_once_wait_for_each_other_and_give_one_environment() {
        let threads: Vec<_> = (0..2)
            .map(|_| std::thread::spawn(|| install().unwrap().python))
            .collect();
        let pythons: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(pythons.first(), pythons.last());
        assert!(runs(pythons.first().unwrap(), &ENGINE));
    }
}
