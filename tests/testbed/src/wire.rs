//! The wire between the AWS SDK and an engine: counts calls and breaks the ones that a test chose.
//!
//! It is below the SDK, so retries, time-outs and error texts are the real ones. The engines of
//! this project never throttle, conflict or lose an answer by themselves; here they do. Requests
//! that AWS would refuse and an engine accepts are refused here too ([`crate::rules`]).

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use runtime::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::aws_request::AwsRequest;
use crate::service::Service;

/// One attempt of a call, as it went over the wire. An SDK retry is an attempt of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    pub service: Service,
    /// The operation, such as `PutItem`.
    pub operation: String,
    /// The table (of a transaction: of its first item), the queue's URL, the key's id, or bucket
    /// and key as in a path.
    pub resource: String,
    /// Whether it is a read that must see every write before it (`ConsistentRead`).
    pub consistent: bool,
}

/// What DynamoDB charges for one call on one table or index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Charge {
    /// The operation.
    pub operation: String,
    /// The table, or `table/index`.
    pub place: String,
    /// Units of capacity, in halves: a read that may lag takes half a unit.
    pub half_units: u64,
}

/// Which calls are meant. `None` means any.
#[derive(Clone, Debug, Default)]
pub struct Match {
    service: Option<Service>,
    operation: Option<String>,
    resource: Option<String>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The connection fails; nothing was done.
    Unreachable,
    /// It is done, and the connection breaks before the answer.
    LostAnswer,
    /// It is done, and the answer comes too late for the caller.
    TimedOut,
    /// The caller dies before the call: it never returns. See [`FaultyTransport::run_until_crash`].
    DieBefore,
    /// It is done, and the caller dies before the answer.
    DieAfter,
    /// The service answers 500; nothing was done.
    ServiceFault,
    /// The service asks for fewer calls; nothing was done.
    Throttled,
    /// Another write holds the item or the file; nothing was done. For DynamoDB's writes, and for
    /// conditional ones of S3's.
    Conflict,
    /// The service does not allow it; nothing was done.
    Denied,
    /// It takes this much longer, by the clock given to [`FaultyTransport::new`].
    Delay(Duration),
    /// It is held back until [`FaultyTransport::mend`]. Later calls did not wait for it.
    Held,
}

/// Counts and breaks calls. Clones share everything.
#[derive(Clone)]
pub struct FaultyTransport(Arc<Shared>);

struct Shared {
    inner: SharedHttpClient,
    clock: Clock,
    state: Mutex<State>,
    died: Notify,
    mended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    rules: Vec<Rule>,
    plan: Option<Plan>,
    dead: bool,
    /// Once a test listens.
    charges: Option<Vec<Charge>>,
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

struct Rule {
    which: Match,
    /// How many matching calls pass before it strikes.
    pass: usize,
    /// How many it strikes then.
    strikes: usize,
    fault: Fault,
}

impl Match {
    /// Any call.
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls of one operation.
    pub fn operation(service: Service, operation: &str) -> Self {
        Self {
            service: Some(service),
            operation: Some(operation.to_owned()),
            resource: None,
        }
    }

    /// Calls to one service.
    pub fn service(service: Service) -> Self {
        Self {
            service: Some(service),
            operation: None,
            resource: None,
        }
    }

    /// Only those to this table, queue URL or key.
    #[must_use]
    pub fn on(self, resource: &str) -> Self {
        Self {
            resource: Some(resource.to_owned()),
            ..self
        }
    }

    fn fits(&self, call: &Call) -> bool {
        self.service.is_none_or(|service| service == call.service)
            && self
                .operation
                .as_ref()
                .is_none_or(|operation| *operation == call.operation)
            && self
                .resource
                .as_ref()
                .is_none_or(|resource| *resource == call.resource)
    }
}

impl FaultyTransport {
    /// A wire to a local engine over plain HTTP. Delays pass on `clock`.
    pub fn new(clock: Clock) -> Self {
        Self::around(aws_smithy_http_client::Builder::new().build_http(), clock)
    }

    /// A faulty transport around another client.
    pub fn around(inner: SharedHttpClient, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            inner,
            clock,
            state: Mutex::default(),
            died: Notify::new(),
            mended: watch::Sender::new(()),
        }))
    }

    /// The client to give to [`runtime::aws::Aws::with_http_client`].
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// Breaks the next call that fits.
    pub fn break_next(&self, which: Match, fault: Fault) {
        self.break_after(which, 0, 1, fault);
    }

    /// Lets `pass` calls that fit go by, then breaks the following `strikes`.
    pub fn break_after(&self, which: Match, pass: usize, strikes: usize, fault: Fault) {
        self.state().rules.push(Rule {
            which,
            pass,
            strikes,
            fault,
        });
    }

    /// Breaks every call that fits until [`FaultyTransport::mend`].
    pub fn break_all(&self, which: Match, fault: Fault) {
        self.break_after(which, 0, usize::MAX, fault);
    }

    /// Asks `plan` about each call that no rule strikes, e.g. to draw faults from a seed.
    pub fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.state().plan = Some(Box::new(plan));
    }

    /// Ends all faults, releases the held calls, and ends the outage. The record of calls
    /// stays.
    pub fn mend(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.plan = None;
        state.dead = false;
        self.0.mended.send_replace(());
    }

    /// The calls so far, in the order in which they were sent.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls so far fit.
    pub fn count(&self, which: &Match) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| which.fits(call))
            .count()
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        self.state().calls.clear();
    }

    /// From now on DynamoDB is asked what each call takes.
    pub fn meter(&self) {
        self.state().charges = Some(Vec::new());
    }

    /// What DynamoDB charged since [`FaultyTransport::meter`], in order.
    pub fn charges(&self) -> Vec<Charge> {
        self.state().charges.clone().unwrap_or_default()
    }

    /// Passes a call on, and notes what DynamoDB charges for it.
    async fn pass_on(
        &self,
        call: &Call,
        mut request: HttpRequest,
        inner: &SharedHttpConnector,
    ) -> Result<HttpResponse, ConnectorError> {
        let is_metered = call.service == Service::DynamoDb && self.state().charges.is_some();
        if !is_metered {
            return inner.call(request).await;
        }
        let body = request.body().bytes().unwrap_or_default();
        if let Ok(Value::Object(mut body)) = serde_json::from_slice(body) {
            body.insert("ReturnConsumedCapacity".to_owned(), json!("INDEXES"));
            let body = Value::Object(body).to_string();
            request
                .headers_mut()
                .insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body);
        }
        let mut answer = inner.call(request).await?;
        let body = answer.take_body();
        let body = ByteStream::new(body)
            .collect()
            .await
            .map_err(|error| ConnectorError::other(Box::new(error), None))?
            .to_vec();
        let charges = consumed(&call.operation, &body);
        self.state().charges.get_or_insert_default().extend(charges);
        *answer.body_mut() = SdkBody::from(body);
        Ok(answer)
    }

    /// Runs `work` until it ends or dies by [`Fault::DieBefore`] or [`Fault::DieAfter`]; `None`
    /// means that it died. Whatever it was doing is dropped on the spot, as when a sandbox is
    /// killed.
    pub async fn run_until_crash<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let died = self.0.died.notified();
        tokio::select! {
            biased;
            () = died => None,
            value = work => Some(value),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the call and decides on its fault.
    fn take(&self, call: &Call) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(call.clone());
        if state.dead {
            return Some(Fault::DieBefore);
        }
        // Every rule that fits counts the call, the first that is due strikes.
        let mut struck = None;
        for rule in state.rules.iter_mut().filter(|rule| rule.which.fits(call)) {
            if rule.pass > 0 {
                rule.pass -= 1;
            } else if rule.strikes > 0 && struck.is_none() {
                rule.strikes -= 1;
                struck = Some(rule.fault);
            }
        }
        struck.or_else(|| state.plan.as_mut().and_then(|plan| plan(call)))
    }

    async fn die(&self) -> ! {
        self.state().dead = true;
        self.0.died.notify_waiters();
        std::future::pending().await
    }
}

impl fmt::Debug for FaultyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl HttpClient for FaultyTransport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ObservedConnector {
            wire: self.clone(),
            inner: self.0.inner.http_connector(settings, parts),
        })
    }
}

/// A connector with the wire's ear on it.
#[derive(Debug)]
struct ObservedConnector {
    wire: FaultyTransport,
    inner: SharedHttpConnector,
}

impl HttpConnector for ObservedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (wire, inner) = (self.wire.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let Some(asked) = AwsRequest::read(&request) else {
                return inner.call(request).await;
            };
            if let Some(refusal) = asked.refusal() {
                return Ok(refusal);
            }
            let call = call_of(&asked);
            // Listens before the call is on record: who sees it there and mends is heard.
            let mut mended = wire.0.mended.subscribe();
            match wire.take(&call) {
                None => wire.pass_on(&call, request, &inner).await,
                Some(Fault::Delay(duration)) => {
                    wire.0.clock.sleep(duration).await;
                    inner.call(request).await
                }
                Some(Fault::Held) => {
                    let mended = mended.changed().await;
                    mended.map_err(|error| ConnectorError::other(Box::new(error), None))?;
                    inner.call(request).await
                }
                Some(Fault::Unreachable) => {
                    Err(ConnectorError::io("connection refused by the test".into()))
                }
                Some(Fault::LostAnswer) => {
                    inner.call(request).await?;
                    Err(ConnectorError::io("connection reset by the test".into()))
                }
                Some(Fault::TimedOut) => {
                    inner.call(request).await?;
                    Err(ConnectorError::timeout("too late by the test".into()))
                }
                Some(Fault::DieBefore) => wire.die().await,
                Some(Fault::DieAfter) => {
                    inner.call(request).await?;
                    wire.die().await
                }
                Some(Fault::ServiceFault) => Ok(asked.server_error()),
                Some(Fault::Throttled) => Ok(asked.throttled()),
                Some(Fault::Denied) => Ok(asked.denied()),
                Some(Fault::Conflict) => Ok(asked.conflict()),
            }
        })
    }
}

fn call_of(asked: &AwsRequest<'_>) -> Call {
    let transaction = asked.transaction();
    let resource = match asked.file_path() {
        Some(path) => path,
        None => ["TableName", "QueueUrl", "KeyId"]
            .iter()
            .find_map(|name| asked.json().get(name))
            .or_else(|| first_table(transaction?))
            .and_then(Value::as_str)
            .unwrap_or_default(),
    };
    Call {
        service: asked.service,
        operation: asked.operation.clone(),
        resource: resource.to_owned(),
        consistent: asked.json().get("ConsistentRead") == Some(&Value::Bool(true)),
    }
}

/// What an answer says was consumed, by table and index, in halves of a unit.
fn consumed(operation: &str, answer: &[u8]) -> Vec<Charge> {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return Vec::new();
    };
    let tables = match answer.get("ConsumedCapacity") {
        Some(Value::Array(tables)) => tables.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let charge = |place: String, of: &Value| {
        Some(Charge {
            operation: operation.to_owned(),
            place,
            half_units: halves(of.get("CapacityUnits")?)?,
        })
    };
    let mut charges = Vec::new();
    for of in tables {
        let table = of.get("TableName").and_then(Value::as_str);
        let table = table.unwrap_or_default();
        charges.extend(of.get("Table").and_then(|of| charge(table.to_owned(), of)));
        let indexes = of.get("GlobalSecondaryIndexes").and_then(Value::as_object);
        for (index, of) in indexes.into_iter().flatten() {
            charges.extend(charge(format!("{table}/{index}"), of));
        }
    }
    charges
}

/// Units are whole ones or halves, written with a decimal point.
fn halves(units: &Value) -> Option<u64> {
    let units = units.to_string();
    let (whole, rest) = units.split_once('.').unwrap_or((&units, "0"));
    let whole: u64 = whole.parse().ok()?;
    Some(whole * 2 + u64::from(rest.starts_with('5')))
}

fn first_table(transaction: &[Value]) -> Option<&Value> {
    transaction
        .first()?
        .as_object()?
        .values()
        .next()?
        .get("TableName")
}
