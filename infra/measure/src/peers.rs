//! The peers in other languages: installed once, pinned, each in an environment of its own under
//! `target/measure`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::paths;
use crate::progress::progress;

/// A peer that is ready to run.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its display name, such as `Python wechatpayv3`.
    pub(crate) name: &'static str,
    /// Its name in the JSON.
    pub(crate) key: &'static str,
    pub(crate) program: PathBuf,
    /// Where its programs are, its packages with them.
    pub(crate) directory: PathBuf,
    /// What its program files end in.
    extension: &'static str,
}

/// A peer, or why it cannot be had here.
pub(crate) struct PeerStatus {
    pub(crate) name: &'static str,
    pub(crate) key: &'static str,
    pub(crate) peer: MeasureResult<Peer>,
}

/// Installs the available peers. The report names those that cannot be installed; the others
/// continue.
pub(crate) fn install() -> Vec<PeerStatus> {
    let found = |name, key, peer: MeasureResult<Peer>| PeerStatus { name, key, peer };
    vec![
        found(
            "Python wechatpayv3",
            "python",
            install_python(
                "Python wechatpayv3",
                "wechatpayv3, awslambdaric, boto3",
                "requirements.txt",
                "venv",
            ),
        ),
        found("Node wechatpay-axios-plugin", "node", install_node()),
    ]
}

/// Installs the engines that reconcile a day beside ours.
pub(crate) fn engines() -> Vec<PeerStatus> {
    let install = |name| {
        install_python(
            name,
            "DuckDB, polars",
            "requirements-reconcile.txt",
            "venv-reconcile",
        )
    };
    vec![
        PeerStatus {
            name: "DuckDB",
            key: "duckdb",
            peer: install("DuckDB"),
        },
        PeerStatus {
            name: "polars",
            key: "polars",
            peer: install("polars"),
        },
    ]
}

impl Peer {
    /// The path of one of its programs.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.{}", self.extension))
    }

    /// Starts one of its programs that is asked over its standard input.
    pub(crate) fn ask(&self, name: &str, argument: &Path) -> MeasureResult<PeerProcess> {
        let mut child = Command::new(&self.program)
            .arg(self.script(name))
            .arg(argument)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during(format!("starting {}", self.program.display()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(PeerProcess {
                name: self.name,
                child,
                input,
                output: BufReader::new(output),
            }),
            _ => Err(Failure::new("a started program has no pipes")),
        }
    }
}

/// A peer's program that does its work a given number of times, and reports the duration.
#[derive(Debug)]
pub(crate) struct PeerProcess {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PeerProcess {
    /// Has it done `count` times: the shorter of wall and CPU time, as [`crate::clock::time`] has
    /// it.
    pub(crate) fn run(&mut self, count: u32) -> MeasureResult<Duration> {
        writeln!(self.input, "{count}").during(format!("asking {}", self.name))?;
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .during(format!("hearing {}", self.name))?;
        let times: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match times.as_slice() {
            [wall, cpu] => Ok(Duration::from_nanos(*wall.min(cpu))),
            _ => Err(Failure::new(format!(
                "{} failed; its own words are above",
                self.name
            ))),
        }
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A Python with the packages that `pinned` names, in an environment of its own.
fn install_python(
    name: &'static str,
    packages: &str,
    pinned: &str,
    environment: &str,
) -> MeasureResult<Peer> {
    let directory = paths::scratch()?.join("python");
    let venv = directory.join(environment);
    let program = venv.join("bin/python");
    let peer = Peer {
        name,
        key: "python",
        program,
        directory,
        extension: "py",
    };
    if copied(&peer, pinned)? && peer.program.exists() {
        return Ok(peer);
    }
    progress(format!("installing Python peers ({packages}), once"));
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--requirement",
    ];
    run(Command::new(&peer.program)
        .args(pip)
        .arg(peer.directory.join(pinned)))?;
    installed(&peer, pinned)?;
    Ok(peer)
}

fn install_node() -> MeasureResult<Peer> {
    let directory = paths::scratch()?.join("node");
    let peer = Peer {
        name: "Node wechatpay-axios-plugin",
        key: "node",
        program: "node".into(),
        directory,
        extension: "js",
    };
    run(Command::new("node").arg("--version"))?;
    if copied(&peer, "package-lock.json")? {
        return Ok(peer);
    }
    progress("installing the Node peer (wechatpay-axios-plugin, AWS SDK v3), once");
    let arguments = [
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ];
    run(Command::new("npm")
        .args(arguments)
        .current_dir(&peer.directory))?;
    installed(&peer, "package-lock.json")?;
    Ok(peer)
}

/// Brings the peer's own files beside its packages; whether the packages named by `pinned` are
/// there already.
fn copied(peer: &Peer, pinned: &str) -> MeasureResult<bool> {
    let from = paths::root()?.join("infra/measure/peers").join(peer.key);
    let to = &peer.directory;
    fs::create_dir_all(to).during(format!("making {}", to.display()))?;
    for entry in fs::read_dir(&from).during(format!("reading {}", from.display()))? {
        let entry = entry.during(format!("reading {}", from.display()))?;
        fs::copy(entry.path(), to.join(entry.file_name()))
            .during(format!("copying {}", entry.path().display()))?;
    }
    let wanted = fs::read(from.join(pinned)).during(format!("reading {pinned}"))?;
    let there = fs::read(to.join(mark(pinned))).unwrap_or_default();
    Ok(there == wanted)
}

/// Notes that the packages named by `pinned` are there.
fn installed(peer: &Peer, pinned: &str) -> MeasureResult<()> {
    let (from, to) = (
        peer.directory.join(pinned),
        peer.directory.join(mark(pinned)),
    );
    fs::copy(&from, &to)
        .during(format!("copying {}", from.display()))
        .map(|_| ())
}

fn mark(pinned: &str) -> String {
    format!("{pinned}.installed")
}

/// Runs a program to its end; on failure its last words are in the error.
fn run(command: &mut Command) -> MeasureResult<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .during(format!("running {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    Err(Failure::new(format!(
        "{name} ended with {}: {last}",
        output.status
    )))
}
