//! `setup`: giving a deployment its keys.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{
    ApiClientKey, ApiUrl, MerchantFiles, PlatformKey, Settings, SetupError, add_client,
    add_platform_key, change_merchant, read_merchant_certificate,
};
use message_signatures::Algorithm;
use payments::model::ids::ClientId;
use runtime::random::Random;
use runtime::signer::SignWith;
use stores::keys_table::{
    ClientKey, KeysError, KeysTable,
    change::{MerchantChange, RemovedCertificate},
};
use wechatpay::merchant_files::MerchantPublicKey;
use zeroize::Zeroizing;

use crate::{
    api::settings_file,
    args::{Args, UsageError},
    channel,
    deployment::{
        DEPLOYMENT, Deployment, NO_MATERIAL, SIGNING_KEY, SIGNING_KEY_VARIABLE, key_service,
        optional_signing_key, waits_for_its_import,
    },
    log_sink,
    secret_file::SecretFile,
    show, webhook,
};

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<ExitCode, Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("merchant") => merchant(raw).await?,
        Some("add-wechat-key") => add_wechat_key(raw).await?,
        Some("remove-wechat-key") => remove_wechat_key(raw).await?,
        Some("remove-apiv3-key") => remove_apiv3_key(raw).await?,
        Some("remove-merchant-certificate") => remove_merchant_certificate(raw).await?,
        Some("client") => client(raw).await?,
        Some("limit") => limit(raw).await?,
        Some("revoke") => revoke(raw).await?,
        Some("webhook") => webhook::run(raw).await?,
        Some("channel") => channel::run(raw).await?,
        Some("log-sink") => log_sink::run(raw).await?,
        Some("show") => show::run(raw).await?,
        Some(other) => return Err(UsageError::Command(format!("setup {other}")).into()),
        None => {
            return Err(UsageError::Missing(
                "show, merchant, add-wechat-key, remove-wechat-key, remove-apiv3-key, \
                 remove-merchant-certificate, client, limit, revoke, webhook, channel or log-sink"
                    .to_owned(),
            )
            .into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

const WECHAT_KEY: [&str; 2] = ["wechatpay-public-key", "platform-certificate"];

async fn merchant(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "merchant-serial",
        "merchant-certificate-file",
        "apiv3-key-file",
        "apiv3-key-version",
        "previous-apiv3-key-file",
        "merchant-key-file",
        SIGNING_KEY,
    ];
    let options = [&DEPLOYMENT[..], &own, &WECHAT_KEY].concat();
    let mut args = Args::parse(raw, &options, &["remove-sealed-key"])?;
    let deployment = Deployment::read(&mut args)?;
    let files = MerchantFiles {
        platform_keys: platform_keys(&mut args)?,
        merchant_serial: args.optional("merchant-serial")?,
        merchant_certificate: args
            .optional("merchant-certificate-file")?
            .map(PathBuf::from),
        apiv3_key: args.optional("apiv3-key-file")?.map(PathBuf::from),
        apiv3_version: args.number("apiv3-key-version")?,
        previous_apiv3_key: args.optional("previous-apiv3-key-file")?.map(PathBuf::from),
        merchant_key: args.optional("merchant-key-file")?.map(PathBuf::from),
        signing_key_id: optional_signing_key(&mut args)?,
        removes_sealed_key: args.flag("remove-sealed-key")?,
    };
    args.finish()?;
    if files.removes_sealed_key && files.merchant_key.is_some() {
        return Err(UsageError::Conflict(
            "give --merchant-key-file or --remove-sealed-key, not both",
        )
        .into());
    }
    if files.merchant_serial.is_some() && files.merchant_certificate.is_some() {
        return Err(UsageError::Conflict(
            "give --merchant-certificate-file or --merchant-serial, not both: the number is in the certificate",
        )
        .into());
    }
    if files.name_nothing() {
        let what = "what shall be set or changed (`cargo client help` shows the options)";
        return Err(UsageError::Missing(what.to_owned()).into());
    }
    if let (Some(certificate), None, Some(key_id)) = (
        &files.merchant_certificate,
        &files.merchant_key,
        &files.signing_key_id,
    ) {
        let held = match key_service(&deployment.account)
            .await?
            .public_key(key_id)
            .await
        {
            Ok(held) => MerchantPublicKey::from_der(&held)?,
            Err(error) if error.code() == Some(NO_MATERIAL) => {
                return Err(waits_for_its_import(key_id).into());
            }
            Err(error) => return Err(error.into()),
        };
        read_merchant_certificate(certificate, &deployment.mchid, Some(&held))?;
    }
    change_merchant(&deployment.keys_table().await?, &files).await?;
    println!(
        "The merchant's record has what was named, and what else it had; functions read it within a minute."
    );
    if files.merchant_certificate.is_some() || files.merchant_serial.is_some() {
        println!("{WHO_NAMES_IT}");
    }
    Ok(())
}

/// What is said where a certificate was registered.
pub(crate) const WHO_NAMES_IT: &str = "Only signatures by its own key name this certificate; what other keys sign names theirs, as before. `cargo client \
                                       keys status` shows which key signs, which certificate each has, and what is left to do.";

/// Takes out the certificate of a key that signs no more, in either place where a key may be.
async fn remove_merchant_certificate(
    raw: impl Iterator<Item = String>,
) -> Result<(), Box<dyn Error>> {
    let options = [&DEPLOYMENT[..], &["serial", "merchant-signer", SIGNING_KEY]].concat();
    let mut args = Args::parse(raw, &options, &[])?;
    let deployment = Deployment::read(&mut args)?;
    let serial_no = args.required("serial")?;
    let signer = args.required("merchant-signer")?;
    let key_id = optional_signing_key(&mut args)?;
    args.finish()?;
    let signs = match (signer.as_str(), key_id) {
        ("sealed", _) => SignWith::Sealed,
        ("kms", Some(key_id)) => SignWith::Kms { key_id },
        ("kms", None) => {
            let what = format!(
                "--{SIGNING_KEY} (or the variable {SIGNING_KEY_VARIABLE}), the key that signs"
            );
            return Err(UsageError::Missing(what).into());
        }
        _ => {
            return Err(UsageError::Value {
                name: "merchant-signer",
                expected: "is kms or sealed, as the stack's parameter MerchantSigner is",
                given: signer.clone(),
            }
            .into());
        }
    };
    let change = MerchantChange {
        remove_certificate: Some(RemovedCertificate {
            serial_no: &serial_no,
            signs: &signs,
        }),
        ..MerchantChange::default()
    };
    deployment
        .keys_table()
        .await?
        .change_merchant(&change)
        .await?;
    println!(
        "Certificate {serial_no} is taken out, with the private key that lay sealed under it if there was one; functions \
         forget it within a minute. After that it may be revoked on the merchant platform."
    );
    Ok(())
}

async fn add_wechat_key(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = [&DEPLOYMENT[..], &WECHAT_KEY].concat();
    let mut args = Args::parse(raw, &options, &["sign-answers"])?;
    let deployment = Deployment::read(&mut args)?;
    let keys = platform_keys(&mut args)?;
    let signs_answers = args.flag("sign-answers")?;
    args.finish()?;
    let [key] = keys.as_slice() else {
        let what = "one of --wechatpay-public-key ID=FILE and --platform-certificate FILE";
        return Err(UsageError::Missing(what.to_owned()).into());
    };
    let id = add_platform_key(&deployment.keys_table().await?, key, signs_answers).await?;
    println!("{id} counts beside the keys that were there; functions read it within a minute.");
    if signs_answers {
        println!("Requests ask for answers signed with it.");
    }
    Ok(())
}

async fn remove_wechat_key(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["id"]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let id = args.required("id")?;
    args.finish()?;
    let change = MerchantChange {
        remove_verification: Some(&id),
        ..MerchantChange::default()
    };
    deployment
        .keys_table()
        .await?
        .change_merchant(&change)
        .await?;
    println!("{id} is taken out; functions forget it within a minute.");
    Ok(())
}

async fn remove_apiv3_key(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["version"]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let version = args
        .number("version")?
        .ok_or_else(|| UsageError::Missing("--version".to_owned()))?;
    args.finish()?;
    let change = MerchantChange {
        remove_apiv3: Some(version),
        ..MerchantChange::default()
    };
    deployment
        .keys_table()
        .await?
        .change_merchant(&change)
        .await?;
    println!("APIv3 key {version} is taken out; functions forget it within a minute.");
    Ok(())
}

async fn client(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "keyid",
        "client-id",
        "algorithm",
        "public-key-file",
        "api-url",
        "settings",
    ];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let (keyid, client_id) = (args.required("keyid")?, args.required("client-id")?);
    let chosen = ClientId::chosen(&client_id)?;
    let client_id = chosen.as_str().to_owned();
    let algorithm = args
        .optional("algorithm")?
        .unwrap_or_else(|| Algorithm::HmacSha256.name().to_owned());
    let known = "is hmac-sha256, ed25519 or rsa-v1_5-sha256";
    let algorithm = Algorithm::parse(&algorithm).ok_or(UsageError::Value {
        name: "algorithm",
        expected: known,
        given: algorithm,
    })?;
    match algorithm {
        Algorithm::HmacSha256 => {
            let api_url = ApiUrl::parse(&args.required("api-url")?)?;
            let path = settings_file(&mut args)?;
            args.finish()?;
            let table = deployment.keys_table().await?;
            shared_secret(&table, keyid, &client_id, &api_url, &path).await
        }
        Algorithm::Ed25519 | Algorithm::RsaV15Sha256 => {
            let file = PathBuf::from(args.required("public-key-file")?);
            args.finish()?;
            let key = ApiClientKey::Public { algorithm, file };
            add_client(&deployment.keys_table().await?, &keyid, &client_id, &key).await?;
            println!("The key {keyid} is registered; it counts within a minute.");
            Ok(())
        }
    }
}

async fn limit(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = [&DEPLOYMENT[..], &["keyid", "requests-per-s"]].concat();
    let mut args = Args::parse(raw, &options, &["as-the-others"])?;
    let deployment = Deployment::read(&mut args)?;
    let keyid = args.required("keyid")?;
    let (own, is_common) = (
        args.number::<u32>("requests-per-s")?,
        args.flag("as-the-others")?,
    );
    args.finish()?;
    if own.is_some() == is_common {
        let what = "one of --requests-per-s N and --as-the-others";
        return Err(UsageError::Missing(what.to_owned()).into());
    }
    if let Some(given) = own.filter(|per_s| !ClientKey::REQUESTS_PER_S.contains(per_s)) {
        return Err(UsageError::Value {
            name: "requests-per-s",
            expected: "is 1 to 10000",
            given: given.to_string(),
        }
        .into());
    }
    let table = deployment.keys_table().await?;
    match table.limit_client(&keyid, own).await {
        Ok(()) => {}
        Err(KeysError::NoItem { .. }) => {
            return Err(no_such_key(&table, &keyid, "so no limit was set").await);
        }
        Err(error) => return Err(error.into()),
    }
    match own {
        Some(per_s) => println!(
            "The key {keyid} may send {per_s} requests a second to each function; they go by it within a minute."
        ),
        None => println!(
            "The key {keyid} has the limit of all keys (ClientRateLimit); functions go by it within a minute."
        ),
    }
    Ok(())
}

async fn revoke(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["keyid"]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let keyid = args.required("keyid")?;
    args.finish()?;
    let table = deployment.keys_table().await?;
    match table.revoke_client(&keyid).await {
        Ok(()) => {}
        Err(KeysError::NoItem { .. }) => {
            return Err(no_such_key(&table, &keyid, "so nothing was revoked").await);
        }
        Err(error) => return Err(error.into()),
    }
    println!("The key {keyid} is revoked; functions forget it within a minute.");
    Ok(())
}

/// Why nothing was changed, with the keys of the client if it is a client that was named.
async fn no_such_key(table: &KeysTable, keyid: &str, so: &str) -> Box<dyn Error> {
    let overview = match table.overview().await {
        Ok(overview) => overview,
        Err(error) => return error.into(),
    };
    let of_client: Vec<&str> = overview
        .clients
        .iter()
        .filter(|key| key.client_id.as_deref() == Some(keyid))
        .map(|key| key.keyid.as_str())
        .collect();
    let which = if of_client.is_empty() {
        "`cargo client setup show` lists the keys".to_owned()
    } else {
        format!("the client {keyid} has {}", of_client.join(", "))
    };
    format!("there is no key {keyid}, {so}: {which}").into()
}

/// Creates a secret that only the table and the settings file contain. The file is created first,
/// so that no key is registered whose secret could not be stored.
async fn shared_secret(
    table: &KeysTable,
    keyid: String,
    client_id: &str,
    api_url: &ApiUrl,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let secret = Zeroizing::new(Random::system().bytes::<32>());
    let settings = Settings {
        api_url: api_url.to_string(),
        keyid: keyid.clone(),
        algorithm: Algorithm::HmacSha256.name().to_owned(),
        secret_base64: Some(STANDARD.encode(*secret)),
        private_key_file: None,
    };
    let file = SecretFile::create(path)?.write(&serde_json::to_string_pretty(&settings)?)?;
    match add_client(table, &keyid, client_id, &ApiClientKey::Secret(secret)).await {
        Ok(()) => {}
        Err(SetupError::Keys(error)) => {
            let next =
                "it was if `cargo client setup show` lists the key, and the file is good then";
            return Err(file.not_registered(error, next));
        }
        Err(error) => {
            file.discard()?;
            return Err(error.into());
        }
    }
    println!(
        "The key {keyid} is registered and counts within a minute; its secret is in {} only.",
        path.display()
    );
    Ok(())
}

/// The keys of WeChat Pay's, in the order given.
fn platform_keys(args: &mut Args) -> Result<Vec<PlatformKey>, UsageError> {
    let given = args.all(&WECHAT_KEY);
    given.into_iter().map(platform_key).collect()
}

/// Reads `ID=FILE` of a public key, or the file of a certificate.
fn platform_key((name, value): (String, String)) -> Result<PlatformKey, UsageError> {
    if name == "platform-certificate" {
        return Ok(PlatformKey::Certificate { file: value.into() });
    }
    let (id, file) = value.split_once('=').ok_or_else(|| UsageError::Value {
        name: "wechatpay-public-key",
        expected: "takes PUB_KEY_ID_...=FILE",
        given: value.clone(),
    })?;
    Ok(PlatformKey::PublicKey {
        id: id.to_owned(),
        file: file.into(),
    })
}
