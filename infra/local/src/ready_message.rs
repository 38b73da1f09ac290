//! What a person can do with the stack while it runs.

use std::fmt;
use std::path::Path;

use crate::product::AMOUNT_FEN;

/// The text that is printed when everything is up. It ends with a request that is signed for now.
#[derive(Debug)]
pub(crate) struct ReadyMessage<'a> {
    pub(crate) state: &'a Path,
    /// The settings file of `cargo client`.
    pub(crate) settings: &'a Path,
    pub(crate) api_url: &'a str,
    pub(crate) phone_url: &'a str,
    pub(crate) webhooks_url: &'a str,
    pub(crate) engine_url: &'a str,
    pub(crate) engine_log: &'a Path,
    /// A signed request as a command.
    pub(crate) curl: &'a str,
}

impl fmt::Display for ReadyMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.display();
        let client = |words: &str| format!("cargo client {words} --settings {settings}");
        let create = format!(
            "create --product native --amount-fen {AMOUNT_FEN} --description 'A cup of tea'"
        );
        writeln!(
            f,
            "\nRunning until Ctrl-C. Data stays in {}\n\
             \n  API       {}\n  phone     {}   a person pays here\n  console   {}/console   \
             the day's bills against the books\n  alarms    {}/alarms   which alarms would be on at AWS, since when and why\n  webhooks  {}   what came, the newest first, as a page\n  \
             engine    {}   its log: {}\n\
             \nCreate an order with the bundled client, then pay it on the phone page:\n\
             \n  {}\n\
             \nWhat comes after, with the number that it got:\n",
            self.state.display(),
            self.api_url,
            self.phone_url,
            self.api_url,
            self.api_url,
            self.webhooks_url,
            self.engine_url,
            self.engine_log.display(),
            client(&create),
        )?;
        for (what, words) in [
            ("close it while it is unpaid", "close ORDER_NO"),
            (
                "give a part of the money back",
                "refund ORDER_NO --amount-fen 40",
            ),
            ("see what happened to it", "events ORDER_NO"),
            (
                "have the webhook of an event sent again",
                "replay ORDER_NO VERSION",
            ),
        ] {
            writeln!(f, "  {}   # {what}", client(words))?;
        }
        writeln!(
            f,
            "\nor create it with this signed request, which is good for five minutes and for one time:\n\n{}",
            self.curl
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_orders_life_has_its_line() {
        let text = ReadyMessage {
            state: Path::new(".local"),
            settings: Path::new(".local/client.json"),
            api_url: "http://127.0.0.1:8080",
            phone_url: "http://127.0.0.1:8081/phone",
            webhooks_url: "http://127.0.0.1:20001/webhooks",
            engine_url: "http://127.0.0.1:4566",
            engine_log: Path::new(".local/engine/engine.log"),
            curl: "curl --url 'http://127.0.0.1:8080/v1/orders'",
        }
        .to_string();
        for command in ["create", "close", "refund", "events", "replay"] {
            let lines = text.lines().filter(|line| {
                line.starts_with(&format!("  cargo client {command} "))
                    && line.contains(" --settings .local/client.json")
            });
            assert_eq!(lines.count(), 1, "{command}: {text}");
        }
        assert!(text.contains("webhooks  http://127.0.0.1:20001/webhooks"));
        assert!(text.contains("console   http://127.0.0.1:8080/console"));
    }
}
