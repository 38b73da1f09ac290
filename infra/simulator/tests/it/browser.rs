//! A headless Chromium, driven over its DevTools protocol with real mouse and keyboard events.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

static STARTED: AtomicU32 = AtomicU32::new(0);

/// One browser with one page, as wide as a phone.
pub(crate) struct Browser {
    process: Child,
    profile: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    sent: u64,
}

impl Browser {
    /// `None` where no Chromium is installed.
    pub(crate) async fn start() -> Option<Self> {
        let name = NAMES.into_iter().find(|name| {
            let version = Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        })?;
        let number = STARTED.fetch_add(1, Ordering::SeqCst);
        let profile =
            std::env::temp_dir().join(format!("simulator-phone-{}-{number}", std::process::id()));
        fs::create_dir_all(&profile).unwrap();
        let process = Command::new(name)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port_file = profile.join("DevToolsActivePort");
        let mut address = None;
        for _ in 0..600 {
            // Two lines, port and path; the file may be there before they are.
            let text = fs::read_to_string(&port_file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| !path.is_empty()) {
                address = Some(format!("ws://127.0.0.1:{port}{}", path.trim()));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (socket, _) = connect_async(address.expect("Chromium opens its debugging port"))
            .await
            .unwrap();
        let mut browser = Self {
            process,
            profile,
            socket,
            session: String::new(),
            sent: 0,
        };
        let target = browser
            .command("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
        browser
            .command("Emulation.setDeviceMetricsOverride", phone)
            .await;
        Some(browser)
    }

    /// Sends one command and waits for its result.
    pub(crate) async fn command(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::text(command.to_string()))
            .await
            .unwrap();
        loop {
            let message = tokio::time::timeout(Duration::from_secs(30), self.socket.next()).await;
            let message = message
                .expect("Chromium answers")
                .expect("Chromium runs")
                .unwrap();
            let answer: Value = serde_json::from_slice(&message.into_data()).unwrap_or(Value::Null);
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    pub(crate) async fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url })).await;
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.command("Runtime.evaluate", params).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until `expression` is true; one that throws is not true yet, since the page may still be loading.
    pub(crate) async fn wait(&mut self, expression: &str) {
        for _ in 0..200 {
            let check = format!(
                "(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
            );
            if self.value(&check).await == json!(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let page = self.value("document.body.innerText").await;
        panic!("the page never came to: {expression}\n{page}");
    }

    /// Waits until the element can be seen, and clicks into its middle.
    pub(crate) async fn click(&mut self, selector: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        self.wait(&format!("{find}?.checkVisibility() && !{find}.disabled"))
            .await;
        let middle = self
            .value(&format!(
                "(() => {{ const e = {find}; e.scrollIntoView({{block: 'nearest'}}); const r = e.getBoundingClientRect(); \
                 return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
            ))
            .await;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.command("Input.dispatchMouseEvent", params).await;
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.command("Input.insertText", json!({ "text": text }))
            .await;
    }

    /// Keeps a picture of the page for whoever wants to look.
    pub(crate) async fn picture(&mut self, name: &str) {
        let answer = self
            .command("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let bytes = BASE64.decode(answer["data"].as_str().unwrap()).unwrap();
        fs::write(
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("phone-{name}.png")),
            bytes,
        )
        .unwrap();
    }

    /// Names of all buttons, links and fields as a screen reader says them.
    pub(crate) async fn names(&mut self) -> Vec<(String, String)> {
        let tree = self.command("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["ignored"] == json!(false));
        nodes
            .map(|node| {
                (
                    node["role"]["value"].as_str().unwrap_or_default(),
                    node["name"]["value"].as_str().unwrap_or_default(),
                )
            })
            .filter(|(role, _)| ["button", "link", "textbox", "image", "dialog"].contains(role))
            .map(|(role, name)| (role.to_owned(), name.to_owned()))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
        let _removed = fs::remove_dir_all(&self.profile);
    }
}
