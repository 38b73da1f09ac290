//! The functions of one release, as the harness opens and calls them.
//!
//! `cargo faults --with-previous` compiles this file of the release before, too, in a package of
//! its own (`tests/faults/previous`), and calls it from the harness of this release. So this file
//! uses nothing else of the harness, its public functions take and give only what crates outside
//! of this repository define, and they stay: one may be added, none changed.

#![allow(
    unreachable_pub,
    reason = "a module here, the root of a package for the release before"
)]
#![allow(
    clippy::expect_used,
    clippy::large_futures,
    clippy::panic,
    reason = "what a deployment cannot do without ends the case, with what it was"
)]

use std::{collections::BTreeMap, time::Duration};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use flows::sandbox::Sandbox;
use http::{Response, request::Parts};
use runtime::{
    aws::{Aws, AwsSettings},
    random::Random,
};
use serde_json::Value;

/// The clock of a sandbox. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(runtime::clock::Clock);

impl Clock {
    /// One that stands still at this millisecond.
    pub fn at(now_ms: i64) -> Self {
        let clock = runtime::clock::Clock::manual(wechatpay::UnixSeconds(0));
        clock.advance(Duration::from_millis(
            u64::try_from(now_ms).unwrap_or_default(),
        ));
        Self(clock)
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

/// The functions, all drawing from one source of random values.
#[derive(Clone, Debug)]
pub struct Functions {
    random: Random,
}

/// A function that was opened: what it works with.
#[derive(Debug)]
pub enum App {
    /// Creates orders.
    CreateOrder(Box<create_order::app::App>),
    /// Does what clients ask of an order.
    ManageOrder(Box<manage_order::app::App>),
    /// Takes WeChat Pay's callbacks.
    ReceiveCallback(receive_callback::app::App),
    /// Works off the queues of payments.
    ProcessPayment(Box<process_payment::app::App>),
    /// Sweeps, and holds days against their bills.
    Reconcile(Box<reconcile::app::App>),
    /// Shows days to people.
    Console(Box<console::app::App>),
    /// Sends changes to clients.
    SendWebhook(Box<send_webhook::app::App>),
}

impl Functions {
    /// The functions over values that follow from this seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed),
        }
    }

    /// Opens the function of this name, with AWS at `aws_url` behind `http_client`. `None` if this
    /// release has no such function.
    pub fn open(
        &self,
        function: &str,
        environment: &BTreeMap<String, String>,
        aws_url: &str,
        http_client: SharedHttpClient,
        clock: &Clock,
    ) -> Option<App> {
        let sandbox = Sandbox {
            aws: Aws::with_http_client(&AwsSettings::local(aws_url), &clock.0, http_client),
            clock: clock.0.clone(),
            random: self.random.clone(),
        };
        macro_rules! open {
            ($function:ident) => {{
                let (_, settings) = flows::sandbox::read(environment).expect("complete settings");
                $function::app::App::open(settings, &sandbox)
            }};
        }
        Some(match function {
            "create-order" => App::CreateOrder(Box::new(open!(create_order))),
            "manage-order" => App::ManageOrder(Box::new(open!(manage_order))),
            "receive-callback" => App::ReceiveCallback(open!(receive_callback)),
            "process-payment" => App::ProcessPayment(Box::new(open!(process_payment))),
            "reconcile" => App::Reconcile(Box::new(open!(reconcile))),
            "console" => App::Console(Box::new(open!(console))),
            "send-webhook" => App::SendWebhook(Box::new(open!(send_webhook))),
            _ => return None,
        })
    }
}

impl App {
    /// Answers a request of a client or of a person.
    ///
    /// # Panics
    /// When the function takes no such requests.
    pub async fn answer(&self, parts: Parts, body: Vec<u8>) -> Response<String> {
        match self {
            Self::CreateOrder(app) => create_order::handler::create(app, parts, body).await,
            Self::ManageOrder(app) => manage_order::handler::manage(app, parts, body).await,
            Self::Console(app) => console::handler::serve(app, parts, body).await,
            Self::ReceiveCallback(_)
            | Self::ProcessPayment(_)
            | Self::Reconcile(_)
            | Self::SendWebhook(_) => panic!("no function of clients or of people"),
        }
    }

    /// Takes one of WeChat Pay's callbacks, as the gateway's event.
    ///
    /// # Panics
    /// When the function takes none, or it is no such event.
    pub async fn receive(&self, event: Value) -> Response<String> {
        let Self::ReceiveCallback(app) = self else {
            panic!("not the function of callbacks");
        };
        let event = serde_json::from_value(event).expect("an event of the gateway's");
        receive_callback::handler::receive(app, event).await
    }

    /// Handles an event of a queue or of a schedule. Its answer; `None` when it has none.
    ///
    /// # Panics
    /// When the function takes none, or it is no such event.
    pub async fn handle(&self, event: Value, deadline_ms: i64) -> Option<Value> {
        let answer = match self {
            Self::ProcessPayment(app) => {
                let batch = serde_json::from_value(event).expect("a batch");
                let answer = process_payment::handler::process(app, batch, deadline_ms).await;
                serde_json::to_value(answer)
            }
            Self::SendWebhook(app) => {
                let batch = serde_json::from_value(event).expect("a batch");
                let answer = send_webhook::handler::process(app, batch, deadline_ms).await;
                serde_json::to_value(answer)
            }
            Self::Reconcile(app) => {
                let event = serde_json::from_value(event).expect("an event");
                let answer = reconcile::handler::run(app, event, deadline_ms).await;
                serde_json::to_value(answer.ok()?)
            }
            Self::CreateOrder(_)
            | Self::ManageOrder(_)
            | Self::ReceiveCallback(_)
            | Self::Console(_) => panic!("no function of queues or schedules"),
        };
        Some(answer.expect("JSON"))
    }
}
