//! The stages of a run, in order, and what they leave running.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use local::engine::{self, Ending, Engine, Watch};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::random::Random;
use serde::Serialize;
use serde_json::{Value, json};
use wechatpay_simulator::{
    Config, GivenMerchant, Log, Merchant as SimulatorMerchant, Running, Simulator,
};

use crate::arguments::Arguments;
use crate::caller::ApiCaller;
use crate::deploy::{self, Deployed};
use crate::failure::Failure;
use crate::functions::{self, Programs};
use crate::http::Http;
use crate::merchant::{self, APPID, MCHID, Merchant};
use crate::port::{Port, Serving};
use crate::prerequisites;
use crate::product::Product;
use crate::progress::{Output, Progress};
use crate::proxy;
use crate::ready_message::ReadyMessage;
use crate::receiver::Receiver;
use crate::scenario::{self, ScenarioContext, ScenarioStep, day, later, payment};
use crate::state::StateDir;

/// The stages before the scenarios.
const STAGES: usize = 8;

/// How long WeChat Pay takes for a refund here (milliseconds). The real one takes minutes,
/// into a bank card days.
const REFUND_TAKES_MS: i64 = 1_000;

/// Remembers the last order that was paid, for the next run to read.
const LAST_PAID: &str = "played.json";

/// How often the engine is checked.
const WATCH_PAUSE: Duration = Duration::from_millis(200);

/// How often a long stop is reported (seconds).
const REPORT_EACH_S: u64 = 5;

/// Everything that runs, and the steps of the scenarios that were run with it.
pub(crate) struct Stack {
    engine: Engine,
    simulator: Running,
    api: Serving,
    receiver: Receiver,
    caller: ApiCaller,
    state: StateDir,
    api_url: String,
    adaptations: Vec<String>,
    last_order: Option<LastOrder>,
    steps: Vec<ScenarioStep>,
    /// Whether the simulator's log and webhooks are shown.
    shows_log: Arc<AtomicBool>,
}

/// The order that the run before this one paid last, as the API answers for it now.
#[derive(Debug, Serialize)]
struct LastOrder {
    order_no: String,
    /// None if it is gone.
    state: Option<String>,
}

/// What a run holds before it starts anything.
struct Resources {
    state: StateDir,
    port: Port,
    receiver: Receiver,
    simulator_port: u16,
    shows_log: Arc<AtomicBool>,
    clock: Clock,
    random: Random,
    http: Http,
}

/// Starts everything and runs the scenarios.
///
/// # Errors
/// The first stage or step that went wrong. What was started is stopped by then.
pub(crate) async fn start(arguments: &Arguments) -> Result<Stack, Failure> {
    // One scenario for each product, one of what comes later, and one of the day's end.
    let mut progress = Progress::new(STAGES + arguments.products.len() + 2);
    let ground = take_ground(arguments, &mut progress).await?;
    let programs = programs(arguments, &mut progress).await?;
    let engine = start_engine(arguments, &ground.state, &mut progress).await?;
    let (watch, log) = (engine.watch(), engine.log().to_owned());
    let gone = async {
        ended(&watch).await;
    };
    tokio::select! {
        stack = set_up(arguments, ground, &programs, engine, &mut progress) => stack,
        // Other failures follow from the engine's end, so they are not reported beside it.
        () = gone => Err(engine_is_gone(&watch, &log)),
    }
}

/// Comes back when the engine's process has ended.
async fn ended(watch: &Watch) {
    while watch.ended().is_none() {
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// What the end of the engine means for who reads it.
fn engine_is_gone(watch: &Watch, log: &Path) -> Failure {
    let how = watch
        .ended()
        .map_or_else(String::new, |status| format!(" ({status})"));
    Failure::new(format!(
        "the local AWS engine ended by itself{how}; the orders, messages and keys of this run are gone with it, and the next run \
         begins with what the last clean stop left. Its log: {}",
        log.display()
    ))
}

/// All that comes after the engine.
async fn set_up(
    arguments: &Arguments,
    ground: Resources,
    programs: &Programs,
    engine: Engine,
    progress: &mut Progress,
) -> Result<Stack, Failure> {
    let api_url = ground.port.url();
    let aws = Aws::new(&AwsSettings::local(engine.endpoint()), &ground.clock);

    let parameters = parameters(arguments.sealed_key, &api_url, ground.simulator_port);
    let deployed = deploy(&engine, &parameters, programs, progress).await?;
    let merchant = async {
        if arguments.sealed_key {
            Merchant::with_sealed_key(&ground.state, &ground.random)
        } else {
            Merchant::with_kms_key(&ground.state, &ground.random, &aws, &deployed).await
        }
    };
    let merchant = progress
        .stage("making the merchant's keys", Output::Silent, merchant)
        .await?;
    let simulator = start_simulator(&ground, merchant.given(), progress).await?;

    let Resources {
        state,
        port,
        receiver,
        shows_log,
        clock,
        random,
        http,
        ..
    } = ground;
    let caller = ApiCaller::known(&state, &api_url, clock.clone(), random)?;
    let prefix = format!(
        "{}/_aws/execute-api/{}/$default",
        engine.endpoint(),
        deployed.output("ApiId")?
    );
    let opened = async {
        let keys = merchant::keys_table(&aws, &deployed)?;
        merchant.store(&keys, &simulator.details, &caller).await?;
        receiver.register(&keys).await?;
        Ok(port.serve(proxy::app(http.clone(), prefix), "the API"))
    };
    let api = progress
        .stage(
            "storing the keys, registering the webhook and opening the API",
            Output::Silent,
            opened,
        )
        .await?;

    let mut stack = Stack {
        engine,
        simulator,
        api,
        receiver,
        caller,
        state,
        api_url,
        adaptations: deployed.adaptations,
        last_order: None,
        steps: Vec::new(),
        shows_log,
    };
    stack
        .run_scenarios(&arguments.products, &http, &clock, progress)
        .await?;
    Ok(stack)
}

impl Stack {
    async fn run_scenarios(
        &mut self,
        products: &[Product],
        http: &Http,
        clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let stage = ScenarioContext {
            http,
            caller: &self.caller,
            simulator: self.simulator.admin(),
            receiver: &self.receiver,
            engine: &self.engine,
            clock,
        };
        self.last_order = self.read_last_order(&stage, progress).await?;
        let mut paid = None;
        for product in products {
            let order_no = format!("play-{}-{}", product.name(), clock.now_ms());
            let name = format!("scenario: a payment, {}", product.name());
            let running = payment::run(&stage, *product, &order_no, print_step);
            let steps = progress.stage(name, Output::Talks, running).await?;
            self.steps.extend(steps);
            self.state.write(LAST_PAID, &order_no)?;
            paid = Some((*product, order_no));
        }
        if let Some((product, order_no)) = paid {
            let name = "scenario: what comes later: told, refunded, closed, paid too late";
            let running = later::run(&stage, product, &order_no, print_step);
            let steps = progress.stage(name, Output::Talks, running).await?;
            self.steps.extend(steps);
            let name = "scenario: the day's end: bills against the books";
            let running = day::run(&stage, product, &self.api_url, print_step);
            let steps = progress.stage(name, Output::Talks, running).await?;
            self.steps.extend(steps);
        }
        Ok(())
    }

    /// Shows that data survives: the order that the last run paid is still paid.
    async fn read_last_order(
        &self,
        stage: &ScenarioContext<'_>,
        progress: &Progress,
    ) -> Result<Option<LastOrder>, Failure> {
        let Some(order_no) = self.state.read::<String>(LAST_PAID)? else {
            return Ok(None);
        };
        let order = scenario::read_order(stage, &order_no).await?;
        let state = order
            .as_ref()
            .and_then(|order| order.get("state"))
            .and_then(Value::as_str);
        match state {
            Some(state) => progress.note(format!("order {order_no} of the last run is still there: {state}")),
            None => progress.note(format!(
                "order {order_no} of the last run is gone: the engine keeps its data only when it is stopped cleanly"
            )),
        }
        let state = state.map(str::to_owned);
        Ok(Some(LastOrder { order_no, state }))
    }

    /// The result as one JSON object.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "ok": true,
            "api_url": self.api_url,
            "phone_url": self.simulator.details.phone_url,
            "console_url": format!("{}/console", self.api_url),
            "adaptations": self.adaptations,
            "last_order": self.last_order,
            "steps": self.steps,
            "webhooks": self.receiver.counts(),
        })
    }

    /// What a person can do now. From here on the simulator's log and webhooks are shown.
    ///
    /// # Errors
    /// The sample request cannot be signed.
    pub(crate) fn invitation(&self) -> Result<String, Failure> {
        self.shows_log.store(true, Ordering::Relaxed);
        let order_no = format!("tea-{}", Clock::system().now_ms());
        let invitation = ReadyMessage {
            state: self.state.path(),
            settings: &self.state.join("client.json"),
            api_url: &self.api_url,
            phone_url: &self.simulator.details.phone_url,
            webhooks_url: self.receiver.url(),
            engine_url: &self.engine.endpoint(),
            engine_log: self.engine.log(),
            curl: &self.caller.curl_create(&Product::Native.order(&order_no))?,
        };
        Ok(invitation.to_string())
    }

    /// Returns when the engine has ended by itself, with the failure.
    pub(crate) async fn engine_ends(&self) -> Failure {
        let watch = self.engine.watch();
        ended(&watch).await;
        engine_is_gone(&watch, self.engine.log())
    }

    /// Stops everything in reverse order of dependency. It waits for the engine to write its data,
    /// and reports when that takes long; `hurry` ends the wait.
    ///
    /// # Errors
    /// The engine ended without having written its data, so that it is lost.
    pub(crate) async fn stop(self, hurry: impl Future<Output = ()>) -> Result<(), Failure> {
        self.api.stop().await;
        self.simulator.stop();
        let (watch, log) = (self.engine.watch(), self.engine.log().to_owned());
        let engine = self.engine;
        let waits = Arc::new(AtomicBool::new(true));
        let still_waits = Arc::clone(&waits);
        let mut stopping = tokio::task::spawn_blocking(move || {
            let mut reported_s = 0;
            engine.stop_while(|waited| {
                let waited_s = waited.as_secs();
                if waited_s >= reported_s + REPORT_EACH_S {
                    reported_s = waited_s;
                    eprintln!(
                        "the local AWS engine is still writing its data, for {waited_s} s by now; Ctrl-C kills it, and the data \
                         of this run is lost then"
                    );
                }
                still_waits.load(Ordering::Relaxed)
            })
        });
        let stopped = tokio::select! {
            stopped = &mut stopping => stopped,
            () = hurry => {
                waits.store(false, Ordering::Relaxed);
                stopping.await
            }
        };
        // After the engine: what it still sends is taken.
        self.receiver.stop().await;
        match stopped {
            Ok(Ending::Clean) => Ok(()),
            Ok(Ending::Crashed) => Err(engine_is_gone(&watch, &log)),
            Ok(Ending::Killed) | Err(_) => Err(Failure::new(format!(
                "the local AWS engine did not stop by itself and was killed; what it had since its last clean stop is lost. Its \
                 log: {}",
                log.display()
            ))),
        }
    }
}

async fn take_ground(arguments: &Arguments, progress: &mut Progress) -> Result<Resources, Failure> {
    let ground = async {
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
        .stage("looking for what is needed", Output::Silent, ground)
        .await
}

async fn programs(arguments: &Arguments, progress: &mut Progress) -> Result<Programs, Failure> {
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

async fn start_engine(
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

async fn deploy(
    engine: &Engine,
    parameters: &BTreeMap<&str, String>,
    programs: &Programs,
    progress: &mut Progress,
) -> Result<Deployed, Failure> {
    let deployed = deploy::deploy(engine, parameters, programs);
    let deployed = progress
        .stage("deploying template.yaml", Output::Silent, deployed)
        .await?;
    if !deployed.changed {
        progress.note("nothing had changed since the last run");
    }
    for adaptation in &deployed.adaptations {
        progress.note(format!("adapted to the engine: {adaptation}"));
    }
    Ok(deployed)
}

async fn start_simulator(
    ground: &Resources,
    merchant: GivenMerchant,
    progress: &mut Progress,
) -> Result<Running, Failure> {
    let config = Config {
        port: ground.simulator_port,
        merchant: SimulatorMerchant::Given(merchant),
        state_file: Some(ground.state.join("simulator.json")),
        details_file: Some(ground.state.join("wechatpay.json")),
        log: Some(log_to_stderr(&ground.shows_log)),
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
async fn blocking<T: Send + 'static>(
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
fn parameters(
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

/// Prints a step as soon as it is done.
fn print_step(step: &ScenarioStep) {
    let ids: Vec<String> = step
        .ids
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!("  {:<19} {:>6} ms  {}", step.name, step.ms, ids.join("  "));
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

    #[tokio::test]
    async fn the_end_of_the_engine_is_reported_at_once_with_what_is_gone_and_where_its_log_is() {
        let engine = blocking(|| engine::start(engine::Options::default()));
        let engine = engine.await.unwrap().unwrap();
        let watch = engine.watch();
        let process_id = engine.process_id().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &process_id])
            .status();
        assert!(killed.unwrap().success());
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, ended(&watch)).await.unwrap();
        let message = engine_is_gone(&watch, engine.log()).to_string();
        for part in ["ended by itself (signal: 9", "gone", "engine.log"] {
            assert!(message.contains(part), "{part} in: {message}");
        }
        assert!(!message.contains("kept"), "{message}");
        blocking(|| drop(engine)).await.unwrap();
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
