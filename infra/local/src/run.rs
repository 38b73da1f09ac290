//! The stages of a run, in order, and what they leave running.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use adapters::aws::{Aws, AwsSettings};
use adapters::clock::Clock;
use adapters::random::Random;
use local::engine::{self, Engine};
use serde_json::{Value, json};
use wechatpay_simulator::{Config, Log, Merchant as SimulatorMerchant, Running, Simulator};

use crate::arguments::Arguments;
use crate::caller::Caller;
use crate::deploy::{self, Deployed};
use crate::failure::Failure;
use crate::functions;
use crate::http::Http;
use crate::merchant::{APPID, MCHID, Merchant};
use crate::play::{self, Stage, Step};
use crate::prerequisites;
use crate::product::Product;
use crate::progress::{Output, Progress};
use crate::proxy::{Port, Proxy};
use crate::state::StateDir;

/// The stages before the play.
const STAGES: usize = 7;

/// Remembers the last order that was paid, for the next run to read.
const PLAYED: &str = "played.json";

/// The template's names of the two addresses and the two ways to sign.
type Parameters = BTreeMap<&'static str, String>;

/// Everything that runs, and what was played with it.
pub(crate) struct Stack {
    engine: Engine,
    simulator: Running,
    proxy: Proxy,
    caller: Caller,
    state: StateDir,
    api_url: String,
    adaptations: Vec<String>,
    steps: Vec<Step>,
    /// Whether the simulator's log is shown.
    shows_log: Arc<AtomicBool>,
}

/// Starts everything and plays.
///
/// # Errors
/// The first stage or step that went wrong. What was started is stopped by then.
pub(crate) async fn start(arguments: &Arguments) -> Result<Stack, Failure> {
    let mut progress = Progress::new(STAGES + arguments.products.len());
    let clock = Clock::system();
    let random = Random::system();
    let http = Http::new();

    let (state, port, simulator_port) = progress
        .stage("looking for what is needed", Output::Silent, async {
            prerequisites::check(arguments.bins.is_none())?;
            let state = StateDir::take(&arguments.state, arguments.fresh)?;
            let port = Port::take(arguments.port).await?;
            Ok((state, port, simulator_port(arguments.simulator_port)?))
        })
        .await?;
    let api_url = port.url();

    let programs = match &arguments.bins {
        Some(directory) => {
            let name = format!("taking the functions from {}", directory.display());
            let found = async { functions::find(directory) };
            progress.stage(name, Output::Silent, found).await?
        }
        None => {
            let build = functions::build(arguments.release);
            progress
                .stage("building the functions", Output::Talks, build)
                .await?
        }
    };

    let options = engine::Options {
        port: arguments.engine_port,
        state_dir: Some(state.join("engine")),
    };
    let started = start_engine(options);
    let engine = progress
        .stage("starting the local AWS engine", Output::Silent, started)
        .await?;
    let aws = Aws::new(&AwsSettings::local(engine.endpoint()), &clock);

    let parameters = parameters(arguments.sealed_key, &api_url, simulator_port);
    let deployed = deploy::deploy(&engine, &parameters, &programs);
    let deployed = progress
        .stage("deploying template.yaml", Output::Silent, deployed)
        .await?;
    tell_adaptations(&progress, &deployed);

    let merchant = async {
        if arguments.sealed_key {
            Merchant::with_sealed_key(&state, &random)
        } else {
            Merchant::with_kms_key(&state, &random, &aws, &deployed).await
        }
    };
    let merchant = progress
        .stage("making the merchant's keys", Output::Silent, merchant)
        .await?;

    let shows_log = Arc::new(AtomicBool::new(false));
    let simulator = async {
        let config = Config {
            port: simulator_port,
            merchant: SimulatorMerchant::Given(merchant.given()),
            state_file: Some(state.join("simulator.json")),
            details_file: Some(state.join("wechatpay.json")),
            log: Some(log_to_stderr(&shows_log)),
            ..Config::default()
        };
        // Making its RSA keys for the first time takes a second.
        match tokio::task::spawn_blocking(|| Simulator::start(config)).await {
            Ok(Ok(running)) => Ok(running),
            Ok(Err(error)) => Err(Failure::because(
                "the WeChat Pay simulator did not start",
                &error,
            )),
            Err(error) => Err(Failure::because(
                "the WeChat Pay simulator was cut off",
                &error,
            )),
        }
    };
    let simulator = progress
        .stage(
            "starting the WeChat Pay simulator",
            Output::Silent,
            simulator,
        )
        .await?;

    let caller = Caller::known(&state, &api_url, clock.clone(), random.clone())?;
    let prefix = format!(
        "{}/_aws/execute-api/{}/$default",
        engine.endpoint(),
        deployed.output("ApiId")?
    );
    let proxy = progress
        .stage(
            "storing the keys and opening the API",
            Output::Silent,
            async {
                merchant
                    .store(&aws, &deployed, &simulator.details, &caller)
                    .await?;
                Ok(port.serve(http.clone(), prefix))
            },
        )
        .await?;

    let mut stack = Stack {
        engine,
        simulator,
        proxy,
        caller,
        state,
        api_url,
        adaptations: deployed.adaptations,
        steps: Vec::new(),
        shows_log,
    };
    stack.play(arguments, &http, &clock, &mut progress).await?;
    Ok(stack)
}

impl Stack {
    async fn play(
        &mut self,
        arguments: &Arguments,
        http: &Http,
        clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let engine_url = self.engine.endpoint();
        let stage = Stage {
            http,
            caller: &self.caller,
            simulator: self.simulator.admin(),
            engine_url: &engine_url,
            clock,
        };
        self.read_last_order(&stage, progress).await?;
        for product in &arguments.products {
            let order_no = format!("play-{}-{}", product.name(), clock.now_ms());
            let name = format!("playing a payment: {}", product.name());
            let played = play::play(&stage, *product, &order_no, tell);
            let steps = progress.stage(name, Output::Talks, played).await?;
            self.steps.extend(steps);
            self.state.write(PLAYED, &order_no)?;
        }
        Ok(())
    }

    /// Shows that data survives: the order that the last run paid is still paid.
    async fn read_last_order(&self, stage: &Stage<'_>, progress: &Progress) -> Result<(), Failure> {
        let Some(order_no) = self.state.read::<String>(PLAYED)? else {
            return Ok(());
        };
        let state = play::read_order(stage, &order_no).await?;
        let state = state
            .as_ref()
            .and_then(|order| order.get("state"))
            .and_then(Value::as_str);
        match state {
            Some(state) => progress.note(format!("order {order_no} of the last run is still there: {state}")),
            None => progress.note(format!(
                "order {order_no} of the last run is gone: the engine keeps its data only when it is stopped cleanly"
            )),
        }
        Ok(())
    }

    /// The result as one JSON object.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "ok": true,
            "api_url": self.api_url,
            "phone_url": self.simulator.details.phone_url,
            "adaptations": self.adaptations,
            "steps": self.steps,
        })
    }

    /// What a person can do now. From here on the simulator's log is shown.
    ///
    /// # Errors
    /// The sample request cannot be signed.
    pub(crate) fn invitation(&self) -> Result<String, Failure> {
        self.shows_log.store(true, Ordering::Relaxed);
        let order_no = format!("tea-{}", Clock::system().now_ms());
        let curl = self.caller.curl_create(&Product::Native.order(&order_no))?;
        let phone = &self.simulator.details.phone_url;
        let state = self.state.join("");
        Ok(format!(
            "\nRunning until Ctrl-C; data stays in {state}\n\
             \n  API    {api}\n  phone  {phone}   (a person pays here)\n  engine {engine}   (log: {log})\n\
             \nCreate an order with the bundled client, then pay it on the phone page:\n\
             \n  cargo client create --product native --amount-fen 1 --description 'A cup of tea' --order-no {order_no}\n\
             \nor with this signed request, which is good for five minutes and for one time:\n\n{curl}\n",
            state = state.display(),
            api = self.api_url,
            engine = self.engine.endpoint(),
            log = self.engine.log().display(),
        ))
    }

    /// Stops everything, what depends on others first.
    ///
    /// # Errors
    /// The engine had to be killed, so that data is lost.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.proxy.stop().await;
        self.simulator.stop();
        let engine = self.engine;
        let clean = tokio::task::spawn_blocking(move || engine.stop())
            .await
            .unwrap_or(false);
        if clean {
            Ok(())
        } else {
            Err(Failure::new(
                "the local AWS engine did not stop by itself and was killed; data of this run is lost",
            ))
        }
    }
}

async fn start_engine(options: engine::Options) -> Result<Engine, Failure> {
    let started = tokio::task::spawn_blocking(move || engine::start(options)).await;
    match started {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(error @ engine::Error::PortInUse { .. })) => {
            Err(Failure::new(format!("{error} with --engine-port")))
        }
        Ok(Err(error)) => Err(Failure::new(error.to_string())),
        Err(error) => Err(Failure::because(
            "starting the local AWS engine was cut off",
            &error,
        )),
    }
}

/// The simulator's port, known before it starts: the functions are told its address when they are deployed, and its
/// merchant's key is made by what is deployed.
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

fn parameters(sealed_key: bool, api_url: &str, simulator_port: u16) -> Parameters {
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
    ])
}

fn tell_adaptations(progress: &Progress, deployed: &Deployed) {
    if !deployed.changed {
        progress.note("nothing had changed since the last run");
    }
    for adaptation in &deployed.adaptations {
        progress.note(format!("adapted to the engine: {adaptation}"));
    }
}

fn log_to_stderr(shown: &Arc<AtomicBool>) -> Log {
    let shown = Arc::clone(shown);
    Log::new(move |line| {
        if shown.load(Ordering::Relaxed) {
            eprintln!("wechat pay: {line}");
        }
    })
}

/// Prints a step as soon as it is done.
fn tell(step: &Step) {
    let ids: Vec<String> = step
        .ids
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!("  {:<17} {:>6} ms  {}", step.name, step.ms, ids.join("  "));
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
    fn a_simulator_port_in_use_is_told_with_the_flag_that_changes_it() {
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
