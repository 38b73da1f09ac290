//! `setup webhook`: the URL and secret of a client's webhook.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;

use runtime::net::{Reach, WebhookUrl};
use runtime::random::Random;
use standard_webhooks::Secret;
use stores::keys_table::{KeysError, KeysTable, overview::ClientOverview};
use zeroize::Zeroizing;

use crate::args::{Args, UsageError};
use crate::deployment::{DEPLOYMENT, Deployment};
use crate::secret_file::SecretFile;

/// What the command line says of the secret.
struct SecretSource {
    /// The operator's own.
    given: Option<String>,
    /// Whether one is made although there is one.
    is_new: bool,
    /// Where one that is made is written to.
    goes_to: Option<PathBuf>,
    /// Whether one that is made is shown on the terminal.
    is_shown: bool,
}

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = ["client", "url", "secret-file", "secret-to"];
    let flags = ["off", "new-secret", "show-secret", "before-its-key"];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &flags)?;
    let deployment = Deployment::read(&mut args)?;
    let client_id = args.required("client")?;
    let url = args.optional("url")?;
    let wanted = SecretSource {
        given: args.optional("secret-file")?,
        is_new: args.flag("new-secret")?,
        goes_to: args.optional("secret-to")?.map(PathBuf::from),
        is_shown: args.flag("show-secret")?,
    };
    let off = args.flag("off")?;
    let is_before_its_key = args.flag("before-its-key")?;
    args.finish()?;
    if off {
        if url.is_some() || wanted.says_anything() {
            return Err(UsageError::Conflict("--off takes nothing but --client").into());
        }
        let table = deployment.keys_table().await?;
        match table.remove_webhook(&client_id).await {
            Ok(()) => {}
            Err(KeysError::NoItem { .. }) => {
                return Err(format!(
                    "there is no webhook of a client {client_id}, so nothing was removed: `cargo client setup show` \
                     lists the webhooks"
                )
                .into());
            }
            Err(error) => return Err(error.into()),
        }
        println!("The webhook of {client_id} is removed; functions forget it within a minute.");
        return Ok(());
    }
    // Loopback is for a local stack. Functions on AWS never call such an address, whatever the
    // table contains.
    let url = url
        .map(|url| WebhookUrl::parse(&url, Reach::PublicAndLoopback))
        .transpose()?;
    let given = wanted.given.as_deref().map(read_secret).transpose()?;
    let table = deployment.keys_table().await?;
    let is_there = table.has_webhook(&client_id).await?;
    wanted.check(is_there, url.is_some())?;
    if !is_there && !is_before_its_key {
        has_a_key(&table, &client_id).await?;
    }
    let made = match &given {
        None if wanted.is_new || !is_there => {
            let bytes = Zeroizing::new(Random::system().bytes::<32>());
            Some(Secret::new(bytes.as_slice())?)
        }
        None | Some(_) => None,
    };
    // Written before it is registered: a signing secret without a copy for the receiver would be
    // useless.
    let mut file = None;
    if let (Some(secret), Some(path)) = (&made, &wanted.goes_to) {
        file = Some(SecretFile::create(path)?.write(&secret.to_text())?);
    }
    let secret = made.as_ref().or(given.as_ref());
    if let Err(error) = table.change_webhook(&client_id, url.as_ref(), secret).await {
        if let Some(secret) = made.as_ref().filter(|_| wanted.is_shown)
            && error.may_be_done()
        {
            println!(
                "Whether this secret was registered is not known; write it into a file of yours,"
            );
            println!("and give it once more by --secret-file:");
            println!("{}", secret.to_text().as_str());
        }
        return Err(match file {
            Some(file) => file.not_registered(
                error,
                "give it once more by --secret-file, which changes nothing if it was",
            ),
            None => error.into(),
        });
    }
    match &url {
        Some(url) => println!(
            "Changes of the orders of {client_id} are posted to {}; that counts within a minute.",
            url.host()
        ),
        None => println!(
            "Changes of the orders of {client_id} are posted to where they were; what is new counts within a minute."
        ),
    }
    println!(
        "{}",
        match (secret.is_some(), is_there) {
            (true, true) =>
                "It signs them, and a secret before it goes on beside it until the next new one.",
            (true, false) => "The new secret signs them.",
            (false, _) => "The secrets that signed them go on.",
        }
    );
    if let Some(path) = wanted.goes_to.as_ref().filter(|_| made.is_some()) {
        println!(
            "The secret to verify them with is in {} only.",
            path.display()
        );
    }
    if let Some(secret) = made.as_ref().filter(|_| wanted.is_shown) {
        println!("The secret to verify them with, which is not shown again:");
        println!("{}", secret.to_text().as_str());
    }
    Ok(())
}

/// Refuses a client that no key was ever registered for: an order of its could not be made, and so
/// nothing would ever be posted.
async fn has_a_key(table: &KeysTable, client_id: &str) -> Result<(), Box<dyn Error>> {
    let keys = table.overview().await?.clients;
    let is_its = |key: &ClientOverview| key.client_id.as_deref() == Some(client_id);
    if keys.iter().any(is_its) {
        return Ok(());
    }
    let of_the_key = keys.iter().find(|key| key.keyid == client_id);
    let what = match of_the_key.and_then(|key| key.client_id.as_deref()) {
        Some(owner) => {
            format!("{client_id} is a key, of the client {owner}: --client {owner}")
        }
        None => {
            let clients: BTreeSet<&str> = keys
                .iter()
                .filter_map(|key| key.client_id.as_deref())
                .collect();
            let clients: Vec<&str> = clients.into_iter().collect();
            let clients = match clients.as_slice() {
                [] => "nobody".to_owned(),
                clients => clients.join(", "),
            };
            format!("there is no key of a client {client_id}, only of {clients}")
        }
    };
    Err(format!(
        "{what}. Nothing was set up; --before-its-key sets up a webhook whose client gets its key later"
    )
    .into())
}

impl SecretSource {
    fn says_anything(&self) -> bool {
        self.given.is_some() || self.is_new || self.goes_to.is_some() || self.is_shown
    }

    /// Refuses contradictory options, and a new secret that would not be stored.
    fn check(&self, is_there: bool, has_url: bool) -> Result<(), UsageError> {
        if self.given.is_some() && self.is_new {
            return Err(UsageError::Conflict(
                "give --secret-file or --new-secret, not both",
            ));
        }
        if !has_url && !is_there {
            return Err(UsageError::Missing(
                "this client has no webhook yet: --url".to_owned(),
            ));
        }
        if !has_url && self.given.is_none() && !self.is_new {
            return Err(UsageError::Missing(
                "--url, --new-secret, --secret-file or --off".to_owned(),
            ));
        }
        let is_made = self.given.is_none() && (self.is_new || !is_there);
        let has_a_place = self.goes_to.is_some() || self.is_shown;
        match (is_made, has_a_place) {
            (true, false) => Err(UsageError::Missing(
                "a secret is made, and where it goes to, --secret-to FILE or --show-secret,"
                    .to_owned(),
            )),
            (false, true) => Err(UsageError::Conflict(
                "no secret is made here that could be written or shown; --new-secret makes one",
            )),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

/// Reads `whsec_...` from a file; an editor's line break at its end does not count. Not from the
/// command line, which is seen by every process of the machine.
fn read_secret(path: &str) -> Result<Secret, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
    Ok(Secret::parse(text.trim_end_matches(['\r', '\n']))?)
}
