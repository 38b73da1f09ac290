//! A shell of an on-call operator: later commands see what earlier ones export or define.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{ONLY_AWS, printed};

/// What `cargo client` runs.
fn client() -> PathBuf {
    let alias = "\nclient = \"run --quiet --bin client --\"\n";
    assert!(include_str!("../../../.cargo/config.toml").contains(alias));
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bin", "client"])
        .current_dir(printed::root())
        .status();
    assert!(built.expect("cargo").success());
    Path::new(env!("CARGO_BIN_EXE_faults")).with_file_name("client")
}

pub(super) struct Shell {
    folder: PathBuf,
    engine: String,
}

impl Shell {
    /// In a folder of its own under the stack's state. `aws` reaches the engine and nothing else,
    /// `cargo client` is what the alias says, and `cargo local deploy` deploys that stack.
    pub(super) fn new(folder: &Path, engine: &str) -> Self {
        std::fs::create_dir_all(folder.join("bin")).expect("a folder");
        let cli = local::engine::install_aws_cli().expect("the AWS CLI");
        let only_aws: Vec<String> = ONLY_AWS
            .iter()
            .map(|(part, _why)| format!("*\"{part}\"*"))
            .collect();
        // The stack's outputs stay the same, and each look-up of one would take half a second.
        let aws = format!(
            "#!/usr/bin/env bash\n\
             set -euo pipefail\n\
             case \"$*\" in\n\
             {only_aws}) exec {cli} -m awscli \"$@\" --generate-cli-skeleton output ;;\n\
             \"cloudformation describe-stacks \"*)\n  \
               kept=\"{folder}/$(printf '%s' \"$*\" | sha1sum | cut -c1-40)\"\n  \
               [ -e \"$kept\" ] || {cli} -m awscli --endpoint-url {engine} \"$@\" >\"$kept\"\n  \
               exec cat \"$kept\" ;;\n\
             *) exec {cli} -m awscli --endpoint-url {engine} \"$@\" ;;\n\
             esac\n",
            only_aws = only_aws.join("|"),
            cli = cli.display(),
            folder = folder.display(),
        );
        let path = folder.join("bin/aws");
        std::fs::write(&path, aws).expect("written");
        let mut permissions = std::fs::metadata(&path).expect("there").permissions();
        permissions.set_mode(0o755);
        std::fs::set_permissions(&path, permissions).expect("set");
        let cargo = format!(
            "export PATH=\"{folder}/bin:$PATH\"\n\
             cargo() {{\n  \
               case \"$1 ${{2:-}}\" in\n  \
               \"client \"*) shift; {client} \"$@\" ;;\n  \
               \"local deploy\") shift; {local} \"$@\" --state {state} ;;\n  \
               *) echo \"no cargo $1 here\" >&2; return 1 ;;\n  esac\n}}\n",
            client = client().display(),
            local = Path::new(env!("CARGO_BIN_EXE_faults"))
                .with_file_name("local")
                .display(),
            state = folder.parent().expect("the state").display(),
            folder = folder.display(),
        );
        std::fs::write(folder.join("state.sh"), cargo).expect("written");
        Self {
            folder: folder.to_owned(),
            engine: engine.to_owned(),
        }
    }

    /// The stack was deployed again, and may have other outputs.
    pub(super) fn forget_outputs(&self) {
        for entry in std::fs::read_dir(&self.folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.len() == 40) {
                std::fs::remove_file(path).expect("removed");
            }
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file in the shell's folder.
    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// Runs a script; every command of it has to go well. Gives what it said on both outputs.
    pub(super) fn run(&self, script: &str, input: &str) -> Result<String, String> {
        let whole = format!(
            ". ./state.sh\nset -euo pipefail\n{script}\n{{ export -p; declare -f; }} >state.new\nmv state.new state.sh\n"
        );
        let mut child = Command::new("bash")
            .args(["-c", &whole])
            .current_dir(&self.folder)
            .env("AWS_ENDPOINT_URL", &self.engine)
            .env("AWS_ACCESS_KEY_ID", local::engine::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", local::engine::SECRET_ACCESS_KEY)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("an end");
        let problem = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() {
            Ok(problem)
        } else {
            Err(problem)
        }
    }
}

/// What a server on this machine answers to JSON, with its head.
pub(super) fn post(url: &str, body: &str) -> String {
    let length = body.len();
    let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    ask("POST", url, &headers, body)
}

/// What it answers to a DELETE, with its head.
pub(super) fn delete(url: &str) -> String {
    ask("DELETE", url, "", "")
}

/// The body of what it answers.
pub(super) fn get(url: &str) -> String {
    let answer = ask("GET", url, "", "");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.to_owned()
}

fn ask(method: &str, url: &str, headers: &str, body: &str) -> String {
    let address = url.strip_prefix("http://").expect("plain HTTP");
    let (host, path) = address.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("a server");
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    write!(stream, "{head}{headers}\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
