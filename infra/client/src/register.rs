//! `setup`: giving a deployment its keys.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use adapters::clock::Clock;
use adapters::keys_table::KeysTable;
use adapters::kms::Kms;
use adapters::random::Random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{
    ApiClientKey, ApiUrl, MerchantFiles, PlatformKey, Settings, put_client, put_merchant,
};
use message_signatures::Algorithm;
use payments::ids::ClientId;
use zeroize::Zeroizing;

use crate::api::default_settings;
use crate::args::{Args, UsageError};
use crate::cloud;
use crate::webhook;

/// Which deployment: options of every `setup` command.
pub(crate) const DEPLOYMENT: [&str; 3] = ["mchid", "keys-table", "secrets-key-id"];

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<ExitCode, Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("merchant") => merchant(raw).await?,
        Some("client") => client(raw).await?,
        Some("revoke") => revoke(raw).await?,
        Some("webhook") => webhook::run(raw).await?,
        Some(other) => return Err(UsageError::Command(format!("setup {other}")).into()),
        None => {
            return Err(
                UsageError::Missing("merchant, client, revoke or webhook".to_owned()).into(),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn merchant(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "merchant-serial",
        "apiv3-key-file",
        "apiv3-key-version",
        "previous-apiv3-key-file",
        "merchant-key-file",
        "wechatpay-public-key",
        "platform-certificate",
    ];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &[])?;
    let table = keys_table(&mut args)?;
    let platform = args.all(&["wechatpay-public-key", "platform-certificate"]);
    let files = MerchantFiles {
        merchant_serial: args.required("merchant-serial")?,
        platform_keys: platform
            .into_iter()
            .map(platform_key)
            .collect::<Result<_, _>>()?,
        apiv3_key: args.required("apiv3-key-file")?.into(),
        apiv3_version: args.number("apiv3-key-version")?.unwrap_or(1),
        previous_apiv3_key: args.optional("previous-apiv3-key-file")?.map(PathBuf::from),
        merchant_key: args.optional("merchant-key-file")?.map(PathBuf::from),
    };
    args.finish()?;
    put_merchant(&table, &files).await?;
    println!("The merchant's record is written; functions read it within a minute.");
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
    let table = keys_table(&mut args)?;
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
            let path = args
                .optional("settings")?
                .map_or_else(default_settings, PathBuf::from);
            args.finish()?;
            shared_secret(&table, keyid, &client_id, &api_url, &path).await
        }
        Algorithm::Ed25519 | Algorithm::RsaV15Sha256 => {
            let file = PathBuf::from(args.required("public-key-file")?);
            args.finish()?;
            put_client(
                &table,
                &keyid,
                &client_id,
                &ApiClientKey::Public { algorithm, file },
            )
            .await?;
            println!("The key {keyid} is registered; it counts within a minute.");
            Ok(())
        }
    }
}

async fn revoke(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["keyid"]].concat(), &[])?;
    let table = keys_table(&mut args)?;
    let keyid = args.required("keyid")?;
    args.finish()?;
    table.revoke_client(&keyid).await?;
    println!("The key {keyid} is revoked; functions forget it within a minute.");
    Ok(())
}

/// Makes a secret that only the table and the settings file know. The file is made first, so that no key is registered
/// whose secret could not be kept.
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
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(|error| {
        format!(
            "{}: {error}; move it away or name another file with --settings",
            path.display()
        )
    })?;
    writeln!(file, "{}", serde_json::to_string_pretty(&settings)?)?;
    if let Err(error) = put_client(table, &keyid, client_id, &ApiClientKey::Secret(secret)).await {
        std::fs::remove_file(path)?; // nothing was registered under it
        return Err(error.into());
    }
    println!(
        "The key {keyid} is registered and counts within a minute; its secret is in {} only.",
        path.display()
    );
    Ok(())
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

pub(crate) fn keys_table(args: &mut Args) -> Result<KeysTable, Box<dyn Error>> {
    let (mchid, table) = (args.required("mchid")?, args.required("keys-table")?);
    let secrets_key_id = args.required("secrets-key-id")?;
    let clock = Clock::system();
    let aws = cloud::connect(&clock)?;
    Ok(KeysTable::new(
        aws.dynamodb(),
        table,
        mchid,
        Kms::new(aws.kms()),
        secrets_key_id,
        clock,
    ))
}
