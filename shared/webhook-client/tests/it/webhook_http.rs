//! Sending webhooks to receivers that are slow, send long bodies, redirect, or have forbidden
//! addresses.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::clock::Clock;
use runtime::net::{Reach, WebhookUrl};
use webhook_client::{NoAnswer, WebhookHttp};

const LONG: Duration = Duration::from_secs(10);

/// A receiver that answers each connection's request with these bytes, and then does `afterwards`
/// with the connection.
struct Receiver {
    port: u16,
    requests: mpsc::Receiver<String>,
}

impl Receiver {
    fn start(answer: String, afterwards: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let request = read_request(&mut stream);
                if sender.send(request).is_err() {
                    return; // the test is over
                }
                // A sender that has read enough may be gone.
                drop(stream.write_all(answer.as_bytes()));
                afterwards(stream);
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> WebhookUrl {
        local(&format!("http://127.0.0.1:{}/hooks?token=t0k3n", self.port))
    }

    fn received(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"{}") {
        match stream.read(&mut chunk).expect("a request") {
            0 => break,
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    String::from_utf8(request).expect("text")
}

fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
}

fn local(url: &str) -> WebhookUrl {
    WebhookUrl::parse(url, Reach::PublicAndLoopback).expect("a URL")
}

async fn post(url: &WebhookUrl, within: Duration) -> Result<u16, NoAnswer> {
    let sender = WebhookHttp::new(Reach::PublicAndLoopback, Clock::system());
    let headers = [("webhook-id", "ORDER-1_2")].into_iter();
    sender.post(url, headers, "{}".to_owned(), within).await
}

#[tokio::test]
async fn the_receiver_gets_a_json_post_with_the_headers_and_its_status_is_returned() {
    for status in [200, 204, 301, 410, 500] {
        let receiver = Receiver::start(answer(&format!("{status} X")), drop);
        assert_eq!(
            post(&receiver.url(), LONG).await.expect("an answer"),
            status
        );
        let received = receiver.received();
        let [request] = received.as_slice() else {
            panic!("{received:?}")
        };
        assert!(
            request.starts_with("POST /hooks?token=t0k3n HTTP/1.1\r\n"),
            "{request}"
        );
        for line in [
            "content-type: application/json\r\n",
            "webhook-id: ORDER-1_2\r\n",
            "user-agent: wechatpay-on-lambda/",
        ] {
            assert!(request.contains(line), "{line} is not in {request}");
        }
        assert!(request.ends_with("\r\n\r\n{}"), "{request}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(answer("200 OK"), drop);
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let redirect = format!(
            "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
            elsewhere.port
        );
        let receiver = Receiver::start(redirect, drop);
        let answered = post(&receiver.url(), LONG).await.expect("an answer");
        assert!((301..=308).contains(&answered));
        assert_eq!(receiver.received().len(), 1);
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up_in_time() {
    let receiver = Receiver::start(String::new(), |stream| {
        thread::sleep(LONG);
        drop(stream);
    });
    let began = Instant::now();
    let failure = post(&receiver.url(), Duration::from_millis(300)).await;
    assert!(matches!(failure, Err(NoAnswer::TimedOut)), "{failure:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_owned();
    let receiver = Receiver::start(head, |mut stream| {
        // Ends when the sender hangs up.
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let began = Instant::now();
    assert_eq!(post(&receiver.url(), LONG).await.expect("an answer"), 200);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_status_counts_although_the_body_stalls_or_breaks_off() {
    for stall in [Duration::ZERO, LONG] {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfour".to_owned();
        let receiver = Receiver::start(head, move |stream| {
            thread::sleep(stall);
            drop(stream);
        });
        let answered = post(&receiver.url(), Duration::from_millis(300)).await;
        assert_eq!(answered.expect("an answer"), 200);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer_and_shows_no_url() {
    let receiver = Receiver::start(String::new(), drop);
    let failure = post(&receiver.url(), LONG).await.expect_err("no answer");
    assert!(matches!(failure, NoAnswer::Unreachable(_)), "{failure:?}");
    let shown = format!("{failure:?} {}", testbed::chain(&failure));
    assert!(!shown.contains("t0k3n"), "{shown}");
}

#[tokio::test]
async fn a_name_that_leads_into_this_machine_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let text = format!("https://localhost:{port}/hooks?token=t0k3n");
    let url = WebhookUrl::parse(&text, Reach::Public).expect("the text says nothing wrong");
    let sender = WebhookHttp::new(Reach::Public, Clock::system());
    let failure = sender
        .post(&url, std::iter::empty(), "{}".to_owned(), LONG)
        .await
        .expect_err("refused");
    assert!(matches!(failure, NoAnswer::NoPublicAddress), "{failure:?}");
    assert_eq!(
        listener.accept().expect_err("nobody came").kind(),
        ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_sender_for_the_internet_speaks_https_alone() {
    let receiver = Receiver::start(answer("200 OK"), drop);
    let sender = WebhookHttp::new(Reach::Public, Clock::system());
    // Even if the URL was let through: the client checks the address itself.
    let refused = sender
        .post(&receiver.url(), std::iter::empty(), "{}".to_owned(), LONG)
        .await;
    assert!(refused.is_err());
    assert!(receiver.received().is_empty());
}
