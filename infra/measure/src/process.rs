//! Programs under measurement: started with nothing but the environment they are given, and read
//! through `/proc`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::environment::Environment;

use crate::failure::{ErrorContext, Failure, MeasureResult};

/// A running program. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `program` with an environment of its own. What it logs is thrown away, as cheaply as
    /// can be; what it says on standard error is shown, since that is where a start fails.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &Environment,
    ) -> MeasureResult<Self> {
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .during(format!("starting {}", program.display()))?;
        Ok(Self { child })
    }

    /// The most memory that was resident so far (`VmHWM`), in bytes.
    pub(crate) fn peak_memory(&self) -> MeasureResult<u64> {
        peak_of(&self.proc("status")?)
    }

    /// CPU time of all its threads so far, user and system.
    pub(crate) fn cpu(&self) -> MeasureResult<Duration> {
        cpu_of(&self.proc("stat")?)
            .ok_or_else(|| Failure::new("/proc/<pid>/stat is not as documented"))
    }

    fn proc(&self, file: &str) -> MeasureResult<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).during(format!("reading {path} (the benchmarks need Linux)"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The most memory that this program itself had resident so far, in bytes.
pub(crate) fn own_peak_memory() -> MeasureResult<u64> {
    let path = "/proc/self/status";
    peak_of(&std::fs::read_to_string(path).during(format!("reading {path}"))?)
}

fn peak_of(status: &str) -> MeasureResult<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024))
        .ok_or_else(|| Failure::new("the kernel reports no VmHWM"))
}

/// Runs a program to its end on one processor, if `taskset` is there to hold it to one, and gives
/// the last line that it prints, which is JSON.
pub(crate) fn ask_on_one_cpu(
    program: &Path,
    arguments: &[&OsStr],
    one_cpu: Option<&str>,
) -> MeasureResult<Value> {
    let mut command = match one_cpu {
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cpu]).arg(program);
            command
        }
        None => Command::new(program),
    };
    let name = program.display();
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .during(format!("running {name}"))?;
    if !output.status.success() {
        let status = output.status;
        return Err(Failure::new(format!(
            "{name} ended with {status}; its own words are above"
        )));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).during(format!("hearing {name}"))
}

/// The last processor that this program may run on, if there is a `taskset` to hold others to it.
pub(crate) fn one_cpu() -> Option<String> {
    let taskset = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !taskset.is_ok_and(|status| status.success()) {
        return None;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let cpus = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let last = cpus.trim().rsplit([',', '-']).next()?;
    Some(last.to_owned())
}

/// `utime` and `stime`, fields 14 and 15 of `/proc/<pid>/stat`, in ticks of a hundredth of a
/// second. The second field is the program's name in brackets and may hold anything, so counting
/// begins behind it.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        utime.saturating_add(stime).saturating_mul(10),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_the_name_whatever_the_name_is() {
        let stat = "7 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_of("nothing"), None);
    }

    #[test]
    fn a_running_program_has_memory_and_ends_when_dropped() {
        let environment = Environment::default();
        let sleeper =
            Running::start(Path::new("/bin/sleep"), &["60"], &environment).expect("started");
        assert!(sleeper.peak_memory().expect("VmHWM") > 0);
        assert!(sleeper.cpu().expect("ticks") < Duration::from_secs(1));
        let path = format!("/proc/{}", sleeper.child.id());
        drop(sleeper);
        assert!(!Path::new(&path).exists());
    }
}
