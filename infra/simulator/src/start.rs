//! Starts a simulator: merchant, keys, listener, threads.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Router, routing::any};
use tokio::runtime::{Builder, Runtime};

use crate::{
    address,
    admin::Admin,
    admin_http,
    books::Store,
    clock::Clock,
    config::{Config, GivenMerchant, Keys, Merchant, SigningMode},
    credentials::{Credentials, MerchantCertificate, is_apiv3_key},
    details::{self, ClientDetails},
    gateway,
    ids::Ids,
    keys::{self, KeyError, Keyring, MerchantKey},
    phone,
    quota::Quotas,
    rules::Faults,
    server,
    sim::{Account, Constants, MutableState, Shared},
    state_file::{self, StateError, Writer},
    stored::{Stored, StoredMerchant},
};

/// The simulator; see [`Simulator::start`].
pub struct Simulator;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on 127.0.0.1:{port}; is another simulator running? Choose another port with --port"
    )]
    Listen {
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    #[error("the given merchant is not right: {0}")]
    Merchant(&'static str),
    #[error("--public-url must be a scheme and a host, as in https://sim.example, not {0}")]
    PublicUrl(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    State(#[from] StateError),
    /// The JSON file, or the key beside it.
    #[error("cannot write {0}; choose another place with --out")]
    Write(PathBuf, #[source] io::Error),
    #[error("cannot start the simulator's threads")]
    Threads(#[source] io::Error),
}

/// A running simulator. Dropping it stops it; [`Running::stop`] is the explicit form.
pub struct Running {
    /// Takes the place of `https://api.mch.weixin.qq.com`; without a slash at the end.
    pub base_url: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// What a client needs.
    pub details: ClientDetails,
    /// From which all random choices are drawn.
    pub seed: u64,
    merchant_private_key: Option<String>,
    admin: Admin,
    writer: Option<Arc<Writer>>,
    runtime: Option<Runtime>,
}

impl Running {
    /// The admin's handle.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The generated merchant's private key as PKCS#8 PEM; `None` for a given merchant.
    pub fn merchant_private_key(&self) -> Option<&str> {
        self.merchant_private_key.as_deref()
    }

    /// Writes the state file, if there is one, and stops at once: open connections are cut.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.finish(&self.admin.sim);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    /// Starts one on threads of its own and comes back when it listens. With [`Keys::Generated`]
    /// and no state file this takes some seconds, for RSA keys.
    ///
    /// # Errors
    /// If the port is taken, a file cannot be read or written, or the given merchant is not right.
    pub fn start(config: Config) -> Result<Running, StartError> {
        let listener = listen(config.port)?;
        let addr = listener.local_addr().map_err(|source| StartError::Listen {
            port: config.port,
            source,
        })?;
        let base_url = format!("http://{addr}");
        let public_url = config.public_url.map(public_base).transpose()?;
        let clock = Clock::new(config.time);
        let stored = config
            .state_file
            .as_deref()
            .map(state_file::load)
            .transpose()?
            .flatten();
        let seed = config
            .seed
            .unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let mut ids = Ids::new(seed.wrapping_add(used_ids(stored.as_ref())));

        let mut party = match config.merchant {
            Merchant::Given(given) => Party::given(given)?,
            Merchant::Generated => {
                let known = stored.as_ref().and_then(|stored| stored.merchant.clone());
                Party::generated(known, config.keys, &mut ids)?
            }
        };
        let keys = match &stored {
            Some(stored) => Keyring::restore(stored.keys.clone(), config.keys)?,
            None => Keyring::new(config.keys, &mut ids, clock.now_ms())?,
        };
        if config.details_file.is_some() {
            party.certify(clock.now_ms())?;
        }
        let known_as = public_url.as_deref().unwrap_or(&base_url);
        let details = party.details(known_as, &keys, config.details_file.as_deref())?;
        let writer = config
            .state_file
            .map(|path| Arc::new(Writer::new(path, party.stored.clone())));

        let fixed = Constants {
            clock,
            merchant: party.account,
            credentials: Credentials {
                certificates: vec![party.certificate],
                apiv3_key: party.apiv3_key,
                signing_mode: config.signing_mode,
            },
            base_url: base_url.clone(),
            public_url,
            platform_certificates: config.platform_certificates,
            refund_takes_ms: config.refund_takes_ms,
            log: config.log,
        };
        let mut books = stored.map_or_else(Store::default, |stored| stored.books);
        books.callbacks.resume(fixed.clock.now_ms());
        let world = MutableState {
            books,
            keys,
            ids,
            faults: Faults::new(seed),
            requests: std::collections::BTreeMap::new(),
            signed_by: std::collections::BTreeMap::new(),
            probed: std::collections::BTreeSet::new(),
            downloads: std::collections::BTreeMap::new(),
            bills_of_today: config.bills_of_today,
            quotas: Quotas::default(),
        };
        let sim = Arc::new(Shared::new(fixed, world));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("wechatpay-simulator")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let admin = Admin {
            sim: Arc::clone(&sim),
            runtime: runtime.handle().clone(),
        };
        run(&runtime, listener, &sim, &admin, &details, writer.as_ref())
            .map_err(StartError::Threads)?;
        Ok(Running {
            base_url,
            addr,
            details,
            seed,
            merchant_private_key: party.stored.map(|stored| stored.private_key),
            admin,
            writer,
            runtime: Some(runtime),
        })
    }
}

fn listen(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    listener
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| StartError::Listen { port, source })
}

fn public_base(url: String) -> Result<String, StartError> {
    address::base_of(&url).ok_or(StartError::PublicUrl(url))
}

/// A restart with the same seed must not issue the same numbers again.
fn used_ids(stored: Option<&Stored>) -> u64 {
    stored.map_or(0, |stored| {
        let books = &stored.books;
        let used = [
            books.orders.len(),
            books.refunds.len(),
            books.callbacks.len(),
        ];
        u64::try_from(used.iter().sum::<usize>())
            .unwrap_or(0)
            .saturating_add(1)
    })
}

fn run(
    runtime: &Runtime,
    listener: TcpListener,
    sim: &Arc<Shared>,
    admin: &Admin,
    details: &ClientDetails,
    writer: Option<&Arc<Writer>>,
) -> io::Result<()> {
    let _inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let gateway = Router::new()
        .route("/v3/{*path}", any(gateway::serve))
        .with_state(Arc::clone(sim));
    let router = gateway
        .merge(admin_http::routes(admin.clone(), details.clone()))
        .merge(phone::routes(admin.clone()));
    runtime.spawn(server::serve(listener, router));
    if !sim.clock.is_manual() {
        runtime.spawn(Arc::clone(sim).work());
    }
    if let Some(writer) = writer {
        runtime.spawn(Arc::clone(writer).follow(Arc::clone(sim)));
    }
    Ok(())
}

/// The merchant from both sides.
struct Party {
    account: Account,
    certificate: MerchantCertificate,
    apiv3_key: String,
    /// Where the given merchant's private key is stored.
    private_key_file: Option<PathBuf>,
    /// The generated merchant with its private key.
    stored: Option<StoredMerchant>,
}

impl Party {
    fn given(given: GivenMerchant) -> Result<Self, StartError> {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        if !(8..=10).contains(&given.mchid.len()) || !digits(&given.mchid) {
            return Err(StartError::Merchant("mchid must be 8 to 10 digits"));
        }
        if given.appids.is_empty() {
            return Err(StartError::Merchant("appids must name at least one appid"));
        }
        if given.merchant_serial.len() != 40
            || !given.merchant_serial.chars().all(|c| c.is_ascii_hexdigit())
        {
            return Err(StartError::Merchant(
                "merchant_serial must be 40 hex digits, see `openssl x509 -in apiclient_cert.pem -noout -serial`",
            ));
        }
        if !is_apiv3_key(&given.apiv3_key) {
            return Err(StartError::Merchant(
                "apiv3_key must be 32 characters of [0-9A-Za-z]",
            ));
        }
        Ok(Self {
            account: Account {
                mchid: given.mchid,
                appids: given.appids,
            },
            certificate: MerchantCertificate {
                key: MerchantKey::from_public_pem(&given.merchant_public_key)?,
                serial: given.merchant_serial,
            },
            apiv3_key: given.apiv3_key,
            private_key_file: given.merchant_private_key_file,
            stored: None,
        })
    }

    fn generated(
        known: Option<StoredMerchant>,
        source: Keys,
        ids: &mut Ids,
    ) -> Result<Self, StartError> {
        let stored = match known {
            Some(known) => known,
            None => StoredMerchant {
                mchid: format!("19{}", ids.digits(8)),
                appids: vec![ids.appid(), ids.appid()],
                serial: ids.certificate_serial(),
                private_key: match source {
                    Keys::Published => keys::PUBLISHED_MERCHANT_KEY.to_owned(),
                    Keys::Generated => keys::private_pem(&keys::generate()?)?,
                },
                apiv3_key: ids.letters(32),
                certificate: None,
            },
        };
        Ok(Self {
            account: Account {
                mchid: stored.mchid.clone(),
                appids: stored.appids.clone(),
            },
            certificate: MerchantCertificate {
                key: MerchantKey::from_private_pem(&stored.private_key)?,
                serial: stored.serial.clone(),
            },
            apiv3_key: stored.apiv3_key.clone(),
            private_key_file: None,
            stored: Some(stored),
        })
    }

    /// Has a certificate issued for the generated merchant, unless it has one.
    fn certify(&mut self, now_ms: i64) -> Result<(), StartError> {
        if let Some(stored) = &mut self.stored
            && stored.certificate.is_none()
        {
            let (key, mchid, serial) = (&stored.private_key, &stored.mchid, &stored.serial);
            let pem = keys::merchant_certificate(key, mchid, serial, now_ms)?;
            stored.certificate = Some(pem);
        }
        Ok(())
    }

    /// Collects the details, and writes them (and the generated key and certificate beside them) if
    /// there is a place for them.
    fn details(
        &self,
        base_url: &str,
        keys: &Keyring,
        file: Option<&Path>,
    ) -> Result<ClientDetails, StartError> {
        let write = |path: &Path, text: &str| {
            details::write_private(path, text)
                .map_err(|error| StartError::Write(path.to_owned(), error))
        };
        let beside = |file: &Path, extension: &str, text: &str| {
            let path = std::path::absolute(file.with_extension(extension))
                .map_err(|error| StartError::Write(file.to_owned(), error))?;
            write(&path, text)?;
            Ok::<_, StartError>(path)
        };
        let mut private_key_file = self.private_key_file.clone();
        let mut certificate_file = None;
        if let (Some(file), Some(stored)) = (file, &self.stored) {
            private_key_file = Some(beside(file, "merchant-key.pem", &stored.private_key)?);
            // Not the bare name, under which a real one may lie in the same folder.
            let pem = stored.certificate.as_deref();
            certificate_file = pem
                .map(|pem| beside(file, "apiclient_cert.pem", pem))
                .transpose()?;
        }
        let newest = |mode| keys.newest(mode);
        let public_key = newest(SigningMode::PublicKey);
        let certificate = newest(SigningMode::Certificate);
        let details = ClientDetails {
            base_url: String::new(),
            mchid: self.account.mchid.clone(),
            appid: self.account.appids.first().cloned().unwrap_or_default(),
            appids: self.account.appids.clone(),
            merchant_serial: self.certificate.serial.clone(),
            merchant_private_key_file: private_key_file,
            merchant_certificate_file: certificate_file,
            apiv3_key: self.apiv3_key.clone(),
            wechatpay_public_key_id: public_key.map_or(String::new(), |key| key.serial.clone()),
            wechatpay_public_key: public_key.map_or(String::new(), keys::PlatformKey::public_pem),
            platform_certificate_serial: certificate
                .map_or(String::new(), |key| key.serial.clone()),
            platform_certificate: certificate
                .and_then(|key| key.certificate.as_ref())
                .map_or(String::new(), |issued| issued.pem.clone()),
            admin_url: String::new(),
            phone_url: String::new(),
        }
        .at(base_url);
        if let Some(file) = file {
            let text = serde_json::to_string_pretty(&details)
                .map_err(|error| StartError::Write(file.to_owned(), io::Error::other(error)))?;
            write(file, &format!("{text}\n"))?;
        }
        Ok(details)
    }
}
