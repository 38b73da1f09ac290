//! The stages of a run, in order, and what they leave running.

mod engine_end;
mod stages;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use local::engine::{self, Ending, Engine};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wechatpay_simulator::Running;

use crate::alarms::Alarms;
use crate::arguments::Arguments;
use crate::caller::ApiCaller;
use crate::deploy::Order;
use crate::failure::Failure;
use crate::functions::Programs;
use crate::http::Http;
use crate::merchant::Merchant;
use crate::port::Serving;
use crate::product::Product;
use crate::progress::{Output, Progress};
use crate::ready_message::ReadyMessage;
use crate::receiver::Receiver;
use crate::scenario::{ScenarioContext, ScenarioStep, day, later, payment};
use crate::state::StateDir;
use crate::{merchant, proxy, scenario};
use engine_end::{ended, engine_is_gone};
use stages::{
    Resources, blocking, deploy, parameters, programs, start_engine, start_simulator,
    take_resources,
};

/// The stages before the scenarios.
const STAGES: usize = 8;

/// Remembers the last order that was paid, for the next run to read.
const LAST_PAID: &str = "played.json";

/// How often a long stop is reported (seconds).
const REPORT_EACH_S: u64 = 5;

/// Everything that runs, and the steps of the scenarios that were run with it.
pub(crate) struct Stack {
    engine: Engine,
    simulator: Running,
    api: Serving,
    alarms: Alarms,
    /// Asks the engine for what alarms watch.
    watching: JoinHandle<()>,
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

/// Starts everything and runs the scenarios.
///
/// # Errors
/// The first stage or step that went wrong. What was started is stopped by then.
pub(crate) async fn start(arguments: &Arguments) -> Result<Stack, Failure> {
    // One scenario for each product, one of what comes later, and one of the day's end.
    let mut progress = Progress::new(STAGES + arguments.products.len() + 2);
    let resources = take_resources(arguments, &mut progress).await?;
    let programs = programs(arguments, &mut progress).await?;
    let engine = start_engine(arguments, &resources.state, &mut progress).await?;
    let (watch, log) = (engine.watch(), engine.log().to_owned());
    let gone = async {
        ended(&watch).await;
    };
    tokio::select! {
        stack = set_up(arguments, resources, &programs, engine, &mut progress) => stack,
        // Other failures follow from the engine's end, so they are not reported beside it.
        () = gone => Err(engine_is_gone(&watch, &log)),
    }
}

/// All that comes after the engine.
async fn set_up(
    arguments: &Arguments,
    resources: Resources,
    programs: &Programs,
    engine: Engine,
    progress: &mut Progress,
) -> Result<Stack, Failure> {
    let api_url = resources.port.url();
    let aws = Aws::new(&AwsSettings::local(engine.endpoint()), &resources.clock);

    let parameters = parameters(arguments.sealed_key, &api_url, resources.simulator_port);
    let order = Order::new(&engine, &parameters, programs, &api_url);
    let deployed = deploy(&engine, &order, &resources.state, progress).await?;
    let merchant = async {
        if arguments.sealed_key {
            Merchant::with_sealed_key(&resources.state, &resources.random)
        } else {
            Merchant::with_kms_key(&resources.state, &resources.random, &aws, &deployed).await
        }
    };
    let merchant = progress
        .stage("making the merchant's keys", Output::Silent, merchant)
        .await?;
    let simulator = start_simulator(&resources, merchant.given(), progress).await?;

    let Resources {
        state,
        port,
        receiver,
        shows_log,
        clock,
        random,
        http,
        ..
    } = resources;
    let caller = ApiCaller::known(&state, &api_url, clock.clone(), random)?;
    let prefix = format!(
        "{}/_aws/execute-api/{}/$default",
        engine.endpoint(),
        deployed.output("ApiId")?
    );
    let mut deployed = deployed;
    let alarms = Alarms::over(std::mem::take(&mut deployed.watched), clock.clone())?;
    let opened = async {
        let keys = merchant::keys_table(&aws, &deployed)?;
        merchant.store(&keys, &simulator.details, &caller).await?;
        receiver.register(&keys).await?;
        let app = proxy::app(http.clone(), prefix, alarms.clone());
        Ok(port.serve(app.merge(alarms.app()), "the API"))
    };
    let api = progress
        .stage(
            "storing the keys, registering the webhook and opening the API",
            Output::Silent,
            opened,
        )
        .await?;

    let watching = alarms.clone().watch_engine(http.clone(), engine.endpoint());
    let mut stack = Stack {
        watching: tokio::spawn(watching),
        alarms,
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
            let name = "scenario: what comes later: announced, refunded, closed, paid too late";
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
            "alarms": self.alarms.shown(),
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

    /// Stops the engine, which keeps its data, and starts it again where it was. Meanwhile the API
    /// answers 503 in its place.
    ///
    /// # Errors
    /// The engine did not stop cleanly, or did not start again.
    pub(crate) async fn with_engine_restarted(self) -> Result<Self, Failure> {
        let Self { engine, .. } = self;
        let (watch, log) = (engine.watch(), engine.log().to_owned());
        let options = engine::Options {
            port: engine.port(),
            state_dir: Some(self.state.join("engine")),
        };
        let restarted = blocking(move || match engine.stop() {
            Ending::Clean => Some(engine::start(options)),
            Ending::Crashed | Ending::Killed => None,
        });
        let engine = restarted
            .await?
            .ok_or_else(|| engine_is_gone(&watch, &log))?
            .map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self { engine, ..self })
    }

    /// Stops everything in reverse order of dependency. It waits for the engine to write its data,
    /// and reports when that takes long; `hurry` ends the wait.
    ///
    /// # Errors
    /// The engine ended without having written its data, so that it is lost.
    pub(crate) async fn stop(self, hurry: impl Future<Output = ()>) -> Result<(), Failure> {
        self.watching.abort();
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

/// Prints a step as soon as it is done.
fn print_step(step: &ScenarioStep) {
    let ids: Vec<String> = step
        .ids
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!("  {:<19} {:>6} ms  {}", step.name, step.ms, ids.join("  "));
}
