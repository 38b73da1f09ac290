//! Invocations of the functions: requests of clients and operators, callbacks, messages of queues
//! and the sweep, each in a sandbox.

use lambda_http::request::RequestContext;
use serde_json::{Map, Value, json};
use testbed::environment::{CONSOLE_GROUP, WEBHOOKS, WORK};
use wechatpay_simulator::SignedCallback;

use super::{CallbackAnswer, Deployment, Poll, ShownPrepay};
use crate::engine::{
    call::Function,
    client::{ApiAnswer, PendingRequest},
    sandbox::{Sandbox, move_to},
};

/// How long Lambda lets an invocation run.
const INVOCATION_MS: i64 = 30_000;
/// The same for `reconcile`.
const RECONCILE_MS: i64 = 900_000;

impl Deployment {
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
        let mut state = self.state();
        if done.is_some() {
            state.idle.push(sandbox);
        } else {
            state.has_died = true;
        }
        drop(state);
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

    /// A client asks, once. `None` when no answer came.
    pub(crate) async fn ask(&self, request: &PendingRequest) -> Option<ApiAnswer> {
        let signed = self
            .client
            .request(request, self.clock.now().0, &self.random.nonce());
        let function = if request.method == "POST" && request.path == "/v1/orders" {
            Function::CreateOrder
        } else {
            Function::ManageOrder
        };
        let answer = self
            .within(function, async |sandbox| {
                let (parts, body) = signed.into_parts();
                ApiAnswer::of(sandbox.app.answer(parts, body).await)
            })
            .await;
        if let Some(answer) = &answer {
            self.remember_value(answer);
        }
        answer
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

    /// One run of the sweep.
    pub(crate) async fn sweep(&self) {
        let event = json!({"task": "sweep"});
        self.handle(Function::Reconcile, event, RECONCILE_MS).await;
    }
}
