//! The settings file: where the API is and with which key to sign.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_signatures::{
    Algorithm, KeyError, Params, Profile, Request, SignError, SigningKey, sign,
};
use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::UnixSeconds;
use zeroize::Zeroizing;

use crate::api_url::{ApiUrl, ApiUrlError};
use crate::call::Call;
use crate::signed::SignedCall;

/// The file as it is written: JSON.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The API's origin, such as `https://api.example.com`.
    pub api_url: String,
    /// The key's id, as registered.
    pub keyid: String,
    /// `hmac-sha256`, `ed25519` or `rsa-v1_5-sha256`.
    pub algorithm: String,
    /// For `hmac-sha256`: the secret, Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_base64: Option<String>,
    /// For the others: a PEM file (`BEGIN PRIVATE KEY`), its path relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
}

/// Does not show the secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("api_url", &self.api_url)
            .field("keyid", &self.keyid)
            .field("algorithm", &self.algorithm)
            .field("private_key_file", &self.private_key_file)
            .finish_non_exhaustive()
    }
}

/// Why there are no usable settings, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(
        "the settings {path} cannot be read ({source}); `cargo local` writes them for the local stack, \
         `cargo client setup client` for a deployment, or name another file with --settings"
    )]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file is not the JSON it should be.
    #[error("the settings {path} are not the JSON they should be: {source}")]
    Json {
        path: PathBuf,
        /// Where and why.
        source: strict_json::Wrong,
    },
    /// `api_url` is none.
    #[error("`api_url`: {0}")]
    ApiUrl(#[source] ApiUrlError),
    /// `algorithm` is unknown.
    #[error("`algorithm` is `{0}`; it must be hmac-sha256, ed25519 or rsa-v1_5-sha256")]
    Algorithm(String),
    /// The key for the algorithm is missing, or one for another is there.
    #[error("{algorithm} needs `{needed}` and not `{other}`")]
    WrongKey {
        algorithm: Algorithm,
        /// The setting it needs.
        needed: &'static str,
        /// The setting it must not have.
        other: &'static str,
    },
    /// The secret is not Base64.
    #[error("`secret_base64` is not Base64")]
    NotBase64,
    /// The private key's file cannot be read.
    #[error("`private_key_file` {path} cannot be read: {source}")]
    KeyFile {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The key is not usable.
    #[error("the key: {0}")]
    Key(#[source] KeyError),
}

/// Signs calls for one API with one key.
#[derive(Debug)]
pub struct Client {
    api: ApiUrl,
    keyid: String,
    key: SigningKey,
}

impl Client {
    /// Reads a settings file.
    ///
    /// # Errors
    /// [`SettingsError`] says what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let read = |source| SettingsError::Read {
            path: path.to_owned(),
            source,
        };
        let text = Zeroizing::new(fs::read(path).map_err(read)?);
        let json = |source| SettingsError::Json {
            path: path.to_owned(),
            source,
        };
        let settings: Settings = strict_json::read(&text, Null::Absent).map_err(json)?;
        Self::new(&settings, path.parent().unwrap_or(Path::new("")))
    }

    /// Takes settings whose files are named relative to `folder`.
    ///
    /// # Errors
    /// [`SettingsError`] says what is wrong with them.
    pub fn new(settings: &Settings, folder: &Path) -> Result<Self, SettingsError> {
        let api = ApiUrl::parse(&settings.api_url).map_err(SettingsError::ApiUrl)?;
        let algorithm = Algorithm::parse(&settings.algorithm)
            .ok_or_else(|| SettingsError::Algorithm(settings.algorithm.clone()))?;
        Ok(Self {
            api,
            keyid: settings.keyid.clone(),
            key: read_key(algorithm, settings, folder)?,
        })
    }

    #[must_use]
    pub fn api(&self) -> &ApiUrl {
        &self.api
    }

    /// Signs a call as the API's contract asks for. `nonce` must be new for each call; it goes into
    /// those that change something. The result is good for 300 s.
    ///
    /// # Errors
    /// The call or the key's id holds something that cannot be signed.
    pub fn sign(
        &self,
        call: &Call,
        now: UnixSeconds,
        nonce: &str,
    ) -> Result<SignedCall, SignError> {
        let (path, query) = match call.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (call.target.as_str(), None),
        };
        let headers: Vec<(&str, &[u8])> = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = Request {
            method: &call.method,
            scheme: self.api.scheme(),
            authority: self.api.authority(),
            path,
            query,
            headers: &headers,
            body: call.body.as_bytes(),
        };
        let profile = Profile::MERCHANT_API;
        let nonce = profile.needs_nonce(&request).then_some(nonce);
        let params = Params {
            keyid: &self.keyid,
            created_s: now.0,
            expires_s: None,
            nonce,
        };
        let fields = sign(&request, &params, &self.key, &profile)?;
        let added = fields
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(SignedCall {
            method: call.method.clone(),
            url: format!("{}{}", self.api, call.target),
            headers: call.headers.iter().cloned().chain(added).collect(),
            body: call.body.clone(),
            is_loopback: self.api.is_loopback(),
        })
    }
}

fn read_key(
    algorithm: Algorithm,
    settings: &Settings,
    folder: &Path,
) -> Result<SigningKey, SettingsError> {
    let wrong = |needed, other| SettingsError::WrongKey {
        algorithm,
        needed,
        other,
    };
    match (
        algorithm,
        &settings.secret_base64,
        &settings.private_key_file,
    ) {
        (Algorithm::HmacSha256, Some(secret), None) => {
            let secret = STANDARD
                .decode(secret)
                .map(Zeroizing::new)
                .map_err(|_| SettingsError::NotBase64)?;
            SigningKey::from_secret(&secret).map_err(SettingsError::Key)
        }
        (Algorithm::Ed25519 | Algorithm::RsaV15Sha256, None, Some(file)) => {
            let path = folder.join(file);
            let pem = fs::read_to_string(&path).map(Zeroizing::new);
            let pem = pem.map_err(|source| SettingsError::KeyFile { path, source })?;
            SigningKey::from_private_key_pem(algorithm, &pem).map_err(SettingsError::Key)
        }
        (Algorithm::HmacSha256, ..) => Err(wrong("secret_base64", "private_key_file")),
        (Algorithm::Ed25519 | Algorithm::RsaV15Sha256, ..) => {
            Err(wrong("private_key_file", "secret_base64"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            api_url: "http://127.0.0.1:8080".to_owned(),
            keyid: "shop-1".to_owned(),
            algorithm: "hmac-sha256".to_owned(),
            secret_base64: Some(STANDARD.encode([7; 32])),
            private_key_file: None,
        }
    }

    fn refusal(settings: &Settings) -> String {
        Client::new(settings, Path::new("/nowhere"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_fault_in_the_settings_names_the_setting_and_what_it_needs() {
        assert!(Client::new(&settings(), Path::new("")).is_ok());
        let file = Some(PathBuf::from("key.pem"));
        for (faulty, says) in [
            (
                Settings {
                    api_url: "shop.example".to_owned(),
                    ..settings()
                },
                "`api_url`: `shop.example` does not begin with https",
            ),
            (
                Settings {
                    algorithm: "rsa".to_owned(),
                    ..settings()
                },
                "`algorithm` is `rsa`",
            ),
            (
                Settings {
                    secret_base64: None,
                    ..settings()
                },
                "hmac-sha256 needs `secret_base64`",
            ),
            (
                Settings {
                    private_key_file: file.clone(),
                    ..settings()
                },
                "not `private_key_file`",
            ),
            (
                Settings {
                    algorithm: "ed25519".to_owned(),
                    ..settings()
                },
                "ed25519 needs `private_key_file`",
            ),
            (
                Settings {
                    secret_base64: Some("?".to_owned()),
                    ..settings()
                },
                "`secret_base64` is not Base64",
            ),
            (
                Settings {
                    secret_base64: Some("AAAA".to_owned()),
                    ..settings()
                },
                "32 to 1024 bytes",
            ),
            (
                Settings {
                    algorithm: "ed25519".to_owned(),
                    secret_base64: None,
                    private_key_file: file,
                    ..settings()
                },
                "/nowhere/key.pem cannot be read",
            ),
        ] {
            assert!(refusal(&faulty).contains(says), "{}", refusal(&faulty));
        }
    }

    #[test]
    fn a_missing_file_says_who_writes_it() {
        let error = Client::load(Path::new("/nowhere/client.json"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/client.json") && error.contains("cargo local"),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_setting_is_found() {
        let error = strict_json::read::<Settings>(
            br#"{"api_url":"x","keyid":"k","algorithm":"a","secret":"s"}"#,
            Null::Absent,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("`secret` is no member that is known here")
        );
    }

    #[test]
    fn the_secret_is_never_shown() {
        let secret = STANDARD.encode([7; 32]);
        let client = Client::new(&settings(), Path::new("")).unwrap();
        assert!(!format!("{:?} {client:?}", settings()).contains(&secret));
    }
}
