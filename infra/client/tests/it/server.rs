//! A server of a few lines: reads one request after the other and answers with its verdict on the
//! signature.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_signatures::{Profile, Request, VerifyingKey, claim, verify};
use runtime::clock::Clock;
use serde_json::json;

/// Starts the server on a free port. It ends with the test.
pub(crate) fn start(key: VerifyingKey) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &key);
        }
    });
    address
}

fn answer(mut stream: TcpStream, key: &VerifyingKey) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let first = line(&mut reader);
    let [method, target, _version] = first.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let mut fields = Vec::new();
    loop {
        let field = line(&mut reader);
        let Some((name, value)) = field.split_once(':') else {
            break;
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let field = |wanted: &str| {
        fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    };
    let mut body = vec![0; field("content-length").unwrap_or("0").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();

    let headers: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let request = Request {
        method,
        scheme: "https",
        authority: field("host").unwrap(),
        path,
        query,
        headers: &headers,
        body: &body,
    };
    let profile = Profile::MERCHANT_API;
    let verdict = claim(&request, &profile).and_then(|claim| {
        verify(&request, &claim, key, Clock::system().now().0, &profile).map(|()| claim)
    });
    let (status, answer) = match verdict {
        Ok(claim) => (
            "201 Created",
            json!({
                "call": format!("{method} {target}"),
                "keyid": claim.keyid,
                "idempotency_key": field("idempotency-key"),
                "body": String::from_utf8(body).unwrap(),
            }),
        ),
        Err(refusal) => ("401 Unauthorized", json!({ "code": refusal.name() })),
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /there\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream
        .write_all(format!("{head}{answer}").as_bytes())
        .unwrap();
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// A PEM text with lines of 64 characters, as RFC 7468 asks for.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text: Vec<char> = STANDARD.encode(der).chars().collect();
    let lines: Vec<String> = text.chunks(64).map(|line| line.iter().collect()).collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
