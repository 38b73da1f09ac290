//! As much of an HTTP/1.1 server as a canned service needs: keep-alive, bodies of a known length, a
//! thread for each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::failure::{ErrorContext, MeasureResult};

/// A request as it was read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When its last byte was read.
    pub(crate) read_at: Instant,
}

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A server on a free port of the loopback address. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Request {
    /// A header's value by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads one request; `None` when the connection was closed between two.
    fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let Some(path) = words.nth(1) else {
            return Err(io::Error::other("no request line"));
        };
        let mut headers = Vec::new();
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            path,
            headers,
            body: Vec::new(),
            read_at: Instant::now(),
        };
        if request
            .header("transfer-encoding")
            .is_some_and(|value| value.contains("chunked"))
        {
            request.body = read_chunks(stream)?;
        } else if let Some(length) = request.header("content-length") {
            request.body = vec![0; length.parse().map_err(io::Error::other)?];
            stream.read_exact(&mut request.body)?;
        }
        request.read_at = Instant::now();
        Ok(Some(request))
    }
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        stream.take(size).read_to_end(&mut body)?;
        line.clear();
        stream.read_line(&mut line)?; // the end of the chunk, or of the (empty) trailers
        if size == 0 {
            return Ok(body);
        }
    }
}

impl Response {
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self {
            status,
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    /// The same with one header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} Canned\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes) // one packet, as far as possible
    }
}

impl Server {
    /// Starts to answer. `handle` may take its time; it is called for one request of each
    /// connection at a time, and closes the connection by giving `None`.
    pub(crate) fn start(
        handle: impl Fn(Request) -> Option<Response> + Send + Sync + 'static,
    ) -> MeasureResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").during("opening a port")?;
        let address = listener.local_addr().during("opening a port")?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (handle, stopping) = (Arc::new(handle), Arc::clone(&stopped));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                let handle = Arc::clone(&handle);
                // A connection that breaks is the client's end, as when it is killed.
                thread::spawn(move || serve(&stream, handle.as_ref()).unwrap_or_default());
            }
        });
        Ok(Self {
            address,
            stopped,
            accepting: Some(accepting),
        })
    }

    /// `127.0.0.1:<port>`
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(stream: &TcpStream, handle: &impl Fn(Request) -> Option<Response>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BufReader::new(stream), stream);
    while let Some(request) = Request::read(&mut input)? {
        let Some(answer) = handle(request) else { break };
        answer.write(&mut output)?;
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Accepting waits for a connection; this one wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Request {
        Request::read(&mut text.as_bytes())
            .expect("readable")
            .expect("a request")
    }

    #[test]
    fn bodies_are_read_by_length_and_by_chunks() {
        let plain =
            read("POST /a?b HTTP/1.1\r\nContent-Length: 3\r\nX-Amz-Target: T\r\n\r\nabcdef");
        assert_eq!(plain.path, "/a?b");
        assert_eq!(plain.header("x-amz-target"), Some("T"));
        assert_eq!(plain.body, b"abc");
        let chunked = read(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!(chunked.body, b"abcde");
    }

    #[test]
    fn a_connection_serves_many_requests_and_ends_with_the_client() {
        let server =
            Server::start(|request| Some(Response::json(200, request.path))).expect("a server");
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        for path in ["/1", "/2"] {
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").expect("sent");
            let mut answer = [0; 512];
            let length = stream.read(&mut answer).expect("an answer");
            let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
            assert!(
                answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(path),
                "{answer}"
            );
        }
    }
}
