//! Builds the harness with the release before in it, and runs it.
//!
//! Under `target/previous` the release's files are put by `git archive`, and beside them a
//! workspace is written: the package of these tests with one more dependency, which is
//! `tests/faults/functions.rs` over the release's own packages. So the repository's own manifest
//! and lock file know nothing of it. Versions of other packages are those of this release: with
//! two exact ones of the same package there would be no solution.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The release before while there is no tag: the first commit that reads the orders that this one
/// makes (`stores::order_table::embedded`, `flows::stored_body`).
const RECORDED: &str = include_str!("commit");
/// Everything, from the root.
const FOLDER: &str = "target/previous";
/// What of a release [`crate::functions`] uses.
const PACKAGES: [&str; 10] = [
    "console",
    "create-order",
    "flows",
    "manage-order",
    "process-payment",
    "receive-callback",
    "reconcile",
    "runtime",
    "send-webhook",
    "wechatpay",
];

/// Runs the harness with the release before, with the arguments of this call. Returns whether
/// nothing was found.
///
/// # Errors
/// There is no such revision, or it cannot be built beside this one.
pub(crate) fn run(revision: Option<&str>, arguments: &[String]) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root
        .canonicalize()
        .map_err(|error| trouble("find", &root, &error))?;
    let commit = commit(&root, revision)?;
    println!("building the release before, {commit}, beside this one");
    let release = root.join(FOLDER).join("release");
    extract(&root, &commit, &release)?;
    let manifest = write_workspace(&root, &release, &commit)?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.env("CARGO_TARGET_DIR", root.join("target"));
    }
    let status = cargo
        .args(["test", "--quiet", "--test", "faults", "--manifest-path"])
        .arg(manifest)
        .args(["--package", "integration", "--"])
        .args(arguments)
        .current_dir(&root)
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    Ok(status.success())
}

/// The commit of the release before: what was asked for, the newest release that this one is not,
/// or what is recorded.
fn commit(root: &Path, revision: Option<&str>) -> Result<String, String> {
    let list = [
        "tag",
        "--list",
        "v[0-9]*",
        "--sort=-version:refname",
        "--no-contains",
        "HEAD",
    ];
    let tags = git(root, &list)?;
    let revision = revision
        .or_else(|| tags.lines().next())
        .unwrap_or(RECORDED.trim());
    let name = format!("{revision}^{{commit}}");
    let commit = git(root, &["rev-parse", "--verify", "--quiet", &name]);
    commit
        .map_err(|_| format!("there is no commit {revision} here: `git fetch --unshallow --tags`"))
}

/// Puts the files of a commit into a folder, unless they are there.
fn extract(root: &Path, commit: &str, folder: &Path) -> Result<(), String> {
    let extracted = folder.with_extension("commit");
    if fs::read_to_string(&extracted).is_ok_and(|kept| kept == commit) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| trouble("empty", folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| trouble("make", folder, &error))?;
    let mut archive = Command::new("git")
        .args(["archive", "--format=tar", commit])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("git does not run: {error}"))?;
    let files = archive.stdout.take().map_or_else(Stdio::null, Stdio::from);
    // With the time of now: cargo builds again only what is newer than what it has built.
    let unpacked = Command::new("tar")
        .args(["--extract", "--touch", "--directory"])
        .arg(folder)
        .stdin(files)
        .status()
        .map_err(|error| format!("tar does not run: {error}"))?;
    let archived = archive.wait().map_err(|error| error.to_string())?;
    if !archived.success() || !unpacked.success() {
        return Err(format!(
            "the files of {commit} cannot be put into {}",
            folder.display()
        ));
    }
    write(&extracted, commit)
}

/// Writes the workspace. Its manifest.
fn write_workspace(root: &Path, release: &Path, commit: &str) -> Result<PathBuf, String> {
    let workspace = root.join(FOLDER).join("workspace");
    let ours = read(&root.join("Cargo.toml"))?;
    let theirs = read(&release.join("Cargo.toml"))?;
    write(&release.join("Cargo.toml"), &fitted(&theirs, &ours))?;

    let manifest = workspace.join("Cargo.toml");
    write(&manifest, &moved(&ours))?;
    let lock = root.join("Cargo.lock");
    fs::copy(&lock, workspace.join("Cargo.lock"))
        .map_err(|error| trouble("copy", &lock, &error))?;

    // Its own file fits the release, if it has one.
    let functions = release.join("tests/faults/functions.rs");
    let functions = if functions.is_file() {
        functions
    } else {
        root.join("tests/faults/functions.rs")
    };
    write(
        &workspace.join("functions/Cargo.toml"),
        &functions_manifest(&functions, release, &theirs)?,
    )?;

    let tests = read(&root.join("tests/Cargo.toml"))?;
    let harness = root.join("tests/faults/main.rs");
    write(
        &workspace.join("tests/Cargo.toml"),
        &tests_manifest(&tests, &harness),
    )?;
    write(
        &workspace.join("tests/build.rs"),
        &format!(
            "fn main() {{\n    println!(\"cargo::rustc-cfg=with_previous\");\n    println!(\"cargo::rustc-env=PREVIOUS_RELEASE={commit}\");\n}}\n"
        ),
    )?;
    Ok(manifest)
}

/// The release's root manifest, with a version of its own, since a lock file separates packages in
/// folders by their versions alone, and with our versions of others' packages.
fn fitted(theirs: &str, ours: &str) -> String {
    let ours: BTreeMap<&str, &str> = dependencies(ours).collect();
    let mut section = "";
    let lines = theirs.lines().map(|line| {
        if line.starts_with('[') {
            section = line;
        }
        let is_version = section == "[workspace.package]" && line.starts_with("version = \"");
        if is_version && !line.contains("-previous") {
            return format!("{}-previous\"", line.trim_end_matches('"'));
        }
        let name = line.split(" = ").next().unwrap_or_default();
        match ours.get(name) {
            Some(our) if section == DEPENDENCIES && !line.contains("path = \"") => {
                (*our).to_owned()
            }
            Some(_) | None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

const DEPENDENCIES: &str = "[workspace.dependencies]";

/// The lines of the workspace's dependencies, by names.
fn dependencies(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let section = sections(manifest).find(|section| section.starts_with(DEPENDENCIES));
    let lines = section.unwrap_or_default().lines();
    lines.filter_map(|line| Some((line.split_once(" = ")?.0, line)))
}

/// The sections of a manifest, each with its heading.
fn sections(manifest: &str) -> impl Iterator<Item = &str> {
    let mut begins: Vec<usize> = manifest
        .match_indices("\n[")
        .map(|(at, _)| at + 1)
        .collect();
    if manifest.starts_with('[') {
        begins.insert(0, 0);
    }
    let ends: Vec<usize> = begins
        .iter()
        .skip(1)
        .copied()
        .chain([manifest.len()])
        .collect();
    begins
        .into_iter()
        .zip(ends)
        .filter_map(|(begin, end)| manifest.get(begin..end))
}

/// Our root manifest, three folders further down.
fn moved(ours: &str) -> String {
    let lines = ours.lines().filter_map(|line| {
        if line.starts_with("members = ") {
            return Some("members = [\"functions\", \"tests\"]".to_owned());
        }
        let is_excluded = line.starts_with("exclude = ");
        (!is_excluded).then(|| line.replace("path = \"", "path = \"../../../"))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The manifest of the package that the release before is.
fn functions_manifest(functions: &Path, release: &Path, theirs: &str) -> Result<String, String> {
    let mut manifest = format!(
        "[package]\nname = \"previous-release\"\nversion = \"0.0.0\"\nedition.workspace = true\npublish = false\n\n\
         [lib]\npath = {functions:?}\n\n\
         [dependencies]\naws-smithy-runtime-api.workspace = true\nhttp.workspace = true\nserde_json.workspace = true\n"
    );
    let paths: BTreeMap<&str, &str> = dependencies(theirs).collect();
    for name in PACKAGES {
        let path = paths
            .get(name)
            .and_then(|line| line.split("path = \"").nth(1)?.split('"').next())
            .ok_or_else(|| format!("the release before has no package {name}"))?;
        let path = release.join(path);
        let features = if name == "runtime" {
            ", features = [\"testing\"]"
        } else {
            ""
        };
        manifest.push_str(&format!("{name} = {{ path = {path:?}{features} }}\n"));
    }
    Ok(manifest)
}

/// The manifest of the tests' package: the harness alone, with the release before.
fn tests_manifest(tests: &str, harness: &Path) -> String {
    let kept = sections(tests).filter(|section| {
        ["[package]", "[lints]", "[dependencies]"]
            .iter()
            .any(|heading| section.starts_with(heading))
    });
    let kept: String = kept.collect();
    let kept = kept.replace("[package]\n", "[package]\nbuild = \"build.rs\"\n");
    let dependency = "[dependencies]\nprevious-release = { path = \"../functions\" }\n";
    let kept = kept.replace("[dependencies]\n", dependency);
    format!("{kept}\n[[test]]\nname = \"faults\"\npath = {harness:?}\nharness = false\n")
}

/// What git answers.
fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let answer = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("git does not run: {error}"))?;
    if !answer.status.success() {
        return Err(format!(
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&answer.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| trouble("read", path, &error))
}

/// Writes a file, unless it is there and the same: what is built stays built.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| trouble("make", folder, &error))?;
    }
    fs::write(path, text).map_err(|error| trouble("write", path, &error))
}

fn trouble(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
