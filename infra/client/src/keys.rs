//! `keys`: the merchant's private key, in KMS or sealed, and how old all keys are.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use client::{
    MerchantFiles, SetupError, certified, change_merchant, read_merchant_certificate,
    read_merchant_key,
};
use runtime::kms::{Kms, KmsError, signing_key::KeyDescription};
use runtime::random::Random;
use runtime::signer::{KmsSigner, SignWith};
use stores::keys_table::{
    KeysTable,
    change::{ChangeError, MerchantChange},
};
use wechatpay::Signer;
use wechatpay::merchant_files::{MerchantCertificate, MerchantKey, MerchantPublicKey};
use wechatpay::time::format_rfc3339_beijing;

use crate::{
    args::{Args, UsageError},
    certificate_request::CertificateRequest,
    cloud::{Account, PROFILE},
    deployment::{
        DEPLOYMENT, Deployment, NO_MATERIAL, SIGNING_KEY, key_service, signing_key,
        waits_for_its_import,
    },
    doctor::keys_status,
    register::WHO_NAMES_IT,
};

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<ExitCode, Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("import") => import(raw).await?,
        Some("csr") => csr(raw).await?,
        Some("seal") => seal(raw).await?,
        Some("status") => return keys_status::run(raw).await,
        Some(other) => return Err(UsageError::Command(format!("keys {other}")).into()),
        None => {
            let known = "status, import, csr or seal";
            return Err(UsageError::Missing(known.to_owned()).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

const FILES: [&str; 2] = ["merchant-key-file", "merchant-certificate-file"];

/// The state of a KMS key whose private half was not imported yet.
const PENDING_IMPORT: &str = "PendingImport";

/// What KMS refuses other material with than a key has had before.
const OTHER_MATERIAL: &str = "IncorrectKeyMaterialException";

/// Each step first checks what an earlier run has done, so a run that ended between any two steps
/// can be repeated as it was.
async fn import(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = [&DEPLOYMENT[..], &FILES, &[SIGNING_KEY]].concat();
    let mut args = Args::parse(raw, &options, &["remove-sealed-key", "only-material"])?;
    let deployment = Deployment::read(&mut args)?;
    let key_id = signing_key(&mut args)?;
    let (key_file, certificate_file) = files(&mut args)?;
    let removes_sealed_signer = args.flag("remove-sealed-key")?;
    let registers = !args.flag("only-material")?;
    args.finish()?;
    if removes_sealed_signer && !registers {
        return Err(
            UsageError::Conflict("give --remove-sealed-key or --only-material, not both").into(),
        );
    }

    let key = read_merchant_key(&key_file)?;
    let public_key = Some(key.public_key());
    let certificate = read_merchant_certificate(&certificate_file, &deployment.mchid, public_key)?;
    let kms = key_service(&deployment.account).await?;
    let key_arn = ensure_imported(&kms, &key_id, &key).await?;
    prove(&kms, &key_id, &certificate).await?;
    println!("A signature of {key_arn} verifies with the certificate's public key.");
    if !registers {
        println!("No certificate was registered, and no table was called.");
        return Ok(());
    }
    let table = deployment.keys_table().await?;
    let signs = SignWith::Kms { key_id };
    register(&table, &certificate, &signs, removes_sealed_signer).await?;
    println!(
        "A stack with MerchantSigner=kms whose key this is signs with it. Keep apiclient_key.pem offline, or delete it: \
         KMS does not give it back."
    );
    Ok(())
}

fn files(args: &mut Args) -> Result<(PathBuf, PathBuf), UsageError> {
    Ok((
        args.required("merchant-key-file")?.into(),
        args.required("merchant-certificate-file")?.into(),
    ))
}

/// What a KMS key holds.
enum Material {
    Nothing,
    ThisKey,
    AnotherKey,
}

async fn material(
    kms: &Kms,
    key_id: &str,
    wanted: &MerchantPublicKey,
) -> Result<Material, KmsError> {
    match kms.public_key(key_id).await {
        Ok(der) if MerchantPublicKey::from_der(&der).is_ok_and(|held| held == *wanted) => {
            Ok(Material::ThisKey)
        }
        Ok(_) => Ok(Material::AnotherKey),
        Err(error) if error.code() == Some(NO_MATERIAL) => Ok(Material::Nothing),
        Err(error) => Err(error),
    }
}

/// Imports the private key, unless it is there. Gives the ARN of the KMS key.
async fn ensure_imported(
    kms: &Kms,
    key_id: &str,
    key: &MerchantKey,
) -> Result<String, Box<dyn Error>> {
    let described = kms.describe_key(key_id).await?;
    takes_an_import(&described)?;
    let arn = described.arn;
    match described.state.as_str() {
        PENDING_IMPORT => {
            println!("{arn} waits for its private key.");
            let refused = kms.import_rsa_key(key_id, key.pkcs8_der()).await.err();
            match (material(kms, key_id, key.public_key()).await?, refused) {
                // Also where an answer was lost, or another person imported the same key meanwhile.
                (Material::ThisKey, _) => {
                    println!("The private key was imported, wrapped by RSA_AES_KEY_WRAP_SHA_256.");
                    Ok(arn)
                }
                (Material::AnotherKey, _) => Err(another_key(&arn).into()),
                (Material::Nothing, Some(error)) if error.code() == Some(OTHER_MATERIAL) => {
                    Err(format!(
                        "{arn} has had another private key, and KMS takes no other after the first: import that one \
                         again, or use a new KMS key ({error})"
                    )
                    .into())
                }
                (Material::Nothing, Some(error)) => Err(error.into()),
                (Material::Nothing, None) => Err(format!(
                    "KMS has taken the private key and does not show it in {arn} yet: run this again in a minute"
                )
                .into()),
            }
        }
        "Enabled" => match material(kms, key_id, key.public_key()).await? {
            Material::ThisKey => {
                println!("{arn} holds this private key already.");
                Ok(arn)
            }
            Material::AnotherKey => Err(another_key(&arn).into()),
            Material::Nothing => Err(format!(
                "KMS does not show the private key of {arn} yet: run this again in a minute"
            )
            .into()),
        },
        other => Err(format!(
            "{arn} is in the state {other} and cannot be used: enable it (`aws kms enable-key`) or take back its \
             deletion (`aws kms cancel-key-deletion`), then run this again"
        )
        .into()),
    }
}

fn another_key(arn: &str) -> String {
    format!(
        "{arn} holds another private key, and imported material cannot be changed: give the files that belong to it, \
         or use a new KMS key"
    )
}

fn takes_an_import(key: &KeyDescription) -> Result<(), String> {
    signs_with_rsa_2048(key)?;
    if key.origin == "EXTERNAL" {
        return Ok(());
    }
    Err(format!(
        "{} makes its own private key (origin {}) and takes none: have a certificate made for it \
         (`cargo client keys csr`), or seal this one (`cargo client keys seal`, MerchantSigner=sealed). \
         MerchantSigningKeyOrigin counts for a new stack only",
        key.arn, key.origin
    ))
}

fn signs_with_rsa_2048(key: &KeyDescription) -> Result<(), String> {
    if key.spec == "RSA_2048" && key.usage == "SIGN_VERIFY" {
        return Ok(());
    }
    Err(format!(
        "{} is a key of the kind {} for {}, and WeChat Pay takes RSA_2048 for SIGN_VERIFY: give the stack's output \
         MerchantSigningKeyId",
        key.arn, key.spec, key.usage
    ))
}

/// Signs a new text by KMS, as functions do.
async fn prove(
    kms: &Kms,
    key_id: &str,
    certificate: &MerchantCertificate,
) -> Result<(), Box<dyn Error>> {
    let text = format!("wechatpay keys import {}", Random::system().nonce());
    let signer = KmsSigner::new(kms.clone(), key_id, certificate.serial_no());
    let signature = signer.sign(text.as_bytes()).await?;
    if certificate
        .public_key()
        .verifies(text.as_bytes(), &signature)
    {
        return Ok(());
    }
    Err("a signature of the KMS key does not verify with the certificate's public key: nothing was registered".into())
}

async fn register(
    table: &KeysTable,
    certificate: &MerchantCertificate,
    signs: &SignWith,
    removes_sealed_signer: bool,
) -> Result<(), Box<dyn Error>> {
    let (serial_no, ends) = (
        certificate.serial_no(),
        format_rfc3339_beijing(certificate.not_after()),
    );
    let change = MerchantChange {
        signer_certificate: Some(certified(certificate, Some(signs))),
        removes_sealed_signer,
        ..MerchantChange::default()
    };
    match table.change_merchant(&change).await {
        Ok(()) => {
            println!("Certificate {serial_no}, which ends {ends}, is registered. {WHO_NAMES_IT}");
            Ok(())
        }
        Err(ChangeError::Incomplete(what)) => {
            println!(
                "Certificate {serial_no} is not registered, since this merchant has {what} yet. Next: `cargo client \
                 setup merchant --merchant-certificate-file FILE --apiv3-key-file FILE --wechatpay-public-key ID=FILE`"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The request goes to standard output and nothing else does.
async fn csr(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = ["mchid", SIGNING_KEY, "merchant-name", PROFILE];
    let mut args = Args::parse(raw, &options, &[])?;
    let mchid = args.setting("mchid", "WECHATPAY_MCHID")?;
    let key_id = signing_key(&mut args)?;
    let merchant_name = args.required("merchant-name")?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let kms = key_service(&account).await?;
    let described = kms.describe_key(&key_id).await?;
    signs_with_rsa_2048(&described)?;
    if described.state == PENDING_IMPORT {
        return Err(waits_for_its_import(&described.arn).into());
    }
    let public_key = kms.public_key(&key_id).await?;
    let request = CertificateRequest::new(&mchid, &merchant_name, &public_key)?;
    let signature = KmsSigner::new(kms, key_id, "")
        .sign(request.to_be_signed())
        .await?;
    if !MerchantPublicKey::from_der(&public_key)?.verifies(request.to_be_signed(), &signature) {
        return Err(
            "a signature of the KMS key does not verify with its own public key: run this again"
                .into(),
        );
    }
    print!("{}", request.signed(&signature)?);
    Ok(())
}

async fn seal(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &FILES].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let (key_file, certificate_file) = files(&mut args)?;
    args.finish()?;
    let files = MerchantFiles {
        merchant_key: Some(key_file),
        merchant_certificate: Some(certificate_file),
        ..MerchantFiles::default()
    };
    match change_merchant(&deployment.keys_table().await?, &files).await {
        Ok(()) => {}
        Err(SetupError::Merchant(ChangeError::Incomplete(what))) => {
            return Err(format!(
                "nothing was sealed, since this merchant has {what} yet. Next: `cargo client setup merchant \
                 --merchant-key-file FILE --merchant-certificate-file FILE --apiv3-key-file FILE \
                 --wechatpay-public-key ID=FILE`, which seals the key, too"
            )
            .into());
        }
        Err(error) => return Err(error.into()),
    }
    println!(
        "The private key lies sealed with its certificate's number. A stack with MerchantSigner=sealed signs with it \
         within a minute. {WHO_NAMES_IT}"
    );
    Ok(())
}
