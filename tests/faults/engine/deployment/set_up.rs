//! Sets up a deployment, with its tables, keys and WeChat Pay.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use payments::model::permissions::Permissions;
use runtime::{
    aws::{Aws, AwsSettings},
    kms::Kms,
    random::Random,
};
use serde_json::json;
use stores::{
    keys_table::{KeysTable, VerificationKind, client_keys::NewClientKey},
    notices::Notices,
    reconciliation::ReconciliationTable,
};
use testbed::{
    MCHID, NOW, Tables,
    environment::{AWS_IN_PROCESS, CONSOLE_GROUP, Environment, SECRETS_KEY_ID, environment},
    sealed_key, simulator_config, write_merchant,
};
use tokio::{net::TcpListener, task::JoinHandle};
use wechatpay_simulator::Simulator;

use super::{BEGIN_S, Deployment, Observed};
use crate::{
    engine::{
        client::Client,
        cloud::{Cloud, SandboxConnector},
        director::CallScheduler,
        exchanges::Exchanges,
        receiver::Receiver,
        release::Releases,
        sandbox::{Site, clock_at},
    },
    previous::{Rollout, Turns},
};

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
        keys.put_client_hmac(
            NewClientKey {
                keyid: "shop-key",
                client_id: "shop",
                permissions: &Permissions::all(),
            },
            &secret,
        )
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
}

/// Where callbacks arrive, over real HTTP.
fn listen(listener: TcpListener, deployment: Weak<Deployment>) -> JoinHandle<()> {
    let app = Router::new()
        .route("/v1/callbacks/wechatpay", post(arrive))
        .with_state(deployment);
    tokio::spawn(async move { axum::serve(listener, app).await.expect("a listener") })
}

async fn arrive(
    State(deployment): State<Weak<Deployment>>,
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
