//! The functions as they run at AWS: sandboxes that are built when needed, reused while they live,
//! and dropped when they crash.

use std::sync::{Arc, Mutex};

use runtime::clock::Clock;
use testbed::environment::Environment;

use crate::engine::{
    call::Function,
    cloud::{Alias, Cloud, SandboxCaller, SandboxConnector},
    director::{CallScheduler, Liveness},
    exchanges::Exchanges,
    receiver::{ADDRESS, Door, Receiver},
    relay::{Ends, Relay},
    release::{FunctionApp, Release, Releases, SandboxClock},
};

/// A sandbox of one function.
pub(crate) struct Sandbox {
    pub(crate) function: Function,
    pub(crate) release: Release,
    pub(crate) line: Liveness,
    /// Its own clock.
    pub(crate) clock: SandboxClock,
    /// How far its clock is ahead of the deployment's, in milliseconds.
    pub(crate) ahead_ms: i64,
    pub(crate) app: FunctionApp,
    _relay: Relay,
}

/// Where sandboxes of one deployment are built.
pub(crate) struct Site {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) director: CallScheduler,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) receiver: Arc<Receiver>,
    /// `127.0.0.1:port` of the simulator.
    pub(crate) simulator: String,
    /// The environment of all functions but WeChat Pay's address, which is the sandbox's own relay.
    pub(crate) environment: Mutex<Environment>,
    pub(crate) releases: Releases,
    pub(crate) deployment_clock: Clock,
}

impl Site {
    /// Builds a sandbox whose clock shows `now_ms` and so much more.
    pub(crate) async fn build(
        &self,
        (function, release): (Function, Release),
        now_ms: i64,
        ahead_ms: i64,
    ) -> Sandbox {
        let clock = SandboxClock::at(release, now_ms + ahead_ms);
        let line = self.director.line();
        let caller = SandboxCaller {
            function,
            line: line.clone(),
            director: self.director.clone(),
            clock: clock.clone(),
        };
        let relay = match function {
            Function::SendWebhook => {
                Relay::open(Door {
                    line: line.clone(),
                    director: self.director.clone(),
                    clock: clock.clone(),
                    deployment_clock: self.deployment_clock.clone(),
                    receiver: Arc::clone(&self.receiver),
                })
                .await
            }
            Function::CreateOrder
            | Function::ManageOrder
            | Function::ReceiveCallback
            | Function::ProcessPayment
            | Function::Reconcile
            | Function::Console => {
                Relay::open(Ends {
                    function,
                    line: line.clone(),
                    director: self.director.clone(),
                    clock: clock.clone(),
                    deployment_clock: self.deployment_clock.clone(),
                    simulator: self.simulator.clone(),
                    exchanges: Arc::clone(&self.exchanges),
                })
                .await
            }
        };
        let alias = (function == Function::SendWebhook).then(|| Alias {
            kept: ADDRESS,
            found: format!("{}/", relay.url),
        });
        let outlet = SandboxConnector {
            cloud: Arc::clone(&self.cloud),
            caller: Some(caller),
            alias,
        };
        let mut environment = self.environment.lock().expect("no panic").clone();
        for host in ["WECHATPAY_BASE_URL", "WECHATPAY_BACKUP_URL"] {
            environment.insert(host.to_owned(), relay.url.clone());
        }
        let app = self
            .releases
            .open(function, &environment, outlet.http_client(), &clock);
        Sandbox {
            function,
            release,
            line,
            clock,
            ahead_ms,
            app,
            _relay: relay,
        }
    }
}

/// A clock that stands still at this millisecond.
pub(crate) fn clock_at(now_ms: i64) -> Clock {
    let clock = Clock::manual(wechatpay::UnixSeconds(0));
    move_to(&clock, now_ms);
    clock
}

/// Moves a clock on to this millisecond; never back.
pub(crate) fn move_to(clock: &Clock, now_ms: i64) {
    let ahead_ms = now_ms - clock.now_ms();
    clock.advance(std::time::Duration::from_millis(
        u64::try_from(ahead_ms).unwrap_or_default(),
    ));
}
