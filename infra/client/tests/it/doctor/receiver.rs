//! What stands at the stack's address: routes as API Gateway has them, and for callbacks what
//! `receive-callback` and `process-payment` do with them. Both are run for real behind the gateway
//! where the documents' commands are run (`tests/it/documents.rs`).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use stores::notices::{Notices, SettledNotice, id_of_echo};
use wechatpay::callback::{self, Plaintext};
use wechatpay::resource::ApiV3Key;
use wechatpay::verify::{SignedHeaders, VerificationKeys};

#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// GET of the callbacks' path, which has no such route.
    pub(crate) no_route: u16,
    /// The same by a person who may see it.
    pub(crate) console_with_token: u16,
    /// GET of anything of the console's.
    pub(crate) console: (u16, &'static str),
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            no_route: 404,
            console_with_token: 200,
            console: (401, ""),
        }
    }
}

/// What opens callbacks, and where they are written down.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) engine: String,
    pub(crate) table: String,
    pub(crate) mchid: String,
    pub(crate) apiv3_key: String,
    pub(crate) public_key: (String, String),
}

pub(crate) struct Receiver {
    pub(crate) base: String,
    answers: Arc<Mutex<Answers>>,
    keys: Arc<Mutex<Option<Keys>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self {
            base,
            answers: Arc::default(),
            keys: Arc::default(),
        };
        let (answers, keys) = (Arc::clone(&receiver.answers), Arc::clone(&receiver.keys));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answers = answers.lock().unwrap().clone();
                let keys = keys.lock().unwrap().clone();
                thread::spawn(move || answer(stream.unwrap(), &answers, keys));
            }
        });
        receiver
    }

    pub(crate) fn opens_with(&self, keys: Keys) {
        *self.keys.lock().unwrap() = Some(keys);
    }

    pub(crate) fn answer_as(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }
}

fn answer(mut stream: TcpStream, answers: &Answers, keys: Option<Keys>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |wanted: &str| {
        let mut fields = fields.iter();
        fields
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let mut body = vec![0; field("content-length").unwrap_or("0").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let (status, location) = match (first.starts_with("POST"), keys) {
        (true, Some(keys)) => {
            let headers = SignedHeaders::read(field).unwrap();
            (work_off(&keys, &headers, &body), "")
        }
        (true, None) => (503, ""),
        (false, _) if first.contains("/v1/callbacks/wechatpay") => (answers.no_route, ""),
        (false, _) if field("authorization") == Some("Bearer of-a-member") => {
            (answers.console_with_token, "")
        }
        (false, _) => answers.console,
    };
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
}

fn work_off(keys: &Keys, headers: &SignedHeaders, body: &[u8]) -> u16 {
    let clock = Clock::system();
    let mut verification = VerificationKeys::new();
    let (id, pem) = &keys.public_key;
    verification.add_public_key(id, pem).unwrap();
    let apiv3 = [ApiV3Key::new(keys.apiv3_key.as_bytes()).unwrap()];
    let Ok(opened) = callback::open(headers, body, &verification, &apiv3, clock.now()) else {
        return 500;
    };
    let Plaintext::SecurityEcho(echo) = opened.plaintext else {
        return 204;
    };
    let Some(notice_id) = id_of_echo(echo.echo_message.as_deref().unwrap()) else {
        return 204;
    };
    let aws = Aws::new(&AwsSettings::local(&keys.engine), &clock);
    let notices = Notices::new(aws.dynamodb(), &keys.table, &keys.mchid);
    let notice = SettledNotice {
        notice_id: &notice_id,
        order_no: None,
        event_type: &opened.event_type,
        message: "",
        retries: 0,
        now: clock.now(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(notices.settled_at_last(&notice)).unwrap();
    204
}
