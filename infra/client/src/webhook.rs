//! `setup webhook`: where and with what a client's systems are told of changes.

use std::error::Error;

use adapters::random::Random;
use adapters::webhook_http::{Reach, WebhookUrl};
use standard_webhooks::Secret;
use zeroize::Zeroizing;

use crate::args::{Args, UsageError};
use crate::register::{DEPLOYMENT, keys_table};

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = ["client", "url", "secret-file"];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &["off"])?;
    let table = keys_table(&mut args)?;
    let client_id = args.required("client")?;
    let (url, secret_file) = (args.optional("url")?, args.optional("secret-file")?);
    let off = args.flag("off")?;
    args.finish()?;
    if off {
        if url.is_some() || secret_file.is_some() {
            return Err(UsageError::Conflict("--off takes neither --url nor --secret-file").into());
        }
        table.remove_webhook(&client_id).await?;
        println!("The webhook of {client_id} is removed; functions forget it within a minute.");
        return Ok(());
    }
    let url = url.ok_or_else(|| UsageError::Missing("--url, or --off,".to_owned()))?;
    // Loopback is for a local stack. Functions on AWS call no such address, whatever stands in the table.
    let url = WebhookUrl::parse(&url, Reach::PublicAndLoopback)?;
    let (secret, is_new) = match secret_file {
        Some(path) => (read_secret(&path)?, false),
        None => {
            let bytes = Zeroizing::new(Random::system().bytes::<32>());
            (Secret::new(bytes.as_slice())?, true)
        }
    };
    table.put_webhook(&client_id, &url, &secret).await?;
    println!(
        "Changes of the orders of {client_id} are posted to {}; that counts within a minute. A secret from before goes on \
         signing beside the new one.",
        url.host()
    );
    if is_new {
        println!("The secret to verify them with, which is not shown again:");
        println!("{}", secret.to_text().as_str());
    }
    Ok(())
}

/// Reads `whsec_...` from a file; an editor's line break at its end does not count. Not from the command line, which is seen
/// by every process of the machine.
fn read_secret(path: &str) -> Result<Secret, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
    Ok(Secret::parse(text.trim_end_matches(['\r', '\n']))?)
}
