//! The merchant's back end, by the bundled client's library: it makes orders, closes them,
//! gives money back, and reads all of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{ApiAnswer, Call, Client, NewOrder, NewRefund, Sender, Settings, SignedCall};
use runtime::clock::Clock;
use runtime::random::Random;

use crate::failure::Failure;
use crate::state::StateDir;

/// The settings file that `cargo client` reads.
const FILE: &str = "client.json";

/// The id of the client whose orders these are.
pub(crate) const CLIENT_ID: &str = "local-shop";

/// Calls the API with one client key.
pub(crate) struct ApiCaller {
    client: Client,
    sender: Sender,
    keyid: String,
    secret: Vec<u8>,
    clock: Clock,
    random: Random,
}

impl ApiCaller {
    /// The client of earlier runs, or a new one; its settings file then names this run's `url`.
    ///
    /// # Errors
    /// The file is damaged or cannot be written.
    pub(crate) fn known(
        state: &StateDir,
        url: &str,
        clock: Clock,
        random: Random,
    ) -> Result<Self, Failure> {
        let api_url = url.to_owned();
        let settings = match state.read::<Settings>(FILE)? {
            Some(settings) => Settings {
                api_url,
                ..settings
            },
            None => Settings {
                api_url,
                keyid: format!("local-{}", random.id()),
                algorithm: "hmac-sha256".to_owned(),
                secret_base64: Some(STANDARD.encode(random.bytes::<32>())),
                private_key_file: None,
            },
        };
        state.write(FILE, &settings)?;
        let damaged = |error: &dyn std::error::Error| {
            Failure::because(
                format!("{FILE} is damaged (--fresh makes a new one)"),
                error,
            )
        };
        let client = Client::new(&settings, &state.join("")).map_err(|error| damaged(&error))?;
        let secret = STANDARD
            .decode(settings.secret_base64.unwrap_or_default())
            .map_err(|error| damaged(&error))?;
        let sender = Sender::new()
            .map_err(|error| Failure::because("the API client cannot be made", &error))?;
        Ok(Self {
            client,
            sender,
            keyid: settings.keyid,
            secret,
            clock,
            random,
        })
    }

    /// The name by which requests choose the key.
    pub(crate) fn keyid(&self) -> &str {
        &self.keyid
    }

    /// The shared secret, for the keys table.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// `POST /v1/orders`.
    ///
    /// # Errors
    /// There was no answer. One with any status is no error.
    pub(crate) async fn create(&self, order: &NewOrder) -> Result<ApiAnswer, Failure> {
        self.send(&create_call(order)?).await
    }

    /// `GET /v1/orders/{order_no}`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn get(&self, order_no: &str) -> Result<ApiAnswer, Failure> {
        self.send(&Call::get_order(order_no)).await
    }

    /// `POST /v1/orders/{order_no}/close`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn close(&self, order_no: &str) -> Result<ApiAnswer, Failure> {
        self.send(&Call::close_order(order_no)).await
    }

    /// `POST /v1/orders/{order_no}/refunds`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn refund(
        &self,
        order_no: &str,
        refund: &NewRefund,
    ) -> Result<ApiAnswer, Failure> {
        let call = Call::create_refund(order_no, refund)
            .map_err(|error| Failure::because("a refund is no JSON", &error))?;
        self.send(&call).await
    }

    /// `GET /v1/orders/{order_no}/refunds`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn refunds(&self, order_no: &str) -> Result<ApiAnswer, Failure> {
        self.send(&Call::list_refunds(order_no)).await
    }

    /// `GET /v1/orders/{order_no}/refunds/{refund_no}`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn get_refund(
        &self,
        order_no: &str,
        refund_no: &str,
    ) -> Result<ApiAnswer, Failure> {
        self.send(&Call::get_refund(order_no, refund_no)).await
    }

    /// `GET /v1/orders/{order_no}/events`.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn events(&self, order_no: &str) -> Result<ApiAnswer, Failure> {
        self.send(&Call::list_events(order_no)).await
    }

    /// A command for a shell that creates the order. Its signature is good for five minutes and for
    /// one time.
    ///
    /// # Errors
    /// The order cannot be signed.
    pub(crate) fn curl_create(&self, order: &NewOrder) -> Result<String, Failure> {
        Ok(self.sign(&create_call(order)?)?.curl())
    }

    async fn send(&self, call: &Call) -> Result<ApiAnswer, Failure> {
        let signed = self.sign(call)?;
        let answer = self.sender.send(&signed).await;
        answer.map_err(|error| Failure::because("the API did not answer", &error))
    }

    fn sign(&self, call: &Call) -> Result<SignedCall, Failure> {
        self.client
            .sign(call, self.clock.now(), &self.random.nonce())
            .map_err(|error| Failure::because("a request cannot be signed", &error))
    }
}

fn create_call(order: &NewOrder) -> Result<Call, Failure> {
    Call::create_order(order).map_err(|error| Failure::because("an order is no JSON", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_the_address_follows_the_run() {
        let path = std::env::temp_dir().join(format!("local-caller-test-{}", std::process::id()));
        let state = StateDir::take(&path, false).unwrap();
        let known = |url| ApiCaller::known(&state, url, Clock::system(), Random::system()).unwrap();
        let first = known("http://127.0.0.1:1");
        let second = known("http://127.0.0.1:2");
        assert_eq!(
            (first.keyid(), first.secret()),
            (second.keyid(), second.secret())
        );
        assert_eq!(first.secret().len(), 32);
        let read_by_the_client = Client::load(&state.join(FILE)).unwrap();
        assert_eq!(read_by_the_client.api().to_string(), "http://127.0.0.1:2");
        std::fs::remove_dir_all(path).unwrap();
    }
}
