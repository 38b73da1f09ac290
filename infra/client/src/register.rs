//! `setup`: giving a deployment its keys.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use client::{
    MerchantFiles, PlatformKey, add_platform_key, change_merchant, read_merchant_certificate,
};
use runtime::signer::SignWith;
use stores::keys_table::change::{MerchantChange, RemovedCertificate};
use wechatpay::merchant_files::MerchantPublicKey;

use crate::{
    args::{Args, UsageError},
    channel, client_keys,
    deployment::{
        DEPLOYMENT, Deployment, NO_MATERIAL, SIGNING_KEY, SIGNING_KEY_VARIABLE, key_service,
        optional_signing_key, waits_for_its_import,
    },
    log_sink, show, webhook,
};

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<ExitCode, Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("merchant") => merchant(raw).await?,
        Some("add-wechat-key") => add_wechat_key(raw).await?,
        Some("remove-wechat-key") => remove_wechat_key(raw).await?,
        Some("remove-apiv3-key") => remove_apiv3_key(raw).await?,
        Some("remove-merchant-certificate") => remove_merchant_certificate(raw).await?,
        Some("client") => client_keys::register(raw).await?,
        Some("scopes") => client_keys::set_scopes(raw).await?,
        Some("limit") => client_keys::set_limits(raw).await?,
        Some("revoke") => client_keys::revoke(raw).await?,
        Some("webhook") => webhook::run(raw).await?,
        Some("channel") => channel::run(raw).await?,
        Some("log-sink") => log_sink::run(raw).await?,
        Some("show") => show::run(raw).await?,
        Some(other) => return Err(UsageError::Command(format!("setup {other}")).into()),
        None => {
            return Err(UsageError::Missing(
                "show, merchant, add-wechat-key, remove-wechat-key, remove-apiv3-key, \
                 remove-merchant-certificate, client, scopes, limit, revoke, webhook, channel or log-sink"
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
