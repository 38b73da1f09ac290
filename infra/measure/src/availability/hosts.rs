//! WeChat Pay's two hosts: two addresses that lead to one simulator, of which one can die.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::{ErrorContext, MeasureResult};

/// How often a host looks whether it was revived, or has to go.
const PAUSE: Duration = Duration::from_millis(5);

/// How a host is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Health {
    /// It answers.
    Well,
    /// It takes connections and requests, and answers nothing.
    Silent,
    /// It refuses connections, and those that are open break.
    Refusing,
}

/// A host. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Host(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    simulator: String,
    health: Mutex<Health>,
    requests: AtomicU64,
}

impl Host {
    /// One that leads to the simulator at this address (`127.0.0.1:8081`), for as long as this
    /// program runs.
    pub(crate) fn start(simulator: &str) -> MeasureResult<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("opening a port for a host")?;
        let host = Self(Arc::new(Shared {
            address: listener.local_addr().during("opening a port for a host")?,
            simulator: simulator.to_owned(),
            health: Mutex::new(Health::Well),
            requests: AtomicU64::new(0),
        }));
        let serving = host.clone();
        thread::spawn(move || serving.serve(listener));
        Ok(host)
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    pub(crate) fn becomes(&self, health: Health) {
        *self.health() = health;
    }

    /// How many requests came through since this was asked last.
    pub(crate) fn take_requests(&self) -> u64 {
        self.0.requests.swap(0, Ordering::SeqCst)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        let health = self.0.health.lock();
        health.unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, health: Health) -> bool {
        *self.health() == health
    }

    /// Takes connections; while the host refuses them, nobody listens.
    fn serve(&self, listener: TcpListener) {
        let mut listening = Some(listener);
        loop {
            if self.is(Health::Refusing) {
                listening = None;
                thread::sleep(PAUSE);
                continue;
            }
            let listener = match listening.take() {
                Some(listener) => Ok(listener),
                None => TcpListener::bind(self.0.address),
            };
            let taken = listener.and_then(|listener| {
                listener.set_nonblocking(true)?;
                let taken = match listener.accept() {
                    Ok((stream, _)) => Some(stream),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                    Err(error) => return Err(error),
                };
                listening = Some(listener);
                Ok(taken)
            });
            match taken {
                Ok(Some(stream)) => {
                    let host = self.clone();
                    // A connection that breaks is its ends' matter.
                    thread::spawn(move || host.pass(&stream).unwrap_or_default());
                }
                // Nobody came, or the port is not free again yet.
                Ok(None) | Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Carries bytes both ways.
    fn pass(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        let simulator = TcpStream::connect(&self.0.simulator)?;
        simulator.set_nodelay(true)?;
        let (host, back) = (self.clone(), (simulator.try_clone()?, client.try_clone()?));
        thread::spawn(move || host.carry(&back.0, &back.1, |_| {}));
        self.carry(client, &simulator, |bytes| {
            if [&b"GET "[..], b"POST "]
                .iter()
                .any(|it| bytes.starts_with(it))
            {
                self.0.requests.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(())
    }

    /// Until an end closes, or the host dies: then nothing is carried any more, and when it is well
    /// again or refuses, the connection breaks.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, note: impl Fn(&[u8])) {
        let mut buffer = [0; 16 * 1024];
        // A read that takes too long is asked again, so that a death is noticed meanwhile.
        let timed = from.set_read_timeout(Some(Duration::from_millis(50)));
        while timed.is_ok() && self.is(Health::Well) {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) if self.is(Health::Well) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    note(bytes);
                    if to.write_all(bytes).is_err() {
                        break;
                    }
                }
                // What was read as it died is lost.
                Ok(_) => {}
                Err(error) if is_only_late(&error) => {}
                Err(_) => break,
            }
        }
        while self.is(Health::Silent) {
            thread::sleep(PAUSE);
        }
        // They may be closed by now.
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    }
}

fn is_only_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Response, Server};

    fn asked(host: &Host, within: Duration) -> io::Result<String> {
        let mut stream = TcpStream::connect(host.0.address)?;
        stream.set_read_timeout(Some(within))?;
        stream.write_all(b"GET /v3 HTTP/1.1\r\n\r\n")?;
        let mut buffer = [0; 200];
        let count = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }

    #[test]
    fn a_host_answers_falls_silent_refuses_and_comes_back() {
        let simulator = Server::start(|_| Some(Response::json(200, "{}"))).expect("a server");
        let host = Host::start(&simulator.host()).expect("a host");
        let (long, short) = (Duration::from_secs(20), Duration::from_millis(300));
        assert!(asked(&host, long).expect("an answer").contains("200"));
        host.becomes(Health::Silent);
        let silence = asked(&host, short).expect_err("nothing comes");
        assert!(is_only_late(&silence), "{silence}");
        host.becomes(Health::Refusing);
        let refused = || {
            let asked = asked(&host, short);
            asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        while !refused() {
            thread::sleep(PAUSE);
        }
        host.becomes(Health::Well);
        let answered = || asked(&host, long).is_ok_and(|answer| answer.contains("200"));
        while !answered() {
            thread::sleep(PAUSE);
        }
        assert!(host.take_requests() >= 2, "those that were answered");
        assert_eq!(host.take_requests(), 0);
    }
}
