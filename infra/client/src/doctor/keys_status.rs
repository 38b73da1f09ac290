//! `keys status`: every key that a deployment works with, how old it is, when it ends, who signs
//! with it, and what to do about one that is old or ends soon. It reads, changes nothing, and
//! unseals nothing.

mod clients;
mod key;
mod kms_key;
mod merchant;
mod report;

use std::error::Error;
use std::process::ExitCode;

use runtime::aws::Aws;
use runtime::clock::Clock;
use runtime::kms::Kms;
use stores::keys_table::KeysTable;
use stores::keys_table::overview::Overview;

use super::aws_calls::AwsCalls;
use super::report::exit_code;
use super::stack::{Stack, missing};
use super::wechat::{not_set_up, sign_with};
use crate::api::CommandResult;
use crate::args::Args;
use crate::cloud::{Account, PROFILE};
use clients::{client_key, secrets};
use key::KeyStatus;
use kms_key::symmetric;
use merchant::{apiv3_keys, certificates, private_keys, wechat_keys};
use report::{shown, text, worst};

/// The stack's symmetric keys, in the template's order.
const SYMMETRIC: [&str; 3] = ["SecretsKey", "FieldsKey", "StorageKey"];

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["stack", PROFILE], &["json"])?;
    let name = args.setting("stack", "STACK")?;
    let as_json = args.flag("json")?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let clock = Clock::system();
    let (aws, calls) = AwsCalls::beside_sdk(&account, &clock).await?;
    let Some(stack) = Stack::read(&calls, &name).await? else {
        return Err(missing(&name, calls.region()).cause.into());
    };
    let subject = format!("stack {name} in {}", calls.region());
    let keys = all(&stack, &aws, &clock).await?;
    let now = clock.now();
    if as_json {
        println!("{:#}", shown(&subject, &keys, now));
    } else {
        print!("{}", text(&subject, &keys, now));
    }
    Ok(ExitCode::from(exit_code(worst(&keys))))
}

async fn all(stack: &Stack, aws: &Aws, clock: &Clock) -> Result<Vec<KeyStatus>, Box<dyn Error>> {
    let kms = Kms::new(aws.kms());
    let table = KeysTable::new(
        aws.dynamodb(),
        stack.output("KeysTableName"),
        stack.parameter("Mchid"),
        kms.clone(),
        stack.output("SecretsKeyId"),
        clock.clone(),
    );
    let (sign_with, now) = (sign_with(stack)?, clock.now());
    let Overview {
        merchant,
        clients,
        webhooks,
    } = table.overview().await?;
    let mut keys = Vec::new();
    match &merchant {
        Some(merchant) => {
            let other_signer = stack.parameter("OtherSigner");
            keys.extend(certificates(merchant, &sign_with, other_signer, now));
            keys.extend(private_keys(stack, &kms, &sign_with, merchant, now).await?);
            keys.extend(apiv3_keys(merchant, now));
            keys.extend(wechat_keys(merchant, now));
        }
        None => keys.push(KeyStatus {
            kind: "merchant",
            id: stack.parameter("Mchid").to_owned(),
            state: "not set up".to_owned(),
            made: None,
            ends: None,
            finding: Some(not_set_up(stack)),
        }),
    }
    keys.extend(clients.iter().map(|client| client_key(client, now)));
    keys.extend(webhooks.iter().flat_map(|webhook| secrets(webhook, now)));
    for logical in SYMMETRIC {
        if let Some(key) = stack.kms_keys().find(|key| key.logical == logical) {
            keys.push(symmetric(&kms, &key).await?);
        }
    }
    keys.extend(console(stack));
    Ok(keys)
}

/// Who signs the tokens that the console takes.
fn console(stack: &Stack) -> Option<KeyStatus> {
    let issuer = stack.parameter("ConsoleIssuer");
    (!issuer.is_empty()).then(|| KeyStatus {
        kind: "console-sign-in",
        id: issuer.to_owned(),
        state: "signs the console's tokens with keys of its own; none is kept here".to_owned(),
        made: None,
        ends: None,
        finding: None,
    })
}
