//! Ports of 127.0.0.1: taken early, so that callers learn whether they are free, and served later.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// How long what is being answered may take once the end was asked for.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A port that is bound but not served yet: connections wait.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    number: u16,
}

/// What is served on a port.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Port {
    /// Takes the API's port; 0 takes a free one.
    ///
    /// # Errors
    /// It is in use.
    pub(crate) async fn of_the_api(number: u16) -> Result<Self, Failure> {
        Self::bind(number).await.map_err(|error| {
            if error.kind() == ErrorKind::AddrInUse {
                Failure::new(format!(
                    "port {number} on 127.0.0.1 is in use, so the API cannot listen there; choose another with --port"
                ))
            } else {
                Failure::because(format!("cannot listen on 127.0.0.1:{number}"), &error)
            }
        })
    }

    /// Takes a port; 0 takes a free one.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn bind(number: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).await?;
        let number = listener.local_addr()?.port();
        Ok(Self { listener, number })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.number)
    }

    /// Serves the app, until it is stopped or dropped. `name` is used in errors.
    pub(crate) fn serve(self, app: Router, name: &'static str) -> Serving {
        let (stop, stopped) = oneshot::channel();
        let served = axum::serve(self.listener, app).with_graceful_shutdown(async {
            // A dropped sender means stop, too.
            drop(stopped.await);
        });
        let task = tokio::spawn(async move {
            if let Err(error) = served.await {
                eprintln!("{name} ended: {error}");
            }
        });
        Serving { stop, task }
    }
}

impl Serving {
    /// Accepts no more requests. An idle open connection does not delay this.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let Self { mut task, .. } = self;
        if tokio::time::timeout(STOP_LIMIT, &mut task).await.is_err() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_reported_with_the_flag_that_changes_it() {
        let taken = Port::of_the_api(0).await.unwrap();
        let message = Port::of_the_api(taken.number)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&taken.number.to_string()) && message.contains("--port"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_port_that_was_stopped_is_free() {
        let port = Port::bind(0).await.unwrap();
        let number = port.number;
        port.serve(Router::new(), "a test").stop().await;
        assert!(Port::bind(number).await.is_ok());
    }
}
