//! A client of the API whose orders, refunds and webhooks go on in the background, from threads of
//! their own, while a test changes keys.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use client::{ApiAnswer, Call, Client, NewOrder, NewRefund, Sender};
use runtime::{clock::Clock, random::Random};
use serde_json::{Value, json};
use standard_webhooks::{Received, Secret, verify};
use tokio::{net::TcpListener, runtime::Runtime};

/// How long anything may take that is waited for: a message that failed comes again after 180 s.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause between two orders, and between two questions after something that is waited for.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a call is sent that is answered 503.
const REPEATS_MAX: usize = 5;
/// So old an order is asked about at WeChat Pay when it is read.
const UNTIL_QUERIED: Duration = Duration::from_millis(5_500);

/// The traffic. Dropping it ends it, whatever is open.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    runtime: Runtime,
    workers: Vec<JoinHandle<()>>,
    hooks_url: String,
}

/// What there was.
#[derive(Debug)]
pub(super) struct TrafficEnd {
    /// Calls that were answered 503 and went well when they were sent again.
    pub(super) repeated_calls: usize,
}

struct Shared {
    simulator: String,
    sender: Sender,
    clock: Clock,
    random: Random,
    state: Mutex<TrafficState>,
}

struct TrafficState {
    client: Arc<Client>,
    /// The one secret that the receiver believes.
    secret: Secret,
    begun: usize,
    /// Those of them that are to be paid, and are not over.
    open: BTreeSet<usize>,
    /// Those that were, and are over.
    paid: BTreeSet<usize>,
    orders: Vec<String>,
    /// The webhooks that were believed, by id.
    webhooks: BTreeSet<String>,
    /// The newest webhook, for a look at who signed it.
    newest: Option<(HeaderMap, Bytes)>,
    repeated: usize,
    /// What went wrong.
    problems: Vec<String>,
    is_over: bool,
}

impl Traffic {
    /// A receiver that believes nothing yet, and no orders.
    pub(super) fn new(simulator: &str, settings: &Path) -> Self {
        let nothing = Secret::new(&[0; 32]).expect("a secret");
        let shared = Arc::new(Shared {
            simulator: simulator.to_owned(),
            sender: Sender::new().expect("a sender"),
            clock: Clock::system(),
            random: Random::system(),
            state: Mutex::new(TrafficState {
                client: load(settings),
                secret: nothing,
                begun: 0,
                open: BTreeSet::new(),
                paid: BTreeSet::new(),
                orders: Vec::new(),
                webhooks: BTreeSet::new(),
                newest: None,
                repeated: 0,
                problems: Vec::new(),
                is_over: false,
            }),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let receiver = Router::new().fallback(take).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, receiver).await });
        Self {
            shared,
            runtime,
            workers: Vec::new(),
            hooks_url: format!("http://127.0.0.1:{port}/hooks"),
        }
    }

    /// Where the receiver listens.
    pub(super) fn hooks_url(&self) -> &str {
        &self.hooks_url
    }

    /// The receiver believes this secret, and no other.
    pub(super) fn believe(&self, file: &Path) {
        let text = std::fs::read_to_string(file).expect("a secret's file");
        self.shared.state().secret = Secret::parse(text.trim()).expect("a secret");
    }

    /// Whether the newest webhook would be believed by who has this secret alone.
    pub(super) fn is_newest_signed_by(&self, file: &Path) -> bool {
        let text = std::fs::read_to_string(file).expect("a secret's file");
        let secret = Secret::parse(text.trim()).expect("a secret");
        let newest = self.shared.state().newest.clone();
        let (headers, body) = newest.expect("a webhook");
        is_believed(&headers, &body, &secret, self.shared.clock.now().0).is_ok()
    }

    /// Calls are signed by the key of this file from now on.
    pub(super) fn sign_with(&self, settings: &Path) {
        self.shared.state().client = load(settings);
    }

    /// What the API answers to a call under the key of this file.
    pub(super) fn status_under(&self, settings: &Path) -> u16 {
        let (client, call) = (load(settings), Call::get_order("rotation-0"));
        let answer = self.shared.send_as(&client, &call);
        self.runtime.block_on(answer).expect("an answer").status
    }

    /// One order after the other is made, paid and refunded, and others are asked about and closed.
    pub(super) fn begin(&mut self) {
        for kind in [Flow::Paid, Flow::Late, Flow::Closed] {
            let shared = Arc::clone(&self.shared);
            let handle = self.runtime.handle().clone();
            self.workers.push(std::thread::spawn(move || {
                while let Some(number) = shared.next(kind) {
                    let flow = shared.flow(kind, number);
                    if let Err(problem) = handle.block_on(flow) {
                        shared.problem(format!("order {number}, {kind:?}: {problem}"));
                    }
                    {
                        let mut state = shared.state();
                        if state.open.remove(&number) {
                            state.paid.insert(number);
                        }
                    }
                    std::thread::sleep(PAUSE);
                }
            }));
        }
    }

    /// Returns when each order that is open now and is to be paid is over, and so are two that are
    /// begun after this: what was sealed or sent before has come to its end.
    pub(super) fn settle(&self) {
        let begin = Instant::now();
        let next = self.shared.state().begun;
        let deadline = Instant::now() + PATIENCE;
        let is_settled = |state: &TrafficState| {
            let over_since = state.paid.range(next..).count();
            state.open.range(..next).count() == 0 && over_since >= 2
        };
        while !is_settled(&self.shared.state()) {
            self.is_well();
            assert!(Instant::now() < deadline, "the orders come to no end");
            std::thread::sleep(PAUSE);
        }
        self.is_well();
        println!("settled after {:?}", begin.elapsed());
    }

    /// Goes on for so long.
    pub(super) fn go_on(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.is_well();
            std::thread::sleep(PAUSE);
        }
    }

    /// Nothing has gone wrong so far.
    pub(super) fn is_well(&self) {
        let problems = self.shared.state().problems.clone();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    /// Begins no more orders, and waits for the end of those that are open and for the webhook of
    /// each of their events.
    pub(super) fn end(&mut self) -> TrafficEnd {
        self.shared.state().is_over = true;
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker");
        }
        self.is_well();
        let orders = self.shared.state().orders.clone();
        let mut events = BTreeSet::new();
        for order_no in &orders {
            let journal = self.shared.call(Call::list_events(order_no));
            let journal = self.runtime.block_on(journal).expect("a journal");
            for event in journal["events"].as_array().expect("events") {
                events.insert(format!("{order_no}_{}", event["version"]));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let webhooks = self.shared.state().webhooks.clone();
            let lost: Vec<_> = events.difference(&webhooks).collect();
            if lost.is_empty() {
                assert_eq!(webhooks, events, "no webhook is of another event");
                break;
            }
            assert!(Instant::now() < deadline, "never came: {lost:#?}");
            std::thread::sleep(PAUSE);
        }
        self.is_well();
        println!("{} orders, {} events", orders.len(), events.len());
        TrafficEnd {
            repeated_calls: self.shared.state().repeated,
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.problem("the traffic is given up".to_owned());
        for worker in self.workers.drain(..) {
            // Its runtime goes after it. The test has failed already.
            drop(worker.join());
        }
    }
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// Paid, and given back in part.
    Paid,
    /// The same, but for a named payer, and its prepay value comes by the queue: what is stored of
    /// it meanwhile is sealed.
    Late,
    /// Asked about at WeChat Pay, and closed.
    Closed,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, TrafficState> {
        self.state.lock().expect("not poisoned")
    }

    fn problem(&self, problem: String) {
        self.state().problems.push(problem);
    }

    /// The number of the next order, until it is over or something went wrong.
    fn next(&self, flow: Flow) -> Option<usize> {
        let mut state = self.state();
        if state.is_over || !state.problems.is_empty() {
            return None;
        }
        let number = state.begun;
        state.begun += 1;
        match flow {
            Flow::Paid | Flow::Late => state.open.insert(number),
            Flow::Closed => false,
        };
        state.orders.push(format!("rotation-{number}"));
        Some(number)
    }

    async fn flow(&self, flow: Flow, number: usize) -> Result<(), String> {
        let order_no = format!("rotation-{number}");
        let order = NewOrder {
            product: "native".to_owned(),
            amount_fen: 100,
            description: "A cup of tea".to_owned(),
            order_no: Some(order_no.clone()),
            ..NewOrder::default()
        };
        match flow {
            Flow::Paid => {
                self.call(create(&order)?).await?;
                self.is_paid_and_refunded(&order_no).await
            }
            Flow::Late => {
                let payer = NewOrder {
                    product: "jsapi".to_owned(),
                    openid: Some(format!("oRotationPayer{number:016}")),
                    ..order
                };
                self.call(create(&payer)?.respond_async()).await?;
                self.reaches(&order_no, "awaiting_payment").await?;
                self.is_paid_and_refunded(&order_no).await
            }
            Flow::Closed => {
                self.call(create(&order)?).await?;
                tokio::time::sleep(UNTIL_QUERIED).await;
                self.call(Call::get_order(&order_no)).await?;
                self.call(Call::close_order(&order_no)).await?;
                self.reaches(&order_no, "closed").await
            }
        }
    }

    async fn is_paid_and_refunded(&self, order_no: &str) -> Result<(), String> {
        let simulator = self.simulator.clone();
        let body = json!({ "order": order_no }).to_string();
        let paid = tokio::task::spawn_blocking(move || {
            super::super::shell::post(&format!("{simulator}/admin/pay"), &body)
        });
        let paid = paid.await.map_err(|error| error.to_string())?;
        if !paid.starts_with("HTTP/1.1 200") {
            return Err(format!("not paid: {paid}"));
        }
        self.reaches(order_no, "paid").await?;
        let refund = NewRefund {
            amount_fen: 40,
            refund_no: Some("r1".to_owned()),
            ..NewRefund::default()
        };
        let refund = Call::create_refund(order_no, &refund).map_err(|error| error.to_string())?;
        self.call(refund).await?;
        let refund = Call::get_refund(order_no, "r1");
        self.shows(refund, "succeeded").await
    }

    async fn reaches(&self, order_no: &str, state: &str) -> Result<(), String> {
        self.shows(Call::get_order(order_no), state).await
    }

    async fn shows(&self, call: Call, state: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.call(call.clone()).await?;
            if shown["state"] == state {
                return Ok(());
            }
            if Instant::now() > deadline || !self.state().problems.is_empty() {
                return Err(format!("never {state}: {shown}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The answer to a call, which is to be a success. As the contract says, what is answered 503
    /// is sent again, newly signed.
    async fn call(&self, call: Call) -> Result<Value, String> {
        for _ in 0..REPEATS_MAX {
            let client = Arc::clone(&self.state().client);
            let answer = self.send_as(&client, &call).await?;
            if answer.status == 503 {
                self.state().repeated += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let said = || format!("{} {}: {answer:?}", call.method, call.target);
            if !answer.is_success() {
                return Err(said());
            }
            return serde_json::from_str(&answer.body).map_err(|_| said());
        }
        Err(format!("{} {}: always 503", call.method, call.target))
    }

    async fn send_as(&self, client: &Client, call: &Call) -> Result<ApiAnswer, String> {
        let signed = client
            .sign(call, self.clock.now(), &self.random.nonce())
            .map_err(|error| error.to_string())?;
        let answer = self.sender.send(&signed).await;
        answer.map_err(|error| format!("{} {}: {error:?}", call.method, call.target))
    }
}

fn create(order: &NewOrder) -> Result<Call, String> {
    Call::create_order(order).map_err(|error| error.to_string())
}

fn load(settings: &Path) -> Arc<Client> {
    Arc::new(Client::load(settings).expect("a client's settings"))
}

/// A webhook, which is to be signed by the secret of the moment.
async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now_s = shared.clock.now().0;
    let mut state = shared.state();
    match is_believed(&headers, &body, &state.secret, now_s) {
        Ok(id) => {
            state.webhooks.insert(id);
            state.newest = Some((headers, body));
            StatusCode::NO_CONTENT
        }
        Err(why) => {
            state.problems.push(format!("a webhook is refused: {why}"));
            StatusCode::UNAUTHORIZED
        }
    }
}

/// Its id, if a receiver with this secret believes it.
fn is_believed(
    headers: &HeaderMap,
    body: &Bytes,
    secret: &Secret,
    now_s: i64,
) -> Result<String, String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let received = Received::read(header).map_err(|why| why.to_string())?;
    let secrets = std::slice::from_ref(secret);
    verify(&received, body, secrets, now_s).map_err(|why| why.to_string())?;
    Ok(received.id.to_owned())
}
