//! The local AWS engine as a child process: installed once, started on loopback, gone when its
//! owner is gone.
//!
//! ```no_run
//! let engine = local::engine::start(local::engine::Options::default())?;
//! println!("KMS, SQS, DynamoDB, Lambda ... at {}", engine.endpoint());
//! # Ok::<(), local::engine::Error>(())
//! ```
//!
//! Clients sign with any credentials ([`ACCESS_KEY_ID`], [`SECRET_ACCESS_KEY`]) for [`REGION`].
//! Faults of the engine that matter to a test: a KMS ciphertext is not authenticated (a flipped
//! byte decrypts), and nothing is throttled.

mod install;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use install::{InstallError, Installed, VERSION, install, install_aws_cli};

/// The region that the engine serves and that its clients sign for.
pub const REGION: &str = "us-east-1";

/// The account that the engine's ARNs name.
pub const ACCOUNT: &str = "000000000000";

/// Access key id for clients; the engine takes any.
pub const ACCESS_KEY_ID: &str = "test";

/// Secret access key for clients; the engine takes any.
pub const SECRET_ACCESS_KEY: &str = "test";

/// How long a start may take. It needs under a second; a machine busy with a build has been seen to
/// need ten.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a clean stop may take before the process is killed, where it has data to write. That
/// takes under a second for the data of a demo; a slow disk and a day's work stay far below this
/// limit. A kill loses all of the data.
const STOP_LIMIT: Duration = Duration::from_secs(600);

/// The same for an engine whose data is not kept.
const SCRATCH_STOP_LIMIT: Duration = Duration::from_secs(20);

/// How many logs of earlier runs are kept beside kept data: `engine.log.1` is the newest.
const EARLIER_LOGS: u32 = 3;

/// Binds the port, adds to the engine what it lacks (`additions.py`), runs it, and ends it when
/// standard input closes.
const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/launch.py");

/// How an engine is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where the engine keeps its data between runs. Without one it starts empty and keeps nothing.
    pub state_dir: Option<PathBuf>,
}

/// A running engine. Dropping it stops it cleanly, so that data is kept where a state directory was
/// given; if this process is killed, the engine sees its standard input close and stops by itself.
#[derive(Debug)]
pub struct Engine {
    port: u16,
    python: PathBuf,
    log: PathBuf,
    child: Arc<Mutex<Child>>,
    /// Held open for the engine's life: the launcher stops it at end of file.
    lifeline: Option<ChildStdin>,
    /// Files that are useless without the engine: all that it wrote, or, if data is kept, only the
    /// functions that it unpacked.
    scratch: PathBuf,
    /// Where the log is moved if the engine crashes and its log would be removed with the rest.
    crash_log: Option<PathBuf>,
    /// Whether it was stopped.
    is_over: bool,
}

/// How an engine ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// After the command to stop; its data is written.
    Clean,
    /// It had to be killed: what was written since the last clean stop is lost.
    Killed,
    /// Before a command to stop: everything written since the last clean stop is lost.
    Crashed,
}

/// Sees whether an engine still runs, from anywhere.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Mutex<Child>>);

impl Watch {
    /// How its process ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }
}

/// Why no engine is running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's environment could not be made.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The wanted port is taken.
    #[error(
        "port {port} on 127.0.0.1 is in use, so the local AWS engine cannot listen there; stop what uses it or choose another port"
    )]
    PortInUse { port: u16 },
    /// A directory, log file or process could not be made.
    #[error("the local AWS engine could not be started: {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process ended, or answered nothing in time.
    #[error("the local AWS engine {what}; the end of its log {}:\n{tail}", log.display())]
    NotReady {
        what: String,
        /// The whole log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
}

/// Starts an engine, installing it first where that was not done yet, and waits until it answers.
///
/// # Errors
/// When it cannot be installed ([`install()`]), when the port is taken, or when it does not answer
/// within a minute.
pub fn start(options: Options) -> Result<Engine, Error> {
    let installed = install()?;
    if options.port != 0 && TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).is_err() {
        return Err(Error::PortInUse { port: options.port });
    }
    let home = match &options.state_dir {
        Some(kept) => kept.clone(),
        None => scratch_dir(&installed.root)?,
    };
    let temporary = home.join("tmp");
    let state = home.join("state");
    // A run that was killed leaves it behind.
    drop(fs::remove_dir_all(&temporary));
    private_dir(&temporary)?;
    private_dir(&state)?;
    let log = home.join("engine.log");
    keep_earlier_logs(&log);
    let log_file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&log)
        .map_err(io(format!("writing {}", log.display())))?;

    let mut child = command(&installed, options.port, &temporary, &state)
        .stderr(log_file)
        .spawn()
        .map_err(io(format!("running {}", installed.python.display())))?;
    let lifeline = child.stdin.take();
    let stdout = child.stdout.take();
    let mut engine = Engine {
        port: 0,
        python: installed.python,
        log,
        child: Arc::new(Mutex::new(child)),
        lifeline,
        is_over: false,
        crash_log: match &options.state_dir {
            Some(_) => None,
            None => crash_log(&installed.root, &home),
        },
        scratch: if options.state_dir.is_some() {
            temporary
        } else {
            home
        },
    };

    // The launcher's one line of output is its port. End of file instead means that it died.
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(io("reading its port".to_owned()))?;
    }
    engine.port = line
        .trim()
        .parse()
        .map_err(|_| engine.not_ready("ended before it listened"))?;
    engine.wait_until_healthy()?;
    Ok(engine)
}

impl Engine {
    /// Its address, for `endpoint_url`: `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Python that runs it; boto3 and the SAM translator are installed there too.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Its log file, with what functions wrote to standard output and error.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log, at most 4 KiB.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
            .unwrap_or_else(|error| format!("({} cannot be read: {error})", self.log.display()))
    }

    /// The process id, for a test that checks whether it ended.
    pub fn process_id(&self) -> u32 {
        self.child().id()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether it still runs, also while the engine is borrowed elsewhere.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.child))
    }

    /// Whether its process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Stops it and waits until its data is written, for as long as that may take. One whose data
    /// is not kept gets 20 s.
    pub fn stop(self) -> Ending {
        self.stop_while(|_| true)
    }

    /// The same, while `goes_on` returns true; it is called many times a second with the duration
    /// of the stop so far.
    pub fn stop_while(mut self, goes_on: impl FnMut(Duration) -> bool) -> Ending {
        self.end(goes_on)
    }

    fn end(&mut self, mut goes_on: impl FnMut(Duration) -> bool) -> Ending {
        self.is_over = true;
        let was_asked = self.lifeline.take().is_some();
        let ending = if was_asked && !self.is_running() {
            Ending::Crashed
        } else {
            self.wait_for_its_end(&mut goes_on)
        };
        if ending == Ending::Crashed {
            let log = self.keep_log();
            eprintln!(
                "the local AWS engine had ended by itself; its log is kept: {}",
                log.display()
            );
        }
        // A leftover is swept by the next start.
        drop(fs::remove_dir_all(&self.scratch));
        ending
    }

    fn wait_for_its_end(&self, goes_on: &mut impl FnMut(Duration) -> bool) -> Ending {
        let limit = match self.crash_log {
            None => STOP_LIMIT,
            Some(_) => SCRATCH_STOP_LIMIT,
        };
        let begin = Instant::now();
        loop {
            let ended = self.child().try_wait();
            let waited = begin.elapsed();
            match ended {
                Ok(Some(_)) => return Ending::Clean,
                Ok(None) if waited < limit && goes_on(waited) => {
                    thread::sleep(Duration::from_millis(10));
                }
                Ok(None) | Err(_) => break,
            }
        }
        let mut child = self.child();
        // It may be gone by now; then there is nothing to kill or report.
        drop(child.kill());
        drop(child.wait());
        Ending::Killed
    }

    /// Moves its log to a permanent place, and returns that place.
    fn keep_log(&self) -> PathBuf {
        let Some(kept) = &self.crash_log else {
            return self.log.clone();
        };
        let made = kept
            .parent()
            .is_none_or(|parent| private_dir(parent).is_ok());
        if made && fs::copy(&self.log, kept).is_ok() {
            kept.clone()
        } else {
            self.log.clone()
        }
    }

    fn wait_until_healthy(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if healthy(self.port) {
                return Ok(());
            }
            if !self.is_running() {
                return Err(self.not_ready("ended while it started"));
            }
            thread::sleep(Duration::from_millis(25));
        }
        Err(self.not_ready("did not answer within a minute"))
    }

    fn not_ready(&self, what: &str) -> Error {
        // A failed start removes its scratch directory, so the log is kept and the tail is read
        // here.
        Error::NotReady {
            what: what.to_owned(),
            log: self.keep_log(),
            tail: self.log_tail(),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(|_| true);
        }
    }
}

/// The logs of the last runs move on by one: what a crash left is there after the next start, too.
fn keep_earlier_logs(log: &Path) {
    let earlier = |number: u32| {
        let mut path = log.as_os_str().to_owned();
        if number > 0 {
            path.push(format!(".{number}"));
        }
        PathBuf::from(path)
    };
    for number in (0..EARLIER_LOGS).rev() {
        // If there is none, there is nothing to keep.
        drop(fs::rename(
            earlier(number),
            earlier(number.saturating_add(1)),
        ));
    }
}

/// Where the log of a crash is moved, if it would be removed with the engine's scratch directory.
fn crash_log(root: &Path, home: &Path) -> Option<PathBuf> {
    let name = home.file_name()?.to_str()?;
    Some(root.join("crashes").join(format!("{name}.log")))
}

/// The engine's process: an environment of its own, so that no profile, endpoint or credential of
/// the person who starts it reaches the engine or the functions that it runs; a process group of
/// its own, so that Ctrl-C in a terminal reaches the owner alone, who then stops the engine after
/// what depends on it.
fn command(installed: &Installed, port: u16, temporary: &Path, state: &Path) -> Command {
    let mut command = Command::new(&installed.python);
    command
        .args(["-B", LAUNCHER])
        .arg(port.to_string())
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_DEFAULT_REGION", REGION),
            ("MINISTACK_REGION", REGION),
            ("MINISTACK_ACCOUNT_ID", ACCOUNT),
            ("PERSIST_STATE", "1"),
            // Listeners that are not needed here, and the Docker daemon, which the engine must not
            // use.
            ("IOT_MTLS_ENABLED", "0"),
            ("SFTP_ENABLED", "0"),
            ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        ])
        .env("STATE_DIR", state)
        .env("TMPDIR", temporary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0);
    command
}

fn healthy(port: u16) -> bool {
    let answer = || -> std::io::Result<Vec<u8>> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            b"GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        )?;
        let mut status = vec![0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    answer().is_ok_and(|status| status == b"HTTP/1.1 200")
}

/// A new directory for one engine of this process. Directories of processes that are gone are
/// removed on the way: a killed test run cannot do it itself.
fn scratch_dir(root: &Path) -> Result<PathBuf, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let runs = root.join("runs");
    for entry in fs::read_dir(&runs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.split('-').next())
            .and_then(|id| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // Another process may clean up at the same time; the second one finds nothing.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    let own = runs.join(format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    private_dir(&own)?;
    Ok(own)
}

/// It holds keys and orders: readable by the owner only.
fn private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io(format!("making {}", path.display())))
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn io(what: String) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

#[cfg(test)]
mod tests;
