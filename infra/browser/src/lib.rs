//! A headless Chromium for tests, driven over its DevTools protocol with real mouse and keyboard
//! events.
//!
//! Everything here ends the test that it runs in when the browser or the page does not do what it
//! should.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
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

/// The screen that shows the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Screen {
    /// In pixels of CSS.
    pub width: u32,
    /// In pixels of CSS.
    pub height: u32,
    /// Whether it is a phone's.
    pub is_phone: bool,
}

impl Screen {
    /// A phone held upright.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
        is_phone: true,
    };
    /// A desktop's.
    pub const DESKTOP: Self = Self {
        width: 1280,
        height: 900,
        is_phone: false,
    };
}

/// One browser with one page.
#[derive(Debug)]
pub struct Browser {
    process: Child,
    profile: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    sent: u64,
}

impl Browser {
    /// A browser, or `None` where no Chromium is installed: that skips a test on a developer's
    /// machine, and says so. CI sets `REQUIRE_BROWSER`, which fails it.
    ///
    /// # Panics
    /// Where Chromium is required and there is none, and when one does not start.
    pub async fn start_or_skip(screen: Screen) -> Option<Self> {
        let browser = Self::start(screen).await;
        assert!(
            browser.is_some() || std::env::var_os("REQUIRE_BROWSER").is_none(),
            "no Chromium found, and REQUIRE_BROWSER is set: install one (Debian: apt-get install chromium)"
        );
        if browser.is_none() {
            // Written past the test harness, which hides the output of passing tests.
            let _written = std::io::stdout().write_all(
                b"skipped: no Chromium found; install it (Debian: apt-get install chromium) to test pages\n",
            );
        }
        browser
    }

    async fn start(screen: Screen) -> Option<Self> {
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
            std::env::temp_dir().join(format!("tested-page-{}-{number}", std::process::id()));
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
        browser.set_screen(screen).await;
        Some(browser)
    }

    /// Shows the page on another screen.
    pub async fn set_screen(&mut self, screen: Screen) {
        let scale = if screen.is_phone { 2 } else { 1 };
        let metrics = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": scale, "mobile": screen.is_phone,
        });
        self.command("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Lets the page think that the person likes it dark, or light.
    pub async fn likes_dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Sends one command of the DevTools protocol and waits for its result.
    ///
    /// # Panics
    /// When Chromium refuses it or does not answer.
    pub async fn command(&mut self, method: &str, params: Value) -> Value {
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

    /// Goes to an address.
    pub async fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url })).await;
    }

    /// The value of a JavaScript expression.
    ///
    /// # Panics
    /// When the expression throws.
    pub async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.command("Runtime.evaluate", params).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until `expression` is true; one that throws is not true yet, since the page may still
    /// be loading.
    ///
    /// # Panics
    /// When that takes longer than ten seconds.
    pub async fn wait(&mut self, expression: &str) {
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
    pub async fn click(&mut self, selector: &str) {
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

    /// Types a text into what has the focus.
    pub async fn write(&mut self, text: &str) {
        self.command("Input.insertText", json!({ "text": text }))
            .await;
    }

    /// Saves a screenshot for inspection.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn picture(&mut self, file: &Path) {
        self.keep(file, json!({"format": "png"})).await;
    }

    /// Keeps a picture of the page from top to bottom.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn whole_picture(&mut self, file: &Path) {
        let size = self.command("Page.getLayoutMetrics", json!({})).await;
        let size = &size["cssContentSize"];
        let clip =
            json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let whole = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        self.keep(file, whole).await;
    }

    async fn keep(&mut self, file: &Path, how: Value) {
        let answer = self.command("Page.captureScreenshot", how).await;
        let bytes = BASE64.decode(answer["data"].as_str().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Roles and names of all buttons, links, fields, images and dialogs as a screen reader says
    /// them.
    ///
    /// # Panics
    /// When Chromium gives no such tree.
    pub async fn names(&mut self) -> Vec<(String, String)> {
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
