//! Runs `deploy.py`, which deploys `template.yaml` on the engine.

use std::collections::BTreeMap;
use std::process::Stdio;

use local::engine::{Engine, REGION};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::alarms::Watched;
use crate::failure::Failure;
use crate::functions::{Programs, root};

/// The stack's name, which its tables, queues and functions begin with.
pub(crate) const STACK: &str = "wechatpay";

#[derive(Debug, Deserialize)]
pub(crate) struct Deployed {
    /// Whether anything was new.
    pub(crate) changed: bool,
    /// What of the template was adapted to the engine, a sentence each.
    pub(crate) adaptations: Vec<String>,
    outputs: BTreeMap<String, String>,
    /// What of the template makes metrics and watches them.
    pub(crate) watched: Watched,
}

impl Deployed {
    /// An output of the template.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn output(&self, name: &str) -> Result<&str, Failure> {
        self.outputs
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| Failure::new(format!("template.yaml has no output {name}")))
    }
}

/// Deploys the template with these parameters and programs.
///
/// # Errors
/// What `deploy.py` said.
pub(crate) async fn deploy(
    engine: &Engine,
    parameters: &BTreeMap<&str, String>,
    programs: &Programs,
) -> Result<Deployed, Failure> {
    let order = json!({
        "template": root().join("template.yaml"),
        "stack": STACK,
        "endpoint": engine.endpoint(),
        "region": REGION,
        "parameters": parameters,
        "binaries": programs,
    });
    let failed = |error| Failure::because("infra/local/deploy.py cannot be run", &error);
    let mut child = Command::new(engine.python())
        .arg("-B")
        .arg(root().join("infra/local/deploy.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(order.to_string().as_bytes())
            .await
            .map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "template.yaml was not deployed: {}",
            said.trim()
        )));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::because("infra/local/deploy.py gave no result", &error))
}

/// The template's word for this machine's processor.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    }
}

#[cfg(test)]
mod tests {
    fn python_tests_pass(file: &str) {
        let installed = local::engine::install().unwrap();
        let output = std::process::Command::new(installed.python)
            .args(["-B", file])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("OK"), "{said}");
    }

    #[test]
    fn the_tests_of_the_deployment_script_pass() {
        python_tests_pass("deploy_test.py");
    }

    #[test]
    fn the_tests_of_what_is_added_to_the_engine_pass() {
        python_tests_pass("additions_test.py");
    }

    #[test]
    fn events_leave_the_orders_table_for_the_webhooks_queue_on_the_engine() {
        python_tests_pass("engine_test.py");
    }
}
