//! Stands before the local engine, and changes single answers of it: what the engine cannot bring
//! about. Each change has to be met.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use runtime::clock::Clock;

/// Another answer than the engine's, to requests that hold all of these texts.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    asked: Vec<String>,
    what: What,
    /// How often it is still made; always, if there is none.
    left: Option<u32>,
}

#[derive(Clone, Debug)]
enum What {
    /// One text of the answer is another.
    Replace { from: String, to: String },
    /// The engine is not asked.
    Answer { head: String, body: String },
    /// The engine is asked for something else.
    Ask { from: String, to: String },
    /// Nobody is asked, and there is no answer.
    Hold,
}

impl Change {
    fn new(asked: &[&str], what: What) -> Self {
        Self {
            asked: asked.iter().map(ToString::to_string).collect(),
            what,
            left: None,
        }
    }

    pub(crate) fn replace(asked: &[&str], from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::new(asked, What::Replace { from, to })
    }

    pub(crate) fn ask(asked: &[&str], from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::new(asked, What::Ask { from, to })
    }

    pub(crate) fn hold(asked: &[&str]) -> Self {
        Self::new(asked, What::Hold)
    }

    /// The same, so many times only.
    pub(crate) fn times(self, times: u32) -> Self {
        Self {
            left: Some(times),
            ..self
        }
    }

    /// As AWS refuses: `named` is the header of services that are asked by a path.
    pub(crate) fn refuse(asked: &[&str], status: u16, code: &str) -> Self {
        let head = format!("HTTP/1.1 {status} Refused\r\nx-amzn-errortype: {code}:\r\n");
        let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"refused"}}"#);
        Self::new(asked, What::Answer { head, body })
    }

    pub(crate) fn answer(asked: &[&str], body: &str) -> Self {
        let (head, body) = ("HTTP/1.1 200 OK\r\n".to_owned(), body.to_owned());
        Self::new(asked, What::Answer { head, body })
    }
}

#[derive(Default)]
struct Rules {
    changes: Vec<(Change, bool)>,
    /// By how many seconds AWS's clock is ahead of ours.
    ahead_s: i64,
    /// What was asked for, by service and operation.
    calls: BTreeSet<String>,
}

pub(crate) struct Front {
    pub(crate) endpoint: String,
    rules: Arc<Mutex<Rules>>,
}

impl Front {
    /// `engine` is host and port.
    pub(crate) fn start(engine: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let rules = Arc::new(Mutex::new(Rules::default()));
        let answering = Arc::clone(&rules);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (rules, engine) = (Arc::clone(&answering), engine.clone());
                thread::spawn(move || answer(stream.unwrap(), &engine, &rules));
            }
        });
        Self { endpoint, rules }
    }

    pub(crate) fn set(&self, changes: &[Change], ahead_s: i64) {
        let changes = changes.iter().map(|change| (change.clone(), false));
        *self.rules.lock().unwrap() = Rules {
            changes: changes.collect(),
            ahead_s,
            calls: BTreeSet::new(),
        };
    }

    /// What was asked for since the changes were set: `sqs:SendMessage`, say.
    pub(crate) fn calls(&self) -> BTreeSet<String> {
        self.rules.lock().unwrap().calls.clone()
    }

    /// Whether all changes were met.
    pub(crate) fn all_are_met(&self) -> bool {
        let rules = self.rules.lock().unwrap();
        rules.changes.iter().all(|(_, was_met)| *was_met)
    }

    /// Ends the changes, all of which were met.
    #[track_caller]
    pub(crate) fn end(&self) {
        let rules = std::mem::take(&mut *self.rules.lock().unwrap());
        for (change, was_met) in rules.changes {
            assert!(
                was_met,
                "nothing was asked or answered like this: {change:?}"
            );
        }
    }

    /// The same, but for the last, which may be one of every test's.
    #[track_caller]
    pub(crate) fn end_but_the_last(&self) {
        self.rules.lock().unwrap().changes.pop();
        self.end();
    }
}

fn answer(mut stream: TcpStream, engine: &str, rules: &Mutex<Rules>) {
    let (mut head, mut body) = read(&mut stream);
    let asked = format!("{head}{}", String::from_utf8_lossy(&body));
    let is_asked = |change: &Change| {
        change.left != Some(0) && change.asked.iter().all(|text| asked.contains(text))
    };
    let mut is_held = false;
    {
        let mut rules = rules.lock().unwrap();
        rules.calls.extend(call(&asked));
        let ahead_s = rules.ahead_s;
        for (change, was_met) in &mut rules.changes {
            if !is_asked(change) {
                continue;
            }
            match &change.what {
                What::Replace { .. } => continue,
                What::Answer { head, body } => {
                    let text = format!(
                        "{head}{}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                        date(ahead_s),
                        body.len()
                    );
                    *was_met = true;
                    change.left = change.left.map(|left| left - 1);
                    // The program may have gone.
                    drop(stream.write_all(text.as_bytes()));
                    return;
                }
                What::Ask { from, to } => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    *was_met |= text.contains(from);
                    let length = format!("ontent-length: {}", body.len());
                    body = text.replace(from, to).into_bytes();
                    head = head.replace(&length, &format!("ontent-length: {}", body.len()));
                }
                What::Hold => {
                    *was_met = true;
                    is_held = true;
                }
            }
        }
    }
    if is_held {
        // Until the program is gone.
        stream.set_read_timeout(None).unwrap();
        drop(stream.read(&mut [0]));
        return;
    }
    let mut to_engine = TcpStream::connect(engine).unwrap();
    to_engine
        .write_all(format!("{head}connection: close\r\n\r\n").as_bytes())
        .unwrap();
    to_engine.write_all(&body).unwrap();
    let (mut head, mut body) = read(&mut to_engine);
    let mut rules = rules.lock().unwrap();
    for (change, was_met) in &mut rules.changes {
        if let What::Replace { from, to } = &change.what
            && is_asked(change)
        {
            let text = String::from_utf8_lossy(&body).into_owned();
            if text.contains(from) {
                *was_met = true;
                body = text.replace(from, to).into_bytes();
            }
        }
    }
    if rules.ahead_s != 0 {
        let lines = head
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        let kept: Vec<&str> = lines.collect();
        head = format!("{}\r\n{}", kept.join("\r\n"), date(rules.ahead_s));
    }
    let length = body.len();
    let whole = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n");
    // The program may have gone.
    drop(stream.write_all(whole.as_bytes()));
    drop(stream.write_all(&body));
}

/// Which permission a request takes, of those services that name their operation in it. That of a
/// batch is the single operation's.
fn call(asked: &str) -> Option<String> {
    let value = |begin: &str| {
        let (_, rest) = asked.split_once(begin)?;
        rest.split(['\r', '&', '\n']).next()
    };
    let (service, operation) = match (value("x-amz-target: "), value("Action=")) {
        (Some(target), _) => target.split_once('.')?,
        (None, Some(action)) => ("Query", action),
        (None, None) => return by_path(asked.lines().next()?),
    };
    let service = match service {
        "AmazonSQS" => "sqs",
        "TrentService" => "kms",
        "DynamoDB_20120810" => "dynamodb",
        "GraniteServiceVersion20100801" => "cloudwatch",
        "AWSEvents" => "events",
        "ServiceQuotasV20190624" => "servicequotas",
        "Query" if asked.contains("Version=2010-05-15") => "cloudformation",
        "Query" if asked.contains("Version=2010-05-08") => "iam",
        "Query" if asked.contains("Version=2010-03-31") => "sns",
        _ => return None,
    };
    let operation = operation.strip_suffix("Batch").unwrap_or(operation);
    Some(format!("{service}:{operation}"))
}

/// The operation of a service that is asked by a path.
fn by_path(first_line: &str) -> Option<String> {
    let paths = [
        ("/account-settings", "lambda:GetAccountSettings"),
        ("/event-source-mappings/", "lambda:GetEventSourceMapping"),
        ("/aliases/", "lambda:GetAlias"),
        ("/configuration", "lambda:GetFunctionConfiguration"),
        ("/concurrency", "lambda:GetFunctionConcurrency"),
        ("/schedules/", "scheduler:GetSchedule"),
        ("/v1/pipes/", "pipes:DescribePipe"),
    ];
    let mut paths = paths.iter();
    let (_, call) = paths.find(|(part, _)| first_line.contains(part))?;
    Some((*call).to_owned())
}

/// The header with AWS's time.
fn date(ahead_s: i64) -> String {
    let now = DateTime::from_secs(Clock::system().now().0 + ahead_s);
    format!("date: {}\r\n", now.fmt(Format::HttpDate).unwrap())
}

/// A message without the headers that say where it ends, and its body.
fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut reader = BufReader::new(stream);
    let (mut head, mut length, mut is_chunked) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
            // The length of an answer is written again below.
            if !head.starts_with("HTTP/") {
                head.push_str(&line);
            }
        } else if lower.starts_with("transfer-encoding:") {
            is_chunked = true;
        } else if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
    }
    (head, body)
}
