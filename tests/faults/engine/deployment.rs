//! The deployment of a scenario: one merchant and one client, the tables and queues, WeChat Pay,
//! and the functions.
//! Everything in it is new, and its clock begins at the same second each time.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use lambda_http::request::RequestContext;
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    kms::Kms,
    random::Random,
};
use serde_json::{Map, Value, json};
use stores::{
    keys_table::{KeysTable, VerificationKind},
    notices::Notices,
    reconciliation::ReconciliationTable,
};
use testbed::{
    MCHID, NOW, Tables,
    environment::{
        AWS_IN_PROCESS, CONSOLE_GROUP, Environment, SECRETS_KEY_ID, WEBHOOKS, WORK, environment,
    },
    sealed_key, simulator_config, write_merchant,
};
use tokio::{net::TcpListener, task::JoinHandle};
use wechatpay_simulator::{Admin, Running, SignedCallback, Simulator};

use crate::{
    engine::{
        books::Records,
        call::Function,
        client::{ApiAnswer, Client, PendingRequest},
        cloud::{Cloud, SandboxConnector},
        director::CallScheduler,
        exchanges::Exchanges,
        pipe,
        receiver::Receiver,
        release::Releases,
        sandbox::{Sandbox, Site, clock_at, move_to},
    },
    previous::{Rollout, Turns},
};

/// When each deployment begins: noon of 1 August 2026 in Beijing.
pub(crate) const BEGIN_S: i64 = NOW.0;
/// How long Lambda lets an invocation run.
const INVOCATION_MS: i64 = 30_000;
/// The same for `reconcile`.
const RECONCILE_MS: i64 = 900_000;

/// A deployment, and what was seen of it.
pub(crate) struct Deployment {
    /// The deployment's own clock. A sandbox may be ahead of it or behind.
    pub(crate) clock: Clock,
    pub(crate) director: CallScheduler,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) exchanges: Arc<Exchanges>,
    /// The client's system that webhooks go to.
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) tables: Tables,
    keys: KeysTable,
    /// The records of reconciled days, as the operators' console uses them.
    pub(crate) days: ReconciliationTable,
    pub(crate) client: Client,
    pub(crate) random: Random,
    /// Where WeChat Pay sends its callbacks.
    pub(crate) notify_url: String,
    wechat: Running,
    site: Site,
    pub(crate) rollout: Rollout,
    state: Mutex<Observed>,
    /// What was read of the tables, after so many writes.
    records: Mutex<Option<(u64, Arc<Records>)>>,
    listening: OnceLock<JoinHandle<()>>,
}

/// The state of a test while it runs.
#[derive(Default)]
struct Observed {
    idle: Vec<Sandbox>,
    /// How far the clocks of sandboxes to come are ahead, in milliseconds; the last one goes on for
    /// all further.
    ahead_ms: Vec<i64>,
    simulated_ms: i64,
    callbacks: Vec<CallbackAnswer>,
    shown: Vec<ShownPrepay>,
    /// Whether the client ever had a webhook set up.
    has_webhook: bool,
    /// How many records of the stream the pipe has taken.
    piped: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct CallbackAnswer {
    /// The notice's id.
    pub(crate) id: String,
    /// Whether it was acknowledged.
    pub(crate) acknowledged: bool,
}

/// A prepay value that a client was given.
#[derive(Clone, Debug)]
pub(crate) struct ShownPrepay {
    pub(crate) order_no: String,
    pub(crate) value: String,
    /// Until when it is to work, as its client was answered; Unix milliseconds.
    pub(crate) until_ms: i64,
}

/// How messages are taken from a queue.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    /// How many at most.
    pub(crate) most: usize,
    /// Whether another may receive them at the same time.
    pub(crate) again: bool,
    /// Whether the newest comes first.
    pub(crate) backwards: bool,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            most: 10,
            again: false,
            backwards: false,
        }
    }
}

impl Deployment {
    /// Sets one up; `turns` say of which release each invocation is. Sandboxes are built when
    /// they are needed.
    pub(crate) async fn set(seed: u64, turns: Turns) -> Arc<Self> {
        fastrand::seed(seed);
        let clock = clock_at(BEGIN_S * 1000);
        let random = Random::seeded(seed);
        let cloud = Arc::new(Cloud::new(clock.clone()));
        let director = CallScheduler::new();
        let exchanges = Arc::<Exchanges>::default();
        let receiver = Arc::new(Receiver::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let notify_url = format!(
            "http://{}/v1/callbacks/wechatpay",
            listener.local_addr().expect("an address")
        );
        let config = simulator_config(sealed_key().public_pem(), NOW);
        let wechat = Simulator::start(config).expect("a simulator");
        let outlet = SandboxConnector {
            cloud: Arc::clone(&cloud),
            caller: None,
            alias: None,
        };
        let aws = Aws::with_http_client(
            &AwsSettings::local(AWS_IN_PROCESS),
            &clock,
            outlet.http_client(),
        );
        let tables = testbed::create_tables(&aws.dynamodb(), "").await;
        let days = ReconciliationTable::new(aws.dynamodb(), &tables.reconciliation, MCHID)
            .with_ledger(Notices::new(aws.dynamodb(), &tables.notices, MCHID));
        let keys = KeysTable::new(
            aws.dynamodb(),
            &tables.keys,
            MCHID,
            Kms::new(aws.kms()),
            SECRETS_KEY_ID,
            clock.clone(),
        );
        write_merchant(&keys, wechat.admin(), &[VerificationKind::PublicKey]).await;
        let secret = [7; 32];
        keys.put_client_hmac("shop-key", "shop", &secret)
            .await
            .expect("a client's key");
        let site = Site {
            cloud: Arc::clone(&cloud),
            director: director.clone(),
            exchanges: Arc::clone(&exchanges),
            receiver: Arc::clone(&receiver),
            simulator: wechat.addr.to_string(),
            environment: Mutex::new(variables(&tables, &notify_url)),
            releases: Releases::seeded(seed),
            deployment_clock: clock.clone(),
        };
        let deployment = Arc::new(Self {
            clock,
            director,
            cloud,
            exchanges,
            receiver,
            tables,
            keys,
            days,
            client: Client::new("shop-key", &secret),
            random,
            notify_url,
            wechat,
            site,
            rollout: Rollout::new(turns),
            state: Mutex::new(Observed {
                simulated_ms: BEGIN_S * 1000,
                ..Observed::default()
            }),
            records: Mutex::default(),
            listening: OnceLock::new(),
        });
        let listening = listen(listener, Arc::downgrade(&deployment));
        deployment.listening.set(listening).expect("set once");
        deployment
    }

    /// WeChat Pay's own side.
    pub(crate) fn wechat(&self) -> &Admin {
        self.wechat.admin()
    }

    /// How far the clocks of the sandboxes to come are ahead of the deployment's, in milliseconds;
    /// the last one goes on.
    pub(crate) fn skew(&self, ahead_ms: Vec<i64>) {
        self.state().ahead_ms = ahead_ms;
    }

    /// Runs `work` in a sandbox of `function`: an idle one, or a new one. `None` when the sandbox
    /// dies.
    async fn within<T>(
        &self,
        function: Function,
        work: impl AsyncFnOnce(&Sandbox) -> T,
    ) -> Option<T> {
        let release = self.rollout.next();
        let idle = {
            let mut state = self.state();
            let at = state
                .idle
                .iter()
                .position(|sandbox| sandbox.function == function && sandbox.release == release);
            at.map(|at| state.idle.remove(at))
        };
        let now_ms = self.clock.now_ms();
        let sandbox = match idle {
            Some(sandbox) => sandbox,
            None => {
                let ahead_ms = self.next_skew();
                self.site.build((function, release), now_ms, ahead_ms).await
            }
        };
        sandbox.line.take_side();
        sandbox.clock.move_to(now_ms + sandbox.ahead_ms);
        let done = sandbox.line.live(work(&sandbox)).await;
        move_to(&self.clock, sandbox.clock.now_ms() - sandbox.ahead_ms);
        self.rollout.worked(self, function, release);
        if done.is_some() {
            self.state().idle.push(sandbox);
        }
        done
    }

    fn next_skew(&self) -> i64 {
        let mut state = self.state();
        if state.ahead_ms.len() > 1 {
            state.ahead_ms.remove(0)
        } else {
            state.ahead_ms.first().copied().unwrap_or(0)
        }
    }

    /// Functions are deployed with another setting.
    pub(crate) fn deploy_with(&self, name: &str, value: &str) {
        let mut environment = self.site.environment.lock().expect("no panic");
        environment.insert(name.to_owned(), value.to_owned());
        drop(environment);
        self.recycle();
    }

    /// All sandboxes that are idle are gone, as they are after a while or a deployment.
    pub(crate) fn recycle(&self) {
        self.state().idle.clear();
    }

    /// A client asks, once. `None` when no answer came.
    pub(crate) async fn ask(&self, pending: &PendingRequest) -> Option<ApiAnswer> {
        let request = self
            .client
            .request(pending, self.clock.now().0, &self.random.nonce());
        let function = if pending.method == "POST" && pending.path == "/v1/orders" {
            Function::CreateOrder
        } else {
            Function::ManageOrder
        };
        let answer = self
            .within(function, async |sandbox| {
                let (parts, body) = request.into_parts();
                ApiAnswer::of(sandbox.app.answer(parts, body).await)
            })
            .await;
        if let Some(answer) = &answer {
            self.remember_value(answer);
        }
        answer
    }

    /// A person sends a form of the console's, once. The status; `None` when no answer came.
    pub(crate) async fn send_form(&self, person: &str, path: &str, form: String) -> Option<u16> {
        let claims = json!({
            "email": format!("{person}@example.com"),
            "email_verified": "true",
            "cognito:groups": format!("[{CONSOLE_GROUP}]"),
        });
        let context =
            json!({"authorizer": {"jwt": {"claims": claims}}, "http": {"method": "POST"}});
        let context = serde_json::from_value(context).expect("a context of the gateway's");
        let request = http::Request::post(path)
            .header("host", "console.example.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .extension(RequestContext::ApiGatewayV2(context))
            .body(());
        let (parts, ()) = request.expect("a request").into_parts();
        let answer = self
            .within(Function::Console, async |sandbox| {
                sandbox.app.answer(parts, form.into_bytes()).await
            })
            .await;
        answer.map(|answer| answer.status().as_u16())
    }

    /// Hands a callback to its function, as the gateway does. The status that WeChat Pay gets; 500
    /// when the sandbox dies.
    pub(crate) async fn receive(&self, headers: Map<String, Value>, body: &str) -> u16 {
        let envelope: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let event =
            json!({"version": "2.0", "headers": headers, "body": body, "isBase64Encoded": false});
        let answer = self
            .within(Function::ReceiveCallback, async |sandbox| {
                sandbox.app.receive(event).await
            })
            .await;
        let status = answer.map_or(500, |answer| answer.status().as_u16());
        self.state().callbacks.push(CallbackAnswer {
            id: envelope["id"].as_str().unwrap_or_default().to_owned(),
            acknowledged: status == 200 || status == 204,
        });
        status
    }

    /// The same for a callback that is handed over instead of sent.
    pub(crate) async fn receive_signed(&self, callback: &SignedCallback) -> u16 {
        let headers = callback
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), json!(value)));
        self.receive(headers.collect(), &callback.body).await
    }

    /// Lambda takes one batch from a queue. How many messages there were.
    pub(crate) async fn poll(&self, url: &str) -> usize {
        self.poll_as(url, &Poll::default()).await
    }

    /// The same, with the liberties that SQS may take.
    pub(crate) async fn poll_as(&self, url: &str, how: &Poll) -> usize {
        let now_ms = self.clock.now_ms();
        // A day is minutes of work.
        let most = if url == WORK { 1 } else { how.most };
        let mut messages = self.cloud.queues().receive(url, most, how.again, now_ms);
        if how.backwards {
            messages.reverse();
        }
        if messages.is_empty() {
            return 0;
        }
        let records: Vec<Value> = messages.iter().map(|message| message.record(url)).collect();
        let event = json!({"Records": records});
        let answer = match url {
            WORK => self.handle(Function::Reconcile, event, RECONCILE_MS).await,
            WEBHOOKS => {
                self.handle(Function::SendWebhook, event, INVOCATION_MS)
                    .await
            }
            _ => {
                self.handle(Function::ProcessPayment, event, INVOCATION_MS)
                    .await
            }
        };
        let Some(answer) = answer else {
            return messages.len();
        };
        let failures = answer["batchItemFailures"].as_array().expect("failures");
        let failed: Vec<&str> = failures
            .iter()
            .filter_map(|failure| failure["itemIdentifier"].as_str())
            .collect();
        for message in &messages {
            if !failed.contains(&message.id.as_str()) {
                self.cloud.queues().delete(url, &message.id);
            }
        }
        messages.len()
    }

    /// Hands an event to a function that may run so long. Its answer; `None` when it has none, or
    /// the sandbox dies.
    async fn handle(&self, function: Function, event: Value, limit_ms: i64) -> Option<Value> {
        let handle = async |sandbox: &Sandbox| {
            let deadline_ms = sandbox.clock.now_ms() + limit_ms;
            sandbox.app.handle(event, deadline_ms).await
        };
        self.within(function, handle).await.flatten()
    }

    /// A person sets the client's webhook up, or up again.
    pub(crate) async fn set_up_webhook(&self) {
        let (url, secret) = (Receiver::url(), Receiver::secret());
        let secret = (!self.has_webhook()).then_some(&secret);
        let written = self.keys.change_webhook("shop", Some(&url), secret).await;
        written.expect("a webhook");
        self.state().has_webhook = true;
    }

    /// Whether the client ever had a webhook.
    pub(crate) fn has_webhook(&self) -> bool {
        self.state().has_webhook
    }

    /// Whether the client's webhook is disabled.
    pub(crate) async fn webhook_is_disabled(&self) -> bool {
        let state = self.keys.webhook_state("shop").await.expect("read");
        state.expect("a webhook").disabled.is_some()
    }

    /// The Pipe, the bus and its rule bring what is new in the stream into the queue of webhooks.
    pub(crate) fn pipe(&self) {
        let records = self.cloud.stream(&self.tables.orders);
        let piped = std::mem::replace(&mut self.state().piped, records.len());
        let pipe = pipe::pipe();
        let new = records.iter().skip(piped);
        for record in new.filter(|record| pipe.passes(record)) {
            let event = pipe.event(record).to_string();
            self.cloud
                .queues()
                .send(WEBHOOKS, event, self.clock.now_ms());
        }
    }

    /// The ids of the events that are on record as undelivered.
    pub(crate) fn kept(&self) -> Vec<String> {
        let kept = self.cloud.scan(&self.tables.undelivered_events);
        let events = kept.iter().map(|item| {
            let event = item["event"]["S"].as_str().expect("an event");
            webhook_id(&serde_json::from_str(event).expect("JSON"))
        });
        events.collect()
    }

    /// One run of the sweep.
    pub(crate) async fn sweep(&self) {
        let event = json!({"task": "sweep"});
        self.handle(Function::Reconcile, event, RECONCILE_MS).await;
    }

    /// Time passes; WeChat Pay's callbacks until then arrive at their times.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.deliver().await;
    }

    /// WeChat Pay's clock catches up, and the callbacks that are due go out.
    pub(crate) async fn deliver(&self) {
        let behind_ms = {
            let mut state = self.state();
            let behind_ms = self.clock.now_ms() - state.simulated_ms;
            state.simulated_ms += behind_ms;
            u64::try_from(behind_ms).expect("time passes forward")
        };
        self.wechat()
            .advance(Duration::from_millis(behind_ms))
            .await;
    }

    /// Runs `work` with its calls taking turns.
    pub(crate) async fn act<T>(&self, what: impl Into<String>, work: impl Future<Output = T>) -> T {
        self.director
            .print(format!("{} {}", self.time(), what.into()));
        self.director.run(work).await
    }

    /// The deployment's time as `+00:01:02.345` since its beginning.
    pub(crate) fn time(&self) -> String {
        let ms = self.clock.now_ms() - BEGIN_S * 1000;
        let (s, ms) = (ms / 1000, ms % 1000);
        format!("+{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }

    /// The callbacks that were answered so far.
    pub(crate) fn received(&self) -> Vec<CallbackAnswer> {
        self.state().callbacks.clone()
    }

    /// The prepay values that the client was given so far.
    pub(crate) fn shown(&self) -> Vec<ShownPrepay> {
        self.state().shown.clone()
    }

    fn remember_value(&self, answer: &ApiAnswer) {
        let prepay = &answer.body["prepay"];
        let params = ["jsapi", "mini_program", "app"]
            .iter()
            .find_map(|name| prepay.get(name));
        let value = ["code_url", "h5_url"]
            .iter()
            .find_map(|name| prepay[*name].as_str())
            .or_else(|| {
                let params = params?;
                params["prepayid"]
                    .as_str()
                    .or_else(|| params["package"].as_str()?.strip_prefix("prepay_id="))
            });
        let (Some(value), Some(until)) = (value, prepay["expires_at"].as_str()) else {
            return;
        };
        let until = wechatpay::time::parse_rfc3339(until).expect("a time");
        self.state().shown.push(ShownPrepay {
            order_no: answer.body["order_no"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            value: value.to_owned(),
            until_ms: until.0 * 1000,
        });
    }

    /// What `read` gave after the last write to the tables.
    pub(crate) fn records(&self, read: impl FnOnce() -> Records) -> Arc<Records> {
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = self.cloud.writes();
        match &*kept {
            Some((of, records)) if *of == writes => Arc::clone(records),
            Some(_) | None => {
                let records = Arc::new(read());
                *kept = Some((writes, Arc::clone(&records)));
                records
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, Observed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
    }
}

/// The id under which a receiver gets an event: its order's number and version.
pub(crate) fn webhook_id(event: &Value) -> String {
    let version = &event["version"];
    let version = version.as_str().map_or(version.to_string(), str::to_owned);
    let order_no = event["order_no"].as_str().unwrap_or_default();
    format!("{order_no}_{version}")
}

/// Where callbacks arrive, over real HTTP.
fn listen(listener: TcpListener, deployment: std::sync::Weak<Deployment>) -> JoinHandle<()> {
    let app = Router::new()
        .route("/v1/callbacks/wechatpay", post(arrive))
        .with_state(deployment);
    tokio::spawn(async move { axum::serve(listener, app).await.expect("a listener") })
}

async fn arrive(
    State(deployment): State<std::sync::Weak<Deployment>>,
    headers: HeaderMap,
    body: String,
) -> http::StatusCode {
    let texts = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), json!(value.to_str().ok()?))));
    let status = match deployment.upgrade() {
        Some(deployment) => deployment.receive(texts.collect(), &body).await,
        None => 503,
    };
    http::StatusCode::from_u16(status).expect("a status")
}

/// What all functions are deployed with; where WeChat Pay is, each sandbox has of its own.
fn variables(tables: &Tables, notify_url: &str) -> Environment {
    let more = [
        ("MERCHANT_SIGNER", "sealed"),
        ("NOTIFY_URL", notify_url),
        ("WEBHOOK_ALLOW_LOOPBACK", "true"),
        // Which is allowed on this machine only; the calls themselves go to the deployment's own
        // engines.
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("CONSOLE_AUTH", "jwt"),
        ("CONSOLE_GROUP", CONSOLE_GROUP),
    ];
    environment(tables, AWS_IN_PROCESS, &more)
}
