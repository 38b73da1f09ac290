//! Shows that the fault harness finds what it should: known bugs are put into a copy of the source,
//! and the harness must catch each. `cargo known-bugs --help` says how to use it.
//!
//! A bug is a patch beside this file ([`bug`]). All of them go into one copy ([`copy`]), which is
//! built once; each is switched on at run time. So production source has none of them, and a patch
//! that no longer applies is seen.

#![expect(clippy::print_stdout, reason = "progress is for people")]

mod bug;
mod copy;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use bug::{KnownBug, SWITCH};
use copy::Copy;

const USAGE: &str = "\
Puts known bugs into a copy of the source and demands that the fault harness catches each.

Usage: cargo known-bugs [NAME ...]
       cargo known-bugs --run NAME [ARGUMENTS OF cargo faults]

Without names all bugs are tried. A bug is tests/known_bugs/NAME.patch: a head that says what it is (Bug), where it was seen or
why it is plausible (Why), what the harness runs (Run) and which of its checks must report a violation (Check), and then the
patch. The case in which a bug was caught must pass without it.

  --run NAME   runs with this bug what its Run says, or what is given; such as the case in which it was caught
  --list       lists the bugs
  --help       prints this

The exit status is 1 when a bug was not caught, or its patch does not apply any more.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            println!("{wrong}");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked for; whether all is well.
fn run(arguments: &[String]) -> Result<bool, String> {
    let root = root()?;
    let bugs = known_bugs(&root)?;
    let named = |name: &String| {
        let mut bugs = bugs.iter();
        bugs.find(|bug| bug.name == *name)
            .ok_or_else(|| format!("there is no bug {name}; --list names them"))
    };
    match arguments {
        [option] if option == "--help" || option == "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        [option] if option == "--list" => {
            for bug in &bugs {
                println!("{}\n    {}\n    {}", bug.name, bug.bug, bug.why);
            }
            Ok(true)
        }
        [option, name, given @ ..] if option == "--run" => {
            let bug = named(name)?;
            let (copy, unfit) = copy_with(&root, &bugs)?;
            if let Some((_, why)) = unfit.iter().find(|(unfit, _)| unfit.name == bug.name) {
                return Err(mend(bug, why));
            }
            let run = if given.is_empty() { &bug.run } else { given };
            let harness = Harness::build(&copy, &root)?;
            let status = harness.command(Some(bug), run).status();
            Ok(status.map_err(|error| error.to_string())?.success())
        }
        [option, ..] if option.starts_with('-') => {
            Err(format!("there is no option {option}\n\n{USAGE}"))
        }
        [] => catch(&root, &bugs, &bugs.iter().collect::<Vec<_>>()),
        names => {
            let wanted: Result<Vec<&KnownBug>, String> = names.iter().map(named).collect();
            catch(&root, &bugs, &wanted?)
        }
    }
}

/// The repository's root.
fn root() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))
}

/// A bug's file, from the root.
fn file(name: &str) -> String {
    format!("tests/known_bugs/{name}.patch")
}

/// All bugs, by their names.
fn known_bugs(root: &Path) -> Result<Vec<KnownBug>, String> {
    let folder = root.join("tests/known_bugs");
    let entries = fs::read_dir(&folder).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".patch")?.to_owned()))
        .collect();
    names.sort();
    let read = |name: &String| {
        let path = root.join(file(name));
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        text.and_then(|text| KnownBug::parse(name, &text))
            .map_err(|wrong| format!("{}: {wrong}", file(name)))
    };
    names.iter().map(read).collect()
}

/// A bug whose patch does not apply, and why.
type Unfit<'a> = (&'a KnownBug, String);

/// Writes the copy with all bugs in it whose patches apply.
fn copy_with<'a>(root: &Path, bugs: &'a [KnownBug]) -> Result<(Copy, Vec<Unfit<'a>>), String> {
    let mut copy = Copy::of(root)?;
    let mut unfit = Vec::new();
    for bug in bugs {
        if let Err(why) = copy.add(bug, Path::new(&file(&bug.name))) {
            unfit.push((bug, why));
        }
    }
    copy.write()?;
    Ok((copy, unfit))
}

fn mend(bug: &KnownBug, why: &str) -> String {
    format!(
        "DOES NOT APPLY ANY MORE: mend {}\n    {}",
        file(&bug.name),
        why.replace('\n', "\n    ")
    )
}

/// Builds the copy with all bugs and demands that the wanted ones are caught. Whether they were.
fn catch(root: &Path, bugs: &[KnownBug], wanted: &[&KnownBug]) -> Result<bool, String> {
    let began = Instant::now();
    let (copy, unfit) = copy_with(root, bugs)?;
    for (bug, why) in &unfit {
        println!("{}", mend(bug, why));
    }
    println!("building the copy with {} bugs", bugs.len() - unfit.len());
    let harness = Harness::build(&copy, root)?;
    println!("built ({} s)", began.elapsed().as_secs());
    let (mut caught, mut missed) = (0_u32, 0_u32);
    let fits = |bug: &&&KnownBug| !unfit.iter().any(|(unfit, _)| unfit.name == bug.name);
    for bug in wanted.iter().filter(fits) {
        let began = Instant::now();
        match harness.catch(bug)? {
            Ok(case) => {
                caught += 1;
                println!(
                    "caught {}: {case}: {:?} ({} ms)",
                    bug.name,
                    bug.check,
                    began.elapsed().as_millis()
                );
            }
            Err(why) => {
                missed += 1;
                println!("NOT CAUGHT {}: {}\n    {why}", bug.name, bug.bug);
            }
        }
    }
    println!(
        "{caught} caught, {missed} not caught, {} whose patch does not apply any more ({} s)",
        unfit.len(),
        began.elapsed().as_secs()
    );
    Ok(missed == 0 && unfit.is_empty())
}

/// A test of the workspace that is built in no time.
const SMALLEST_TEST: &str = "start_up";

/// The fault harness, built of the copy.
struct Harness {
    program: PathBuf,
    folder: PathBuf,
}

impl Harness {
    /// Builds it. External crates are reused from `cargo test --workspace`: same lock file, profile
    /// and features, for which cargo has to build some test as well. Our crates have the same names
    /// in the copy; cargo separates builds with a compiler wrapper, and `env` is a wrapper that
    /// changes nothing.
    fn build(copy: &Copy, root: &Path) -> Result<Self, String> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
            || root.join("target"),
            |target| root.join(target), // which is the target if it is absolute
        );
        let built = cargo()
            .args(["build", "--workspace", "--locked", "--bin", "faults"])
            .args(["--test", SMALLEST_TEST])
            .arg("--message-format=json-render-diagnostics")
            .arg("--target-dir")
            .arg(target)
            .env("RUSTC_WORKSPACE_WRAPPER", "env")
            .current_dir(copy.folder())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo does not run: {error}"))?;
        if !built.status.success() {
            return Err(
                "the copy does not compile: mend the patch of the file that the error names"
                    .to_owned(),
            );
        }
        let printed = String::from_utf8_lossy(&built.stdout);
        let (_, program) = printed
            .lines()
            .filter(|line| line.contains("\"name\":\"faults\""))
            .find_map(|line| line.split_once("\"executable\":\""))
            .ok_or("cargo did not name the program that it built")?;
        let program = program.split('"').next().unwrap_or_default();
        Ok(Self {
            program: PathBuf::from(program),
            folder: copy.folder().join("tests"),
        })
    }

    /// Runs it with a bug, or with none.
    fn command(&self, bug: Option<&KnownBug>, run: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(run).current_dir(&self.folder);
        match bug {
            Some(bug) => command.env(SWITCH, &bug.name),
            None => command.env_remove(SWITCH),
        };
        command
    }

    /// The case in which the bug's check reports a violation, and nothing is found without the bug;
    /// or what is wrong.
    fn catch(&self, bug: &KnownBug) -> Result<Result<String, String>, String> {
        let find = ["--find".to_owned(), bug.check.clone()];
        let runs = [bug.run.as_slice(), &find].concat();
        let said = output(&mut self.command(Some(bug), &runs))?.1;
        let found = said.lines().find_map(|line| line.strip_prefix("FOUND "));
        let Some((case, replay)) = found.and_then(|found| found.split_once(" | cargo faults "))
        else {
            let said = said.trim().replace('\n', "\n    ");
            return Ok(Err(format!(
                "cargo known-bugs --run {} {}\n    {said}",
                bug.name,
                bug.run.join(" ")
            )));
        };
        let replay: Vec<String> = replay.split_whitespace().map(str::to_owned).collect();
        let (passes, said) = output(&mut self.command(None, &replay))?;
        let mut violations = said.lines().filter(|line| line.starts_with("VIOLATION"));
        Ok(if passes {
            Ok(case.to_owned())
        } else {
            Err(format!(
                "{case} fails without the bug, too: {}",
                violations.next().unwrap_or_default()
            ))
        })
    }
}

/// Runs a command: whether it succeeded, and what it said.
fn output(command: &mut Command) -> Result<(bool, String), String> {
    let output = command
        .output()
        .map_err(|error| format!("the harness does not run: {error}"))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), said))
}

/// The cargo that runs this. No linter reads the copy: a bug need not please one.
fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
    cargo
}
