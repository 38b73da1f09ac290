//! The floor of a cold start: what a Lambda function costs that does nothing. It asks the Runtime
//! API for its first event over a plain socket and waits; no runtime, no allocator of its own,
//! nothing but the standard library.

use std::io::{Read, Write};
use std::net::TcpStream;

#[expect(
    clippy::disallowed_methods,
    reason = "a function's settings are read through a library that this program must not link"
)]
fn main() -> std::io::Result<()> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(&host)?;
    // In one piece: written in several, the later ones would wait for the first to be acknowledged.
    let request =
        format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut event = Vec::new();
    stream.read_to_end(&mut event)?;
    Ok(())
}
