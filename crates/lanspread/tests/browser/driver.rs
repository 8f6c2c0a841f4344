//! Drives a browser over the W3C WebDriver protocol, as far as the tests need it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// Longest wait for one step, on a machine with other work to do.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks at the page.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// Key of an element reference in WebDriver's JSON (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters (W3C WebDriver, section 17.4.2).
pub mod key {
    pub const BACKSPACE: char = '\u{e003}';
    pub const TAB: char = '\u{e004}';
    pub const ENTER: char = '\u{e007}';
    pub const ESCAPE: char = '\u{e00c}';
    pub const HOME: char = '\u{e011}';
    pub const RIGHT: char = '\u{e014}';
    pub const DOWN: char = '\u{e015}';
}

/// chromedriver, which starts browsers.
pub struct Driver {
    child: Child,
    base: String,
}

impl Driver {
    /// Starts chromedriver; `None` if it is not installed.
    pub fn start() -> Option<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.rsplit_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        match port {
            Some(port) => Some(Self { child, base: format!("http://127.0.0.1:{port}") }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                None
            }
        }
    }

    /// Starts a browser with a fresh profile.
    pub fn browser(&self) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            "--window-size=1280,900",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(DEADLINE * 2))
            .build()
            .into();
        let mut browser = Browser { agent, session: format!("{}/session", self.base), _profile: profile };
        let made = browser.post(
            "",
            &json!({ "capabilities": { "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": { "args": args },
                "goog:loggingPrefs": { "browser": "ALL" },
            } } }),
        );
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().unwrap());
        browser
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Browser {
    agent: Agent,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a function body of JavaScript and returns its result.
    pub fn eval(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a function body and returns what it passes to its last argument, a callback.
    pub fn eval_async(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Emulates preferences of the user's system (CSS Media Queries 5, section 11).
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Sets the size of the page.
    pub fn resize(&self, width: u32, height: u32) {
        self.resize_scaled(width, height, 1.0);
    }

    /// Sets the size of the page, with `scale` pixels of the screen for each of the page's.
    pub fn resize_scaled(&self, width: u32, height: u32, scale: f64) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    pub fn hide_scrollbars(&self) {
        self.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
    }

    /// Lets the page that is open show notices of the system (W3C Permissions, section 9).
    pub fn allow_notices(&self) {
        self.post("/permissions", &json!({ "descriptor": { "name": "notifications" }, "state": "granted" }));
    }

    /// Takes a screenshot as a WebP file of this quality (0 to 100).
    pub fn picture(&self, quality: u32) -> Vec<u8> {
        let taken = self.devtools("Page.captureScreenshot", &json!({ "format": "webp", "quality": quality }));
        BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let end = Instant::now() + DEADLINE;
        while self.eval(&format!("return Boolean({expression})")) != json!(true) {
            if Instant::now() > end {
                let body = self.eval("return document.body.innerText");
                panic!("never true: {expression}\nthe page says: {}", body.as_str().unwrap_or_default());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until an element exists and contains this text.
    pub fn wait_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.wait(&format!(
            "[...document.querySelectorAll({css})].some(e => e.textContent.includes({text}))"
        ));
    }

    /// Clicks like a mouse: scrolls to an element outside the window, and fails if another element covers it.
    pub fn click(&self, css: &str) {
        self.wait(&format!("document.querySelector({})", json!(css)));
        let element = self.find(css);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into a field and replaces its content.
    pub fn fill(&self, css: &str, text: &str) {
        self.wait(&format!("document.querySelector({})", json!(css)));
        let element = self.find(css);
        let field = format!("document.querySelector({})", json!(css));
        let keys = if text.is_empty() { key::BACKSPACE.to_string() } else { text.to_owned() };
        // If the page moves the focus meanwhile, the driver types behind the old content.
        for _ in 0..3 {
            self.eval(&format!("{field}.focus(); {field}.select()"));
            self.post(&format!("/element/{element}/value"), &json!({ "text": keys }));
            let typed = self.eval(&format!("return {field}?.value ?? ''"));
            if !typed.as_str().is_some_and(|typed| typed.len() > text.len() && typed.ends_with(text)) {
                return;
            }
        }
        panic!("{css} keeps what was in it before {text:?}");
    }

    /// Presses keys in the focused element.
    pub fn press(&self, keys: impl IntoIterator<Item = char>) {
        let strokes: Vec<Value> = keys
            .into_iter()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() }))
            })
            .collect();
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }),
        );
    }

    fn find(&self, css: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no element {css}")).to_owned()
    }

    /// Complaints of the browser: failed scripts and violations of the policy. Leaves out refused requests, which a
    /// test may want.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        let said = severe.filter_map(|entry| entry["message"].as_str()).map(str::to_owned);
        said.filter(|text| !text.contains("Failed to load resource")).collect()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = self.agent.post(format!("{}{path}", self.session)).send_json(body).unwrap();
        let status = response.status();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(status.is_success(), "{path}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
    }
}
