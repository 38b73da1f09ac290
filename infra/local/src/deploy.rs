//! Runs `deploy.py`, which deploys `template.yaml` on the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use local::engine::{Engine, REGION};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::alarms::{METRIC_DATA_PATH, Watched};
use crate::arguments::NewParameters;
use crate::failure::Failure;
use crate::functions::{Programs, root};
use crate::state::StateDir;

/// The stack's name, which its tables, queues and functions begin with.
pub(crate) const STACK: &str = "wechatpay";

/// What was deployed last, for [`again`].
pub(crate) const FILE: &str = "deployment.json";

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

/// What `deploy.py` is told, and what is kept of it while the stack runs.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    template: PathBuf,
    stack: String,
    endpoint: String,
    region: String,
    parameters: BTreeMap<String, String>,
    /// Settings of all functions that no parameter of the template gives.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    binaries: Programs,
    /// Where functions ask for metrics.
    #[serde(default)]
    cloudwatch: Option<String>,
}

impl Order {
    /// The template with these parameters and programs. The API's address answers for CloudWatch.
    pub(crate) fn new(
        engine: &Engine,
        parameters: &BTreeMap<&str, String>,
        programs: &Programs,
        api_url: &str,
    ) -> Self {
        let parameters = parameters.iter();
        Self {
            template: root().join("template.yaml"),
            stack: STACK.to_owned(),
            endpoint: engine.endpoint(),
            region: REGION.to_owned(),
            parameters: parameters
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            settings: BTreeMap::new(),
            binaries: programs.clone(),
            cloudwatch: Some(format!("{api_url}{METRIC_DATA_PATH}")),
        }
    }
}

/// Deploys what runs from a state directory once more, with other parameters, as `sam deploy
/// --parameter-overrides` does: what is not named stays as it is.
///
/// # Errors
/// Nothing runs there, or what `deploy.py` said.
pub(crate) async fn again(new: NewParameters) -> Result<(), Failure> {
    let state = StateDir::of_a_run(&new.state)?;
    let mut order = state.read::<Order>(FILE)?.ok_or_else(|| {
        Failure::new("this cargo local has not deployed anything yet; wait until it runs")
    })?;
    // Each deployment has a name of its own, or nobody would use what it changes.
    order.parameters.remove("Release");
    order.parameters.extend(new.values);
    order.settings.extend(new.settings);
    let installed = local::engine::install().map_err(|error| Failure::new(error.to_string()))?;
    let deployed = deploy(&installed.python, &order).await?;
    state.write(FILE, &order)?;
    let outcome = if deployed.changed {
        "deployed"
    } else {
        "nothing had changed"
    };
    println!("{outcome}");
    Ok(())
}

/// Deploys by `deploy.py`, which this interpreter runs.
///
/// # Errors
/// What it said.
pub(crate) async fn deploy(python: &Path, order: &Order) -> Result<Deployed, Failure> {
    let order = serde_json::to_vec(order)
        .map_err(|error| Failure::because("a deployment is no JSON", &error))?;
    let failed = |error| Failure::because("infra/local/deploy.py cannot be run", &error);
    let mut child = Command::new(python)
        .arg("-B")
        .arg(root().join("infra/local/deploy.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&order).await.map_err(failed)?;
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
    fn the_tests_of_throttles_on_demand_pass() {
        python_tests_pass("throttles_test.py");
    }

    #[test]
    fn events_leave_the_orders_table_for_the_webhooks_queue_on_the_engine() {
        python_tests_pass("engine_test.py");
    }
}
