//! The floor of a cold start: what a Lambda function costs that does nothing. It asks the Runtime API for its first
//! event over a plain socket and waits; no runtime, no allocator of its own, nothing but the standard library.

use std::io::{Read, Write};
use std::net::TcpStream;

#[expect(
    clippy::disallowed_methods,
    reason = "a function's settings are read through a library that this program must not link"
)]
fn main() -> std::io::Result<()> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(&host)?;
    write!(
        stream,
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {host}\r\n\r\n"
    )?;
    let mut event = Vec::new();
    stream.read_to_end(&mut event)?;
    Ok(())
}
