//! `setup channel`, run as a program, with a robot on this machine.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use operator_channels::Severity;

use crate::cloud::{Cloud, printed};

/// A robot that gives each request this answer, and hands over what it got.
pub(crate) fn robot(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (got, all) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0_u8; 4_096];
            // A request of the client's comes with its body's length.
            loop {
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                });
                if length.is_none_or(|length: usize| body.len() >= length) || read == 0 {
                    got.send(text).unwrap();
                    break;
                }
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (format!("http://127.0.0.1:{port}/send?key=t0k3n"), all)
}

fn well(output: &std::process::Output) -> String {
    let printed = printed(output);
    assert!(output.status.success(), "{printed}");
    assert!(
        !printed.contains("t0k3n") && !printed.contains("SEC0"),
        "{printed}"
    );
    printed
}

#[tokio::test]
async fn a_channel_is_set_up_listed_tested_and_removed_and_its_address_is_never_shown() {
    let cloud = Cloud::start("channels").await;
    let (url, got) = robot(r#"{"errcode":0,"errmsg":"ok"}"#);
    let (address, secret) = (cloud.path("robot.txt"), cloud.path("secret.txt"));
    std::fs::write(&address, format!("\u{feff}{url}\r\n")).unwrap();
    std::fs::write(&secret, "SEC0123456789\n").unwrap();
    let text = well(&cloud.setup(&["channel", "list"]));
    assert!(text.contains("There is no channel"), "{text}");

    let add = ["channel", "add", "--name", "ops", "--kind", "dingtalk"];
    let files = ["--address-file", &address, "--secret-file", &secret];
    well(&cloud.setup(&[&add[..], &files, &["--page", "1"]].concat()));
    let mail = [
        "channel", "add", "--name", "mail", "--kind", "sns", "--page", "2", "--ticket", "1",
    ];
    well(&cloud.setup(&mail));
    let text = well(&cloud.setup(&["channel", "list"]));
    assert!(
        text.contains("ops: dingtalk, page 1, no ticket, set up "),
        "{text}"
    );
    assert!(text.contains("mail: sns, page 2, ticket 1"), "{text}");
    // What the function reads.
    let channels = cloud.keys().channels().await.unwrap();
    let ops = channels
        .iter()
        .find(|channel| channel.name == "ops")
        .unwrap();
    assert_eq!(
        (ops.place(Severity::Page), ops.place(Severity::Ticket)),
        (Some(1), None)
    );
    let credentials = cloud.keys().channel_credentials(ops).await.unwrap();
    assert_eq!(
        (credentials.address(), credentials.secret()),
        (url.as_str(), Some("SEC0123456789"))
    );
    assert!(!format!("{ops:?}{credentials:?}").contains("t0k3n"));

    let text = well(&cloud.setup(&["channel", "test", "--name", "ops"]));
    assert!(text.contains("took the message"), "{text}");
    let request = got.recv().unwrap();
    assert!(
        request.contains("&timestamp=") && request.contains("&sign="),
        "{request}"
    );
    assert!(
        request.contains("The channel ops takes messages"),
        "{request}"
    );

    well(&cloud.setup(&["channel", "remove", "--name", "mail"]));
    let text = well(&cloud.setup(&["channel", "remove", "--name", "ops"]));
    assert!(text.contains("the last one"), "{text}");
    assert!(cloud.keys().read_channels().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_robot_refuses_and_what_is_wrong_with_a_command_is_said() {
    let cloud = Cloud::start("channels-wrong").await;
    let (url, _got) = robot(
        r#"{"errcode":93000,"errmsg":"invalid webhook url, from https://robot.example/send?key=t0k3n-and-much-more"}"#,
    );
    let address = cloud.path("robot.txt");
    std::fs::write(&address, &url).unwrap();
    let add = [
        "channel",
        "add",
        "--name",
        "ops",
        "--kind",
        "wecom",
        "--address-file",
        &address,
    ];
    well(&cloud.setup(&[&add[..], &["--page", "1"]].concat()));
    let refused = |arguments: &[&str], words: &str| {
        let output = cloud.setup(arguments);
        let text = printed(&output);
        assert!(!output.status.success() && text.contains(words), "{text}");
        assert!(!text.contains("t0k3n"), "{text}");
    };
    refused(
        &["channel", "test", "--name", "ops"],
        "did not take the message: code 93000",
    );
    refused(
        &["channel", "test", "--name", "other"],
        "there is no channel other",
    );
    refused(
        &["channel", "remove", "--name", "other"],
        "there is no channel other",
    );
    refused(&add, "what the channel is for");
    refused(
        &[&add[..], &["--page", "0"]].concat(),
        "is a place from 1 to 99",
    );
    let kinds = [
        ("dingtalk", "needs its signing secret"),
        ("webhook", "needs its signing secret"),
        ("pager", "is wecom, dingtalk, feishu, webhook or sns"),
        ("sns", "has no address"),
    ];
    for (kind, words) in kinds {
        let with = [
            "channel", "add", "--name", "a", "--kind", kind, "--page", "1",
        ];
        refused(&[&with[..], &["--address-file", &address]].concat(), words);
    }
    let named = [
        "channel", "add", "--name", "Ops 1", "--kind", "sns", "--page", "1",
    ];
    refused(&named, "a channel's name has 1 to 32 of a-z, 0-9 and -");
    std::fs::write(&address, "http://robot.example/send?key=t0k3n").unwrap();
    refused(
        &[&add[..], &["--page", "1"]].concat(),
        "does not begin with https://",
    );
}
