//! `setup client`, `scopes`, `limit` and `revoke`: the keys of API clients, and what they may do.

use std::error::Error;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{ApiClientKey, ApiUrl, Settings, SetupError, add_client};
use message_signatures::Algorithm;
use payments::model::{
    ids::ClientId,
    permissions::{AmountLimits, LimitFen, Permissions, Scope, Scopes},
};
use runtime::random::Random;
use stores::keys_table::{
    ClientKey, KeysError, KeysTable,
    client_keys::{ClientKeyChange, NewClientKey, NewLimit},
};
use zeroize::Zeroizing;

use crate::{
    api::settings_file,
    args::{Args, UsageError},
    deployment::{DEPLOYMENT, Deployment},
    secret_file::SecretFile,
};

const SCOPES: &str = "scopes";
const ORDER_MAX: &str = "order-max-fen";
const REFUND_MAX: &str = "refund-max-fen";
/// Takes a limit away.
const NO_LIMIT: &str = "none";

pub(crate) async fn register(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "keyid",
        "client-id",
        "algorithm",
        "public-key-file",
        "api-url",
        "settings",
        SCOPES,
        ORDER_MAX,
        REFUND_MAX,
    ];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let (keyid, client_id) = (args.required("keyid")?, args.required("client-id")?);
    let chosen = ClientId::chosen(&client_id)?;
    let permissions = Permissions {
        scopes: scopes(&mut args)?.unwrap_or_else(Scopes::of_new_keys),
        limits: AmountLimits {
            order_max: given(new_limit(&mut args, ORDER_MAX)?),
            refund_max: given(new_limit(&mut args, REFUND_MAX)?),
        },
    };
    let of = NewClientKey {
        keyid: &keyid,
        client_id: chosen.as_str(),
        permissions: &permissions,
    };
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
            shared_secret(&table, of, &api_url, &path).await?;
        }
        Algorithm::Ed25519 | Algorithm::RsaV15Sha256 => {
            let file = PathBuf::from(args.required("public-key-file")?);
            args.finish()?;
            let key = ApiClientKey::Public { algorithm, file };
            add_client(&deployment.keys_table().await?, of, &key).await?;
            println!("The key {keyid} is registered; it counts within a minute.");
        }
    }
    println!("{}", may(&permissions));
    Ok(())
}

/// What a key may do, and what it may not.
fn may(permissions: &Permissions) -> String {
    let Permissions { scopes, limits } = permissions;
    let missing: Vec<&str> = Scope::ALL
        .into_iter()
        .filter(|scope| !scopes.has(*scope))
        .map(Scope::name)
        .collect();
    let mut text = format!("It may: {scopes}.");
    if !missing.is_empty() {
        let missing = missing.join(",");
        text = format!("{text} It may not: {missing} (`cargo client setup scopes` changes that).");
    }
    let AmountLimits {
        order_max,
        refund_max,
    } = limits;
    for (of, limit) in [("An order", order_max), ("A refund", refund_max)] {
        if let Some(limit) = limit {
            text = format!("{text} {of} has {} fen at most.", limit.get());
        }
    }
    text
}

fn scopes(args: &mut Args) -> Result<Option<Scopes>, Box<dyn Error>> {
    let given = args.optional(SCOPES)?;
    Ok(given.map(|list| list.parse()).transpose()?)
}

/// A limit in fen, or the word that takes it away.
fn new_limit(
    args: &mut Args,
    name: &'static str,
) -> Result<Option<NewLimit<LimitFen>>, UsageError> {
    let Some(given) = args.optional(name)? else {
        return Ok(None);
    };
    if given == NO_LIMIT {
        return Ok(Some(NewLimit::Removed));
    }
    let limit = given.parse().ok().and_then(LimitFen::new);
    let limit = limit.ok_or(UsageError::Value {
        name,
        expected: "takes a whole number of fen from 1 to 100000000000000, or none",
        given,
    })?;
    Ok(Some(NewLimit::Of(limit)))
}

fn given(limit: Option<NewLimit<LimitFen>>) -> Option<LimitFen> {
    match limit {
        Some(NewLimit::Of(limit)) => Some(limit),
        Some(NewLimit::Removed) | None => None,
    }
}

pub(crate) async fn set_scopes(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = [&DEPLOYMENT[..], &["keyid", SCOPES]].concat();
    let mut args = Args::parse(raw, &options, &[])?;
    let deployment = Deployment::read(&mut args)?;
    let keyid = args.required("keyid")?;
    let scopes: Scopes = args.required(SCOPES)?.parse()?;
    args.finish()?;
    let change = ClientKeyChange {
        scopes: Some(&scopes),
        ..ClientKeyChange::default()
    };
    change_key(&deployment.keys_table().await?, &keyid, &change).await?;
    println!("The key {keyid} may now: {scopes}. Functions go by it within a minute.");
    Ok(())
}

pub(crate) async fn set_limits(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = ["keyid", "requests-per-s", ORDER_MAX, REFUND_MAX];
    let options = [&DEPLOYMENT[..], &own].concat();
    let mut args = Args::parse(raw, &options, &["as-the-others"])?;
    let deployment = Deployment::read(&mut args)?;
    let keyid = args.required("keyid")?;
    let (own, is_common) = (
        args.number::<u32>("requests-per-s")?,
        args.flag("as-the-others")?,
    );
    let requests_per_s = match (own, is_common) {
        (Some(_), true) => {
            let either = "give --requests-per-s or --as-the-others, not both";
            return Err(UsageError::Conflict(either).into());
        }
        (Some(per_s), false) if !ClientKey::REQUESTS_PER_S.contains(&per_s) => {
            return Err(UsageError::Value {
                name: "requests-per-s",
                expected: "is 1 to 10000",
                given: per_s.to_string(),
            }
            .into());
        }
        (Some(per_s), false) => Some(NewLimit::Of(per_s)),
        (None, true) => Some(NewLimit::Removed),
        (None, false) => None,
    };
    let change = ClientKeyChange {
        scopes: None,
        requests_per_s,
        order_max: new_limit(&mut args, ORDER_MAX)?,
        refund_max: new_limit(&mut args, REFUND_MAX)?,
    };
    args.finish()?;
    if change.is_empty() {
        let what = "--requests-per-s N, --as-the-others, --order-max-fen N|none or --refund-max-fen N|none";
        return Err(UsageError::Missing(what.to_owned()).into());
    }
    change_key(&deployment.keys_table().await?, &keyid, &change).await?;
    match requests_per_s {
        Some(NewLimit::Of(per_s)) => {
            println!("The key {keyid} may send {per_s} requests a second to each function.");
        }
        Some(NewLimit::Removed) => {
            println!("The key {keyid} has the limit of all keys (ClientRateLimit).");
        }
        None => {}
    }
    for (of, limit) in [
        ("An order", change.order_max),
        ("A refund", change.refund_max),
    ] {
        match limit {
            Some(NewLimit::Of(limit)) => {
                println!("{of} by the key {keyid} has {} fen at most.", limit.get());
            }
            Some(NewLimit::Removed) => println!("{of} by the key {keyid} has any amount."),
            None => {}
        }
    }
    println!("Functions go by it within a minute.");
    Ok(())
}

/// Changes what a key may do.
async fn change_key(
    table: &KeysTable,
    keyid: &str,
    change: &ClientKeyChange<'_>,
) -> Result<(), Box<dyn Error>> {
    match table.change_client_key(keyid, change).await {
        Ok(()) => Ok(()),
        Err(KeysError::NoItem { .. }) => {
            Err(no_such_key(table, keyid, "so nothing was changed").await)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn revoke(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
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
    of: NewClientKey<'_>,
    api_url: &ApiUrl,
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let secret = Zeroizing::new(Random::system().bytes::<32>());
    let settings = Settings {
        api_url: api_url.to_string(),
        keyid: of.keyid.to_owned(),
        algorithm: Algorithm::HmacSha256.name().to_owned(),
        secret_base64: Some(STANDARD.encode(*secret)),
        private_key_file: None,
    };
    let file = SecretFile::create(path)?.write(&serde_json::to_string_pretty(&settings)?)?;
    match add_client(table, of, &ApiClientKey::Secret(secret)).await {
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
        "The key {} is registered and counts within a minute; its secret is in {} only.",
        of.keyid,
        path.display()
    );
    Ok(())
}
