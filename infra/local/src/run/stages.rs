//! The stages before the scenarios: what a run holds, the functions, the engine, the deployment and
//! the simulator.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use local::engine;
use local::engine::Engine;
use runtime::clock::Clock;
use runtime::random::Random;
use wechatpay_simulator::{
    Config, GivenMerchant, Log, Merchant as SimulatorMerchant, Running, Simulator,
};

use crate::arguments::Arguments;
use crate::deploy::Deployed;
use crate::failure::Failure;
use crate::functions::Programs;
use crate::http::Http;
use crate::merchant::{APPID, MCHID};
use crate::port::Port;
use crate::progress::{Output, Progress};
use crate::receiver::Receiver;
use crate::state::StateDir;
use crate::{deploy, functions, prerequisites};

/// How long WeChat Pay takes for a refund here (milliseconds). The real one takes minutes,
/// into a bank card days.
const REFUND_TAKES_MS: i64 = 1_000;

/// What a run holds before it starts anything.
pub(super) struct Resources {
    pub(super) state: StateDir,
    pub(super) port: Port,
    pub(super) receiver: Receiver,
    pub(super) simulator_port: u16,
    pub(super) shows_log: Arc<AtomicBool>,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) http: Http,
}

pub(super) async fn take_resources(
    arguments: &Arguments,
    progress: &mut Progress,
) -> Result<Resources, Failure> {
    let resources = async {
        prerequisites::check(arguments.bins.is_none())?;
        let state = StateDir::take(&arguments.state, arguments.fresh)?;
        let (clock, random) = (Clock::system(), Random::system());
        let shows_log = Arc::new(AtomicBool::new(false));
        let port = Port::of_the_api(arguments.port).await?;
        let simulator_port = simulator_port(arguments.simulator_port)?;
        // Before the engine, which sends at once what the last run left in its queues.
        let shown = Arc::clone(&shows_log);
        let receiver = Receiver::open(&state, clock.clone(), &random, shown).await?;
        Ok(Resources {
            state,
            port,
            receiver,
            simulator_port,
            shows_log,
            clock,
            random,
            http: Http::new(),
        })
    };
    progress
        .stage("checking what is needed", Output::Silent, resources)
        .await
}

pub(super) async fn programs(
    arguments: &Arguments,
    progress: &mut Progress,
) -> Result<Programs, Failure> {
    match &arguments.bins {
        Some(directory) => {
            let name = format!("taking the functions from {}", directory.display());
            let found = async { functions::find(directory) };
            progress.stage(name, Output::Silent, found).await
        }
        None => {
            let built = functions::build(arguments.release);
            progress
                .stage("building the functions", Output::Talks, built)
                .await
        }
    }
}

pub(super) async fn start_engine(
    arguments: &Arguments,
    state: &StateDir,
    progress: &mut Progress,
) -> Result<Engine, Failure> {
    let installed = blocking(engine::install);
    let installed = async {
        installed
            .await?
            .map_err(|error| Failure::new(error.to_string()))
    };
    progress
        .stage(
            "installing the local AWS engine, unless that was done",
            Output::Talks,
            installed,
        )
        .await?;

    let options = engine::Options {
        port: arguments.engine_port,
        state_dir: Some(state.join("engine")),
    };
    let started = blocking(|| engine::start(options));
    let started = async {
        started.await?.map_err(|error| match error {
            engine::Error::PortInUse { .. } => Failure::new(format!("{error} with --engine-port")),
            engine::Error::Install(_)
            | engine::Error::Io { .. }
            | engine::Error::NotReady { .. } => Failure::new(error.to_string()),
        })
    };
    progress
        .stage("starting the local AWS engine", Output::Silent, started)
        .await
}

pub(super) async fn deploy(
    engine: &Engine,
    order: &deploy::Order,
    state: &StateDir,
    progress: &mut Progress,
) -> Result<Deployed, Failure> {
    let deployed = deploy::deploy(engine.python(), order);
    let deployed = progress
        .stage("deploying template.yaml", Output::Silent, deployed)
        .await?;
    state.write(deploy::FILE, order)?;
    if !deployed.changed {
        progress.note("nothing had changed since the last run");
    }
    for adaptation in &deployed.adaptations {
        progress.note(format!("adapted to the engine: {adaptation}"));
    }
    Ok(deployed)
}

pub(super) async fn start_simulator(
    resources: &Resources,
    merchant: GivenMerchant,
    progress: &mut Progress,
) -> Result<Running, Failure> {
    let config = Config {
        port: resources.simulator_port,
        merchant: SimulatorMerchant::Given(merchant),
        state_file: Some(resources.state.join("simulator.json")),
        details_file: Some(resources.state.join("wechatpay.json")),
        log: Some(log_to_stderr(&resources.shows_log)),
        refund_takes_ms: REFUND_TAKES_MS,
        ..Config::default()
    };
    // Making its RSA keys for the first time takes a second.
    let started = blocking(|| Simulator::start(config));
    let started = async {
        let started = started.await?;
        started.map_err(|error| Failure::because("the WeChat Pay simulator did not start", &error))
    };
    progress
        .stage("starting the WeChat Pay simulator", Output::Silent, started)
        .await
}

/// Does work that blocks on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::because("a thread ended early", &error))
}

/// The simulator's port, known before it starts: the functions get its address when they are
/// deployed, and the deployment creates its merchant's key.
fn simulator_port(port: u16) -> Result<u16, Failure> {
    let bound =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|_| {
        Failure::new(format!(
            "port {port} on 127.0.0.1 is in use, so the WeChat Pay simulator cannot listen there; choose another with \
             --simulator-port"
        ))
    })
}

/// The template's parameters whose values here are not those of a deployment.
pub(super) fn parameters(
    sealed_key: bool,
    api_url: &str,
    simulator_port: u16,
) -> BTreeMap<&'static str, String> {
    let wechatpay = format!("http://127.0.0.1:{simulator_port}");
    BTreeMap::from([
        ("Mchid", MCHID.to_owned()),
        ("Appids", APPID.to_owned()),
        ("Architecture", deploy::architecture().to_owned()),
        (
            "MerchantSigner",
            if sealed_key { "sealed" } else { "kms" }.to_owned(),
        ),
        ("NotifyUrl", format!("{api_url}/v1/callbacks/wechatpay")),
        // Neither host may be the real one.
        ("WechatpayBaseUrl", wechatpay.clone()),
        ("WechatpayBackupUrl", wechatpay),
        // A merchant's system that takes webhooks is on this machine, too.
        ("WebhookAllowLoopback", "true".to_owned()),
        // So are the finance staff.
        ("ConsoleOnLoopback", "true".to_owned()),
    ])
}

fn log_to_stderr(shown: &Arc<AtomicBool>) -> Log {
    let shown = Arc::clone(shown);
    Log::new(move |line| {
        if shown.load(Ordering::Relaxed) {
            eprintln!("WeChat Pay: {line}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_wechat_pay_is_this_machine() {
        let parameters = parameters(false, "http://127.0.0.1:8080", 8081);
        for name in ["NotifyUrl", "WechatpayBaseUrl", "WechatpayBackupUrl"] {
            assert!(parameters[name].starts_with("http://127.0.0.1:"), "{name}");
        }
        assert_eq!(parameters["MerchantSigner"], "kms");
    }

    #[test]
    fn webhooks_may_go_to_this_machine() {
        let parameters = parameters(false, "http://127.0.0.1:8080", 8081);
        assert_eq!(parameters["WebhookAllowLoopback"], "true");
    }

    #[test]
    fn a_simulator_port_in_use_is_reported_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(
            simulator_port(port)
                .unwrap_err()
                .to_string()
                .contains("--simulator-port")
        );
        assert_ne!(simulator_port(0).unwrap(), 0);
    }
}
