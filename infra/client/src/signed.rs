//! A signed call, also as a `curl` command.

use std::fmt;

/// A call with all its header fields, ready to be sent as it is.
#[derive(Clone, Eq, PartialEq)]
pub struct SignedCall {
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Header fields, those of the signature included.
    pub headers: Vec<(String, String)>,
    /// The body; empty if there is none.
    pub body: String,
    /// Whether the API is on this machine, so that no proxy is asked.
    pub is_loopback: bool,
}

impl SignedCall {
    /// A command for a POSIX shell that sends this very call and shows the whole answer.
    #[must_use]
    pub fn curl(&self) -> String {
        // curl would otherwise tidy up the path and expand brackets: no longer what was signed.
        let mut command =
            String::from("curl --silent --show-error --include --path-as-is --globoff");
        if self.is_loopback {
            command.push_str(" --noproxy '*'");
        }
        let mut argument = |name: &str, value: &str| {
            command.push_str(" \\\n  ");
            command.push_str(name);
            command.push(' ');
            command.push_str(&quoted(value));
        };
        argument("--request", &self.method);
        for (name, value) in &self.headers {
            argument("--header", &format!("{name}: {value}"));
        }
        if !self.body.is_empty() {
            argument("--data-raw", &self.body);
        }
        argument("--url", &self.url);
        command
    }
}

/// Leaves out the body, as [`crate::Call`] does, and the signature.
impl fmt::Debug for SignedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedCall")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_quotes_whatever_is_in_it() {
        let call = SignedCall {
            method: "POST".to_owned(),
            url: "https://api.example.com/v1/orders?a=[1]&b=$x".to_owned(),
            headers: vec![("Signature".to_owned(), "sig1=:AA==:".to_owned())],
            body: r#"{"description":"Granny's `tea`"}"#.to_owned(),
            is_loopback: false,
        };
        assert_eq!(
            call.curl(),
            r#"curl --silent --show-error --include --path-as-is --globoff \
  --request 'POST' \
  --header 'Signature: sig1=:AA==:' \
  --data-raw '{"description":"Granny'\''s `tea`"}' \
  --url 'https://api.example.com/v1/orders?a=[1]&b=$x'"#
        );
    }
}
