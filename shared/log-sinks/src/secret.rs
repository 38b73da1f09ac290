//! What lets one into a sink, as it is sealed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bad_secret::BadSecret;
use crate::loki::{Login, Loki};
use crate::sentry::Dsn;

/// What a sink is. A stack has one of each at most.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Sentry, or what speaks its protocol: errors.
    Sentry,
    /// Grafana Loki: every line that is delivered.
    Loki,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sentry, Self::Loki];

    /// Its name in commands, in the log and in the keys table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sentry => "sentry",
            Self::Loki => "loki",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A sink with what lets one in. Its `Debug` shows none of that.
#[derive(Clone, Eq, PartialEq)]
pub enum Sink {
    Sentry(Dsn),
    Loki(Loki),
}

#[derive(Default, Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dsn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    dsn: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    secret: Option<String>,
}

impl Sink {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Sentry(_) => Kind::Sentry,
            Self::Loki(_) => Kind::Loki,
        }
    }

    /// Where requests go. Holds no secret.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Sentry(dsn) => dsn.address().to_owned(),
            Self::Loki(loki) => loki.push_address(),
        }
    }

    /// The bytes to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let sealed = match self {
            Self::Sentry(dsn) => Written {
                dsn: Some(dsn.text()),
                ..Written::default()
            },
            Self::Loki(loki) => {
                let (user, secret) = match &loki.login {
                    Login::None => (None, None),
                    Login::Basic { user, password } => (Some(user.as_str()), Some(password)),
                    Login::Bearer(token) => (None, Some(token)),
                };
                Written {
                    address: Some(&loki.address),
                    tenant: loki.tenant.as_deref(),
                    user,
                    secret: secret.map(|secret| secret.as_str()),
                    ..Written::default()
                }
            }
        };
        Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default())
    }

    /// Reads what was unsealed.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Self, BadSecret> {
        let read: Read = serde_json::from_slice(bytes).map_err(|_| BadSecret::Unreadable)?;
        let (dsn, secret) = (
            read.dsn.map(Zeroizing::new),
            read.secret.map(Zeroizing::new),
        );
        match (kind, dsn, read.address) {
            (Kind::Sentry, Some(dsn), None) => Ok(Self::Sentry(Dsn::parse(&dsn)?)),
            (Kind::Loki, None, Some(address)) => {
                let login = login(read.user, secret)?;
                Ok(Self::Loki(Loki::new(
                    &address,
                    read.tenant.as_deref(),
                    login,
                )?))
            }
            (Kind::Sentry | Kind::Loki, _, _) => Err(BadSecret::Unreadable),
        }
    }
}

fn login(user: Option<String>, secret: Option<Zeroizing<String>>) -> Result<Login, BadSecret> {
    match (user, secret) {
        (None, None) => Ok(Login::None),
        (Some(user), Some(password)) => Ok(Login::Basic { user, password }),
        (None, Some(token)) => Ok(Login::Bearer(token)),
        (Some(_), None) => Err(BadSecret::Unreadable),
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({})", self.kind().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_and_shows_nothing() {
        // With what JSON escapes.
        let secret = || Zeroizing::new("t0k3n\"\\".to_owned());
        let basic = Login::Basic {
            user: "u".to_owned(),
            password: secret(),
        };
        let loki =
            |tenant, login| Sink::Loki(Loki::new("https://loki.example", tenant, login).unwrap());
        for sink in [
            Sink::Sentry(Dsn::parse("https://t0k3n@sentry.example/42").unwrap()),
            loki(None, Login::None),
            loki(Some("shop"), basic),
            loki(None, Login::Bearer(secret())),
        ] {
            let read = Sink::from_bytes(sink.kind(), &sink.to_bytes()).unwrap();
            assert_eq!(read, sink);
            assert!(!format!("{read:?} {}", read.address()).contains("t0k3n"));
            let other = match sink.kind() {
                Kind::Sentry => Kind::Loki,
                Kind::Loki => Kind::Sentry,
            };
            let refused = Sink::from_bytes(other, &sink.to_bytes());
            assert_eq!(refused, Err(BadSecret::Unreadable));
        }
        for bytes in [
            &b"https://t0k3n@sentry.example/42"[..],
            br#"{"address":"https://loki.example","user":"u"}"#,
        ] {
            assert!(Sink::from_bytes(Kind::Loki, bytes).is_err());
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        assert_eq!(Kind::parse("syslog"), None);
    }
}
