//! `cargo measure callback`: opening a payment notice, beside the RSA verification in it and beside
//! two SDKs; signing and verifying, beside the library alone.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use testbed::{APIV3_KEY, APPIDS, MCHID, MERCHANT_SERIAL, RsaKey};
use wechatpay::{ApiV3Key, LocalKey, Signer, VerificationKeys, callback, canonical, verify};

use crate::failure::{ErrorContext, MeasureResult};
use crate::peers::{self, PeerProcess, PeerStatus};
use crate::progress::progress;
use crate::report::{Report, Table};
use crate::stats::{median, ns, ratio};
use crate::wechat::{CannedCallback, PUBLIC_KEY_ID, Wechat};
use crate::{clock, paths};

/// Rounds; in each of them everybody has a turn.
const ROUNDS: u32 = 15;
/// Notices opened in one turn: 50 ms of the fastest.
const OPENED: u32 = 2_000;
/// Signatures made in one turn.
const SIGNED: u32 = 200;
/// Signatures verified in one turn.
const VERIFIED: u32 = 3_000;

const ORDER_NO: &str = "ORDER20261123001";

/// At most this much of what the RSA verification in it takes alone: no opening can do without
/// that, and all else is ours.
const OPEN_AT_MOST: f64 = 1.3;
/// The expected result of opening.
const OPEN_GOAL: f64 = 1.15;
/// Parts of a turn of opening in which both take turns, so that what else the machine does falls on
/// both.
const SLICES: u32 = 20;
/// At most this much of what the cryptographic library needs alone.
const CRYPTO_AT_MOST: f64 = 1.1;

/// Runs the benchmark.
pub(crate) fn measure() -> MeasureResult<Report> {
    let mut report = Report::new("callback");
    let bench = CallbackInput::new()?;
    let mut peers = started(&bench, &mut report)?;

    progress(format!(
        "opening a notice of {} bytes, {ROUNDS} rounds of {OPENED}",
        bench.notice.body.len()
    ));
    let mut ours = Vec::new();
    let mut alone = Vec::new();
    let mut theirs: Vec<Vec<Duration>> = peers.iter().map(|_| Vec::new()).collect();
    bench.open(OPENED)?;
    for peer in &mut peers {
        peer.asked.run(OPENED)?; // warm, as ours is
    }
    for _ in 0..ROUNDS {
        let (opening, verifying) = bench.open_beside_verification(OPENED)?;
        ours.push(opening);
        alone.push(verifying);
        for (peer, times) in peers.iter_mut().zip(&mut theirs) {
            times.push(peer.asked.run(OPENED)? / OPENED);
        }
    }
    let (ours, alone) = (
        median(&ours).unwrap_or_default(),
        median(&alone).unwrap_or_default(),
    );
    let mut table = Table::new(
        format!(
            "opening a notice of {} bytes: verify, decrypt, parse",
            bench.notice.body.len()
        ),
        &["", "time", "ratio to ours"],
    );
    table.row([
        "this repository, Rust".to_owned(),
        format!("{ours:.1?}"),
        "1".to_owned(),
    ]);
    let needed = ratio(alone, ours).map_or_else(String::new, |ratio| ratio.to_string());
    table.row([
        "of it the RSA verification, aws-lc-rs alone".to_owned(),
        format!("{alone:.1?}"),
        needed,
    ]);
    report.figure("open_ns", ns(ours));
    report.figure("open_rsa_alone_ns", ns(alone));
    for (peer, times) in peers.iter().zip(&theirs) {
        let time = median(times).unwrap_or_default();
        let slower = ratio(time, ours).map_or_else(String::new, |ratio| ratio.to_string());
        table.row([peer.name.to_owned(), format!("{time:.1?}"), slower]);
        report.figure(format!("{}_open_ns", peer.key), ns(time));
    }
    report.table(table);
    report.limit(
        "opening a notice, to the RSA verification alone",
        ratio(ours, alone),
        OPEN_AT_MOST,
    );
    report.note(format!("the goal for opening is {OPEN_GOAL}"));
    drop(peers);

    crypto(&bench, &mut report)?;
    Ok(report)
}

/// Signing and verifying, each beside aws-lc-rs alone on the same text.
fn crypto(bench: &CallbackInput, report: &mut Report) -> MeasureResult<()> {
    progress(format!(
        "signing and verifying beside aws-lc-rs alone, {ROUNDS} rounds"
    ));
    let mut table = Table::new(
        "beside aws-lc-rs alone, the same text",
        &["", "ours", "aws-lc-rs", "ratio"],
    );
    let mut signing = PairTimes::default();
    let mut verifying = PairTimes::default();
    for _ in 0..ROUNDS {
        signing.ours.push(bench.sign(SIGNED)? / SIGNED);
        signing.alone.push(bench.sign_alone(SIGNED)? / SIGNED);
        verifying.ours.push(bench.verify(VERIFIED)? / VERIFIED);
        verifying
            .alone
            .push(bench.verify_alone(VERIFIED)? / VERIFIED);
    }
    for (name, turns) in [("sign", signing), ("verify", verifying)] {
        let (ours, alone) = (
            median(&turns.ours).unwrap_or_default(),
            median(&turns.alone).unwrap_or_default(),
        );
        let ratio = ratio(ours, alone);
        let shown = ratio.map_or_else(String::new, |ratio| ratio.to_string());
        table.row([
            name.to_owned(),
            format!("{ours:.1?}"),
            format!("{alone:.1?}"),
            shown,
        ]);
        report.figure(format!("{name}_ns"), ns(ours));
        report.figure(format!("aws_lc_rs_{name}_ns"), ns(alone));
        report.limit(format!("{name}, to aws-lc-rs alone"), ratio, CRYPTO_AT_MOST);
    }
    report.table(table);
    Ok(())
}

/// Times of one pair, round by round.
#[derive(Default)]
struct PairTimes {
    ours: Vec<Duration>,
    alone: Vec<Duration>,
}

/// A notice and all that opens it.
struct CallbackInput {
    notice: CannedCallback,
    keys: VerificationKeys,
    apiv3: [ApiV3Key; 1],
    merchant: RsaKey,
    signer: LocalKey,
    public_pem: String,
    public_key: ParsedPublicKey,
    text: Vec<u8>,
    signature: Vec<u8>,
}

impl CallbackInput {
    fn new() -> MeasureResult<Self> {
        let (wechat, merchant) = (Wechat::new()?, RsaKey::generate());
        let notice = wechat.notice(ORDER_NO, clock::now())?;
        let public_pem = wechat.key.public_pem();
        let mut keys = VerificationKeys::new();
        keys.add_public_key(PUBLIC_KEY_ID, &public_pem)
            .during("reading WeChat Pay's key")?;
        let headers = &notice.headers;
        Ok(Self {
            keys,
            apiv3: [ApiV3Key::new(APIV3_KEY.as_bytes()).during("reading the APIv3 key")?],
            signer: LocalKey::from_pkcs8_der(MERCHANT_SERIAL, &merchant.pkcs8())
                .during("reading the merchant key")?,
            public_key: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, wechat.key.public_der())
                .during("reading WeChat Pay's key")?,
            text: canonical::answer(&headers.timestamp, &headers.nonce, notice.body.as_bytes()),
            signature: BASE64
                .decode(&headers.signature)
                .during("reading the signature")?,
            notice,
            merchant,
            public_pem,
        })
    }

    fn open(&self, count: u32) -> MeasureResult<Duration> {
        let now = clock::now();
        let open = || {
            callback::open(
                black_box(&self.notice.headers),
                self.notice.body.as_bytes(),
                &self.keys,
                &self.apiv3,
                now,
            )
        };
        repeat(count, || open().map(drop)).during("opening the notice")
    }

    /// How long one opening takes, and the RSA verification in it alone.
    fn open_beside_verification(&self, count: u32) -> MeasureResult<(Duration, Duration)> {
        let slice = count / SLICES;
        let (mut opening, mut verifying) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..SLICES {
            opening += self.open(slice)?;
            verifying += self.verify_alone(slice)?;
        }
        Ok((opening / (slice * SLICES), verifying / (slice * SLICES)))
    }

    fn sign(&self, count: u32) -> MeasureResult<Duration> {
        repeat(count, || {
            at_once(self.signer.sign(black_box(&self.text))).map(drop)
        })
        .during("signing")
    }

    fn sign_alone(&self, count: u32) -> MeasureResult<Duration> {
        let pair = self.merchant.pair();
        let sign = || {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                black_box(&self.text),
                &mut signature,
            )?;
            black_box(signature);
            Ok::<_, aws_lc_rs::error::Unspecified>(())
        };
        repeat(count, sign).during("signing")
    }

    fn verify(&self, count: u32) -> MeasureResult<Duration> {
        let now = clock::now();
        let verify = || {
            verify(
                black_box(&self.notice.headers),
                self.notice.body.as_bytes(),
                &self.keys,
                now,
            )
        };
        repeat(count, verify).during("verifying")
    }

    fn verify_alone(&self, count: u32) -> MeasureResult<Duration> {
        repeat(count, || {
            self.public_key
                .verify_sig(black_box(&self.text), &self.signature)
        })
        .during("verifying")
    }

    /// What the peers are given: the very notice, and the keys.
    fn handed_over(&self) -> serde_json::Value {
        let headers = &self.notice.headers;
        json!({
            "mchid": MCHID, "appid": APPIDS[0], "serial_no": MERCHANT_SERIAL, "order_no": ORDER_NO,
            "private_key_pem": self.merchant.private_pem(), "apiv3_key": APIV3_KEY,
            "public_key_pem": self.public_pem, "public_key_id": PUBLIC_KEY_ID,
            "body": self.notice.body,
            "headers": {
                "Wechatpay-Timestamp": headers.timestamp, "Wechatpay-Nonce": headers.nonce,
                "Wechatpay-Serial": headers.serial, "Wechatpay-Signature": headers.signature,
                "Wechatpay-Signature-Type": headers.signature_type,
            },
        })
    }
}

/// A peer at work.
struct RunningPeer {
    name: &'static str,
    key: &'static str,
    asked: PeerProcess,
}

/// The available peers, started. The report says why the others are missing.
fn started(bench: &CallbackInput, report: &mut Report) -> MeasureResult<Vec<RunningPeer>> {
    let handed_over = paths::scratch()?.join("callback.json");
    std::fs::write(&handed_over, bench.handed_over().to_string())
        .during(format!("writing {}", handed_over.display()))?;
    let mut working = Vec::new();
    for PeerStatus { name, key, peer } in peers::install() {
        match peer.and_then(|peer| peer.ask("callback", &handed_over)) {
            Ok(asked) => working.push(RunningPeer { name, key, asked }),
            Err(cause) => report.note(format!("{name} could not be measured: {cause}")),
        }
    }
    Ok(working)
}

/// How long `count` times take.
fn repeat<E>(count: u32, mut work: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut result = Ok(());
    let time = clock::time(|| result = (0..count).try_for_each(|_| work()));
    result.map(|()| time)
}

/// The value of a future that never waits, as a local signature.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}
