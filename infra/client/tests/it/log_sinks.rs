//! `setup log-sink`, run as a program, with a sink on this machine.

use crate::channels::robot;
use crate::cloud::{Cloud, printed};

const SECRET: &str = "t0k3nt0k3n";

fn well(output: &std::process::Output) -> String {
    let printed = printed(output);
    assert!(output.status.success(), "{printed}");
    assert!(!printed.contains(SECRET), "{printed}");
    printed
}

#[tokio::test]
async fn sinks_are_set_up_listed_tested_and_removed_and_no_secret_is_shown() {
    let cloud = Cloud::start("log-sinks").await;
    let (url, got) = robot("{}");
    let (base, _) = url.split_once("/send").unwrap();
    let host = base.strip_prefix("http://").unwrap();
    let (dsn, password) = (cloud.path("dsn.txt"), cloud.path("password.txt"));
    std::fs::write(&dsn, format!("http://{SECRET}@{host}/42\r\n")).unwrap();
    std::fs::write(&password, format!("{SECRET}\n")).unwrap();
    let text = well(&cloud.setup(&["log-sink", "list"]));
    assert!(text.contains("There is no log sink"), "{text}");

    let sentry = ["log-sink", "add", "--kind", "sentry", "--dsn-file", &dsn];
    let text = well(&cloud.setup(&sentry));
    assert!(text.contains(&format!("{base}/api/42/envelope/")), "{text}");
    let loki = ["log-sink", "add", "--kind", "loki", "--address", base];
    let login = [
        "--tenant",
        "shop",
        "--user",
        "42",
        "--password-file",
        &password,
    ];
    well(&cloud.setup(&[&loki[..], &login].concat()));
    let text = well(&cloud.setup(&["log-sink", "list"]));
    assert!(
        text.contains("sentry, set up ") && text.contains("loki, set up "),
        "{text}"
    );
    // What the function reads.
    let sinks = cloud.keys().log_sinks().await.unwrap();
    assert_eq!(sinks.len(), 2);
    assert!(!format!("{sinks:?}").contains(SECRET));

    for (kind, path, header) in [
        (
            "sentry",
            "POST /api/42/envelope/",
            format!("sentry_key={SECRET}"),
        ),
        (
            "loki",
            "POST /loki/api/v1/push",
            "x-scope-orgid: shop".to_owned(),
        ),
    ] {
        let text = well(&cloud.setup(&["log-sink", "test", "--kind", kind]));
        assert!(text.contains("took the line"), "{text}");
        let request = got.recv().unwrap();
        assert!(
            request.starts_with(path) && request.contains(&header),
            "{request}"
        );
        assert!(request.contains("there is nothing to do"), "{request}");
    }

    well(&cloud.setup(&["log-sink", "remove", "--kind", "sentry"]));
    let text = well(&cloud.setup(&["log-sink", "remove", "--kind", "loki"]));
    assert!(text.contains("the last one"), "{text}");
    assert!(cloud.keys().read_log_sinks().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_sink_refuses_and_what_is_wrong_with_a_command_is_said() {
    let cloud = Cloud::start("log-sinks-wrong").await;
    let secret = cloud.path("secret.txt");
    std::fs::write(&secret, format!("http://{SECRET}@127.0.0.1:1/42")).unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let output = cloud.setup(&[&["log-sink"], arguments].concat());
        let text = printed(&output);
        assert!(!output.status.success() && text.contains(words), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    };
    well(&cloud.setup(&["log-sink", "add", "--kind", "sentry", "--dsn-file", &secret]));
    refused(
        &["test", "--kind", "sentry"],
        "sentry did not take the line",
    );
    refused(&["test", "--kind", "loki"], "there is no log sink loki");
    refused(&["remove", "--kind", "loki"], "there is no log sink loki");
    refused(&["add", "--kind", "syslog"], "is sentry or loki");
    refused(&["add", "--kind", "sentry"], "dsn-file");
    refused(&["other"], "setup log-sink other");
    let loki = ["add", "--kind", "loki", "--address"];
    let address = "https://loki.example";
    for (more, words) in [
        (&["http://loki.example"][..], "does not begin with https://"),
        (&["loki.example"], "the address of Loki is"),
        (&[address, "--user", "u"], "by neither"),
        (&[address, "--password-file", &secret], "by neither"),
        (
            &[address, "--user", "u", "--token-file", &secret],
            "by neither",
        ),
        (&[address, "--tenant", "a b"], "visible ASCII characters"),
    ] {
        refused(&[&loki[..], more].concat(), words);
    }
    std::fs::write(&secret, SECRET).unwrap();
    refused(
        &["add", "--kind", "sentry", "--dsn-file", &secret],
        "a DSN is",
    );
    std::fs::write(&secret, format!("http://{SECRET}@sentry.example/42")).unwrap();
    refused(
        &["add", "--kind", "sentry", "--dsn-file", &secret],
        "does not begin with https://",
    );
}
