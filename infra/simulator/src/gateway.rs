//! The way of one request under `/v3/`: count, draw faults, headers, signature, operation, signed
//! answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use sha2::{Digest, Sha256};

use crate::{
    address,
    api::{
        self,
        call::{Reply, VerifiedCall},
        transactions::{self, Moment},
    },
    authorization::{self, ExpectedSigner, SignedRequest},
    callbacks, clock,
    config::SigningMode,
    endpoint::{self, Endpoint, Route},
    faults::Fault,
    keys::PlatformKey,
    refund::RefundOutcome,
    refusal::{Refusal, one_line},
    server::{Connection, IDLE},
    sim::Shared,
};

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A request with its body read.
struct ReceivedRequest {
    method: Method,
    path_and_query: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    route: Route,
}

impl ReceivedRequest {
    /// An empty header counts as absent: the official Java SDK sends an empty `Wechatpay-Serial`
    /// when it fetches certificates.
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// The same for every repeat of a request, whatever its signature.
    fn fingerprint(&self) -> Vec<u8> {
        let head = format!("{}\n{}\n", self.method, self.path_and_query);
        Sha256::new()
            .chain_update(head.as_bytes())
            .chain_update(&self.body)
            .finalize()
            .to_vec()
    }
}

pub(crate) async fn serve(
    State(sim): State<Arc<Shared>>,
    Extension(wire): Extension<Arc<Connection>>,
    request: Request,
) -> Response {
    if wire.is_stale() {
        sim.log("a request came on a connection that was closed in the meantime (fault: stale_keep_alive)");
        return wire.close().await;
    }
    let arrived = match read(request).await {
        Ok(arrived) => arrived,
        Err(refusal) => {
            sim.log(&format!(
                "a request was not read -> {}",
                described(&refusal)
            ));
            return answer(&sim, None, Err(refusal), false).await;
        }
    };
    let faults = {
        let mut world = sim.world();
        let count = world.requests.entry(arrived.route.endpoint).or_default();
        *count = count.saturating_add(1);
        world.faults.draw_for_request(arrived.route.endpoint)
    };
    if faults.contains(&Fault::ResetBefore) {
        log(&sim, &arrived, "connection reset, nothing done", &faults);
        return wire.reset().await;
    }
    let mut outcome = match faults.iter().find_map(refused_before) {
        Some(refusal) => Err(refusal),
        None => operate(&sim, &arrived, &faults),
    };
    for fault in &faults {
        match fault {
            Fault::ServerErrorAfter { status } => outcome = Err(Refusal::system_error(*status)),
            Fault::TooManyRequestsAfter => outcome = Err(Refusal::frequency_limited()),
            Fault::SlowAnswer { delay_ms } => {
                tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
            }
            Fault::TimeOutAfterOperation { hold_ms } => {
                log(&sim, &arrived, "done, but no answer", &faults);
                tokio::time::sleep(Duration::from_millis(*hold_ms)).await;
                return wire.close().await;
            }
            Fault::ResetAfter => {
                log(&sim, &arrived, "done, but connection reset", &faults);
                return wire.reset().await;
            }
            Fault::StaleKeepAlive => wire.make_stale(),
            Fault::ProbeResponse
            | Fault::Refuse { .. }
            | Fault::AlteredAnswer { .. }
            | Fault::TooManyRequests
            | Fault::ServerErrorBefore { .. }
            | Fault::ResetBefore
            | Fault::RotatePublicKey
            | Fault::RotateCertificate
            | Fault::PayBeforeClose
            | Fault::PayAfterClose
            | Fault::RefundComesTo { .. }
            | Fault::ProbeCallback
            | Fault::LostCallback
            | Fault::DuplicateCallback { .. }
            | Fault::OutOfOrderCallback
            | Fault::RenamedCallback
            | Fault::SlowCallback { .. }
            | Fault::WrongHash
            | Fault::ForeignHost { .. }
            | Fault::StatementCreating
            | Fault::NoStatement
            | Fault::AlteredByte { .. }
            | Fault::CutFile { .. }
            | Fault::ExpiredLink => {}
        }
    }
    let outcome_text = match &outcome {
        Ok(_) => "done".to_owned(),
        Err(refusal) => described(refusal),
    };
    log(&sim, &arrived, &outcome_text, &faults);
    let probe =
        faults.contains(&Fault::ProbeResponse) && outcome.is_ok() && first_probe(&sim, &arrived);
    answer(&sim, Some(&arrived), outcome, probe).await
}

/// A refusal with its cause, in one line.
fn described(refusal: &Refusal) -> String {
    let cause = one_line(refusal.in_english());
    format!("{} {}: {cause}", refusal.status, refusal.code)
}

async fn read(request: Request) -> Result<ReceivedRequest, Refusal> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .map_err(|_| {
            Refusal::new(
                413,
                "PARAM_ERROR",
                268_435_461,
                "请求体过大",
                "The body is larger than 1 MiB, or was cut",
            )
        })?
        .to_bytes()
        .to_vec();
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(ReceivedRequest {
        route: endpoint::find(&parts.method, parts.uri.path()),
        path_and_query: path_and_query.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        headers: parts.headers,
        body,
    })
}

fn refused_before(fault: &Fault) -> Option<Refusal> {
    match fault {
        Fault::Refuse { status, code } => Some(Refusal::by_fault(*status, code)),
        Fault::TooManyRequests => Some(Refusal::frequency_limited()),
        Fault::ServerErrorBefore { status } => Some(Refusal::system_error(*status)),
        Fault::ProbeResponse
        | Fault::SlowAnswer { .. }
        | Fault::TimeOutAfterOperation { .. }
        | Fault::TooManyRequestsAfter
        | Fault::ServerErrorAfter { .. }
        | Fault::ResetBefore
        | Fault::ResetAfter
        | Fault::AlteredAnswer { .. }
        | Fault::StaleKeepAlive
        | Fault::RotatePublicKey
        | Fault::RotateCertificate
        | Fault::PayBeforeClose
        | Fault::PayAfterClose
        | Fault::RefundComesTo { .. }
        | Fault::ProbeCallback
        | Fault::LostCallback
        | Fault::DuplicateCallback { .. }
        | Fault::OutOfOrderCallback
        | Fault::RenamedCallback
        | Fault::SlowCallback { .. }
        | Fault::WrongHash
        | Fault::ForeignHost { .. }
        | Fault::StatementCreating
        | Fault::NoStatement
        | Fault::AlteredByte { .. }
        | Fault::CutFile { .. }
        | Fault::ExpiredLink => None,
    }
}

fn refund_outcome(fault: &Fault) -> Option<RefundOutcome> {
    if let Fault::RefundComesTo { outcome } = fault {
        Some(*outcome)
    } else {
        None
    }
}

/// Headers, signature, then the operation, with the faults that belong inside it.
fn operate(sim: &Shared, arrived: &ReceivedRequest, faults: &[Fault]) -> Result<Reply, Refusal> {
    check_headers(arrived)?;
    let signed = SignedRequest {
        method: arrived.method.as_str(),
        path_and_query: &arrived.path_and_query,
        body: &arrived.body,
    };
    let credentials = sim.credentials();
    let expected = ExpectedSigner {
        mchid: &sim.merchant.mchid,
        certificates: &credentials.certificates,
    };
    let signed_by = authorization::check(
        arrived.header("authorization"),
        &signed,
        &expected,
        sim.now_ms(),
    )?;

    let serial = arrived.header("wechatpay-serial");
    let base_url = address::as_called(&arrived.headers, sim.public_url.as_deref(), &sim.base_url);
    let mut world = sim.world();
    let count = world.signed_by.entry(signed_by.to_owned()).or_default();
    *count = count.saturating_add(1);
    if let Some(serial) = serial
        && world.keys.find(serial).is_none()
    {
        return Err(Refusal::header(
            "平台证书序列号Wechatpay-Serial错误",
            "Wechatpay-Serial names neither a WeChat Pay public key nor a platform certificate",
        ));
    }
    for (fault, mode) in [
        (Fault::RotatePublicKey, SigningMode::PublicKey),
        (Fault::RotateCertificate, SigningMode::Certificate),
    ] {
        if faults.contains(&fault) {
            let crate::sim::MutableState { keys, ids, .. } = &mut *world;
            keys.rotate(mode, ids, sim.now_ms())
                .map_err(|_| Refusal::system_error(500))?;
        }
    }
    if faults.contains(&Fault::PayBeforeClose) {
        transactions::pay_at_close(sim, &mut world, &arrived.route.number, Moment::Before);
    }
    let call = VerifiedCall {
        route: &arrived.route,
        query: &arrived.query,
        body: &arrived.body,
        base_url: &base_url,
        serial,
        refund_comes_to: faults.iter().find_map(refund_outcome),
        faults,
    };
    let outcome = api::handle(sim, &mut world, &call);
    if faults.contains(&Fault::PayAfterClose) && outcome.is_ok() {
        transactions::pay_at_close(sim, &mut world, &arrived.route.number, Moment::After);
    }
    drop(world);
    sim.touched();
    outcome.map(|reply| altered(reply, faults))
}

/// The answer as the faults change it, before it is signed.
fn altered(reply: Reply, faults: &[Fault]) -> Reply {
    let Reply::Json(mut value) = reply else {
        return reply;
    };
    for fault in faults {
        if let Fault::AlteredAnswer { patch } = fault {
            callbacks::merge(&mut value, patch);
        }
    }
    Reply::Json(value)
}

fn check_headers(arrived: &ReceivedRequest) -> Result<(), Refusal> {
    if arrived.header("user-agent").is_none() || arrived.header("accept").is_none() {
        return Err(Refusal::header(
            "Http头缺少Accept或User-Agent",
            "The header Accept or User-Agent is missing",
        ));
    }
    let content_type = arrived.header("content-type").unwrap_or_default();
    if arrived.method == Method::POST
        && !content_type
            .to_ascii_lowercase()
            .starts_with("application/json")
    {
        return Err(Refusal::header(
            "Http头Content-Type应为application/json",
            "The header Content-Type must be application/json",
        ));
    }
    Ok(())
}

/// A probed request's repeat is not probed.
fn first_probe(sim: &Shared, arrived: &ReceivedRequest) -> bool {
    let fingerprint = arrived.fingerprint();
    let mut world = sim.world();
    // Taken out again, so that a third request may be probed.
    if world.probed.remove(&fingerprint) {
        false
    } else {
        world.probed.insert(fingerprint)
    }
}

async fn answer(
    sim: &Shared,
    arrived: Option<&ReceivedRequest>,
    outcome: Result<Reply, Refusal>,
    probe: bool,
) -> Response {
    let outcome = match outcome {
        Ok(Reply::File(file)) => match file.send().await {
            Ok(sent) => {
                let length = sent.length.to_string();
                let request_id = format!("{}-0", sim.world().ids.request_id());
                let headers = [
                    ("Request-ID", request_id.as_str()),
                    (header::CONTENT_TYPE.as_str(), "text/plain"),
                    (header::CONTENT_LENGTH.as_str(), length.as_str()),
                ];
                return response(StatusCode::OK, sent.body, &headers);
            }
            Err(refusal) => Err(refusal),
        },
        Ok(Reply::Json(value)) => Ok(Some(value)),
        Ok(Reply::Nothing) => Ok(None),
        Err(refusal) => Err(refusal),
    };
    let (status, body, internal) = match outcome {
        Ok(Some(value)) => (StatusCode::OK, value.to_string().into_bytes(), 0),
        Ok(None) => (StatusCode::NO_CONTENT, Vec::new(), 0),
        Err(refusal) => {
            let language = arrived.and_then(|arrived| arrived.header("accept-language"));
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            let bare = sim.world().books.settings.bare_codes;
            (status, refusal.body(language, bare), refusal.internal)
        }
    };
    let (key, nonce, request_id) = {
        let mut world = sim.world();
        let named = arrived.and_then(|arrived| arrived.header("wechatpay-serial"));
        let key = signing_key(sim, &world.keys, named).cloned();
        (key, world.ids.nonce(), world.ids.request_id())
    };
    let request_id = format!("{request_id}-{internal}");
    let mut headers = vec![
        ("Request-ID", request_id.as_str()),
        ("Content-Language", "zh-CN"),
        ("Cache-Control", "no-cache, must-revalidate"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json; charset=utf-8"));
    }
    let timestamp = clock::seconds(sim.now_ms()).to_string();
    let signature = match &key {
        Some(key) if status.is_success() => {
            let mut text = format!("{timestamp}\n{nonce}\n").into_bytes();
            text.extend_from_slice(&body);
            text.push(b'\n');
            let signature = key.sign(&text);
            Some((
                if probe {
                    callbacks::probe(&signature)
                } else {
                    signature
                },
                key,
            ))
        }
        Some(_) | None => None,
    };
    if let Some((signature, key)) = &signature {
        headers.extend([
            ("Wechatpay-Timestamp", timestamp.as_str()),
            ("Wechatpay-Nonce", nonce.as_str()),
            ("Wechatpay-Serial", key.serial.as_str()),
            ("Wechatpay-Signature", signature.as_str()),
            ("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048"),
        ]);
    }
    response(status, Body::from(body), &headers)
}

/// The newest key of the mode that the request's `Wechatpay-Serial` names, else of the configured
/// one. So a client that names an old key learns of the new one.
fn signing_key<'a>(
    sim: &Shared,
    keys: &'a crate::keys::Keyring,
    named: Option<&str>,
) -> Option<&'a PlatformKey> {
    let mode = named
        .and_then(|serial| keys.find(serial))
        .map_or_else(|| sim.credentials().signing_mode, PlatformKey::mode);
    keys.newest(mode)
}

fn response(status: StatusCode, body: Body, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let idle = format!("timeout={}", IDLE.as_secs());
    for (name, value) in headers.iter().chain(&[("Keep-Alive", idle.as_str())]) {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::from_bytes(name.as_bytes()),
            header::HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn log(sim: &Shared, arrived: &ReceivedRequest, outcome: &str, faults: &[Fault]) {
    let faults = if faults.is_empty() {
        String::new()
    } else {
        format!(" (faults: {faults:?})")
    };
    // A link's token opens its file.
    let is_file = arrived.route.endpoint == Endpoint::BillFile;
    let path = if is_file {
        "/v3/billdownload/file"
    } else {
        &arrived.path_and_query
    };
    sim.log(&format!("{} {path} -> {outcome}{faults}", arrived.method));
}
