//! The AWS account that a command works in: who calls it, and where.
//!
//! Keys in the environment count first, as functions and the local stack have them. Without any, or
//! with `--profile`, the SDK searches for credentials as AWS's other programs do: in profiles, with
//! their SSO sessions, processes and roles, then in what GitHub, ECS or CloudShell put into the
//! environment. It queries no metadata service of a machine: elsewhere that only waits, and an
//! operator is a person and no machine.
//!
//! Credentials are taken once, when a command begins.

use std::borrow::Cow;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{self, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use runtime::aws::{Aws, AwsSettings, https_client};
use runtime::clock::Clock;
use runtime::env::{ProcessEnv, SettingsError, SettingsReader, Vars};

use crate::args::{Args, UsageError};
use crate::chain;

/// The profile to take credentials from: an option of every command that works in an account.
pub(crate) const PROFILE: &str = "profile";

const PROFILE_VARIABLE: &str = "AWS_PROFILE";
const KEY_VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// For a call that fetches credentials: SSO's and STS's. They answer in less than a second.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Which account, as the command line says it.
#[derive(Debug)]
pub(crate) struct Account {
    profile: Option<String>,
}

/// Why AWS cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The environment names keys, and not all that belongs to them.
    #[error(transparent)]
    Environment(#[from] SettingsError),
    #[error("{cause}: {next_step}")]
    NoRegion {
        cause: String,
        next_step: &'static str,
    },
    #[error("{cause}: {next_step}")]
    NoCredentials { cause: String, next_step: String },
    #[error(
        "{0}, the address that stands for all of AWS, is https://... or http:// to a private address"
    )]
    Endpoint(&'static str),
}

impl Account {
    /// The account of `--profile`, or of the environment.
    pub(crate) fn named(args: &mut Args) -> Result<Self, UsageError> {
        let profile = args.optional(PROFILE)?;
        Ok(Self {
            profile: profile.filter(|name| !name.is_empty()),
        })
    }

    /// Clients for it.
    pub(crate) async fn connect(&self, clock: &Clock) -> Result<Aws, AccountError> {
        Ok(Aws::new(&self.settings(clock).await?, clock))
    }

    /// How it is reached. A profile that is named on the command line goes before keys in the
    /// environment, since it may be of another account; one that the environment names does not.
    pub(crate) async fn settings(&self, clock: &Clock) -> Result<AwsSettings, AccountError> {
        if self.profile.is_none() && first_of(&KEY_VARIABLES).is_some() {
            let mut reader = SettingsReader::new(&ProcessEnv);
            let settings = AwsSettings::read(&mut reader);
            return Ok(reader.finish(|| settings)?);
        }
        let profiles = self.profiles().await?;
        let of_profile = |property: &str| {
            let profile = profiles.get_profile(profiles.selected_profile())?;
            profile.get(property).map(ToOwned::to_owned)
        };
        let region = first_of(&REGION_VARIABLES).or_else(|| of_profile("region"));
        let region = region.ok_or_else(|| AccountError::NoRegion {
            cause: format!(
                "neither AWS_REGION nor the profile {} says which region",
                profiles.selected_profile()
            ),
            next_step: "export AWS_REGION and AWS_DEFAULT_REGION",
        })?;
        let credentials = self.credentials(&profiles, &region, clock).await?;
        let (named_by, endpoint) = match first_of(&["AWS_ENDPOINT_URL"]) {
            Some(endpoint) => ("AWS_ENDPOINT_URL", Some(endpoint)),
            None => ("the profile's endpoint_url", of_profile("endpoint_url")),
        };
        AwsSettings::found(region, credentials, endpoint).ok_or(AccountError::Endpoint(named_by))
    }

    /// Whether a profile has to be there.
    fn is_named(&self) -> bool {
        self.profile.is_some() || first_of(&[PROFILE_VARIABLE]).is_some()
    }

    /// What the profiles' files say, and which profile is meant.
    async fn profiles(&self) -> Result<ProfileSet, AccountError> {
        let files = EnvConfigFiles::default();
        let chosen = self.profile.clone().map(Cow::Owned);
        let read = profile::load(&Fs::real(), &Env::real(), &files, chosen).await;
        let profiles = read.map_err(|error| AccountError::NoCredentials {
            cause: format!(
                "the files of AWS's profiles cannot be read: {}",
                chain(&error)
            ),
            next_step: "mend ~/.aws/config and ~/.aws/credentials".to_owned(),
        })?;
        let selected = profiles.selected_profile();
        if self.is_named() && profiles.get_profile(selected).is_none() {
            return Err(AccountError::NoCredentials {
                cause: format!("AWS's configuration has no profile {selected}"),
                next_step: "`aws configure list-profiles` shows which there are".to_owned(),
            });
        }
        Ok(profiles)
    }

    async fn credentials(
        &self,
        profiles: &ProfileSet,
        region: &str,
        clock: &Clock,
    ) -> Result<Credentials, AccountError> {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_timeout(CALL_LIMIT);
        let config = ProviderConfig::without_region()
            .with_region(Some(Region::new(region.to_owned())))
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(https_client())
            .with_sleep_impl(clock.clone())
            .with_time_source(clock.clone())
            .with_timeout_config(limits.build());
        let selected = profiles.selected_profile();
        let of_profile = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(selected)
            .build();
        let mut providers = CredentialsProviderChain::first_try("profile", of_profile);
        if !self.is_named() {
            let of_token = WebIdentityTokenCredentialsProvider::builder()
                .configure(&config)
                .build();
            let of_container = EcsCredentialsProvider::builder().configure(&config).build();
            providers = providers
                .or_else("web identity", of_token)
                .or_else("container", of_container);
        }
        let found = Box::pin(providers.provide_credentials()).await;
        found.map_err(|error| {
            if !self.is_named() && profiles.get_profile(selected).is_none() {
                return AccountError::NoCredentials {
                    cause: "there are no credentials for AWS".to_owned(),
                    next_step: "name a profile (--profile or AWS_PROFILE; `aws configure list-profiles` shows which there are), or \
                                set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                        .to_owned(),
                };
            }
            AccountError::NoCredentials {
                cause: format!("the profile {selected} gives no credentials: {}", chain(&error)),
                next_step: next_step(profiles, selected),
            }
        })
    }
}

/// What makes a profile give credentials again, by what it and its source profiles stand on.
fn next_step(profiles: &ProfileSet, selected: &str) -> String {
    let by_hand =
        format!("eval \"$(aws configure export-credentials --profile {selected} --format env)\"");
    let mut seen = Vec::new();
    let mut name = selected;
    while let Some(profile) = profiles.get_profile(name) {
        if profile.get("mfa_serial").is_some() {
            return format!(
                "its role may want a code (mfa_serial), for which nobody is asked here: {by_hand} asks you for it, and is taken \
                 without --profile"
            );
        }
        if profile.get("sso_session").is_some() || profile.get("sso_start_url").is_some() {
            return format!("sign in by `aws sso login --profile {name}`");
        }
        if profile.get("login_session").is_some() {
            return format!(
                "a session of `aws login` is not read here: after `aws login --profile {name}`, {by_hand} takes it over, and is taken \
                 without --profile"
            );
        }
        if profile.get("credential_process").is_some() {
            return format!(
                "run the credential_process of the profile {name} by hand, and see what it says"
            );
        }
        seen.push(name);
        match profile.get("source_profile") {
            Some(source) if !seen.contains(&source) => name = source,
            Some(_) | None => break,
        }
    }
    format!(
        "see `aws sts get-caller-identity --profile {selected}`, and what ~/.aws/config says of it"
    )
}

/// The first of these variables that has a value.
fn first_of(names: &[&str]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| ProcessEnv.get(name));
    values.find(|value| !value.is_empty())
}
