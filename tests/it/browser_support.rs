//! A real Chromium for tests, driven through chromedriver by plain WebDriver calls (W3C WebDriver, and chromedriver's own
//! `goog/cdp` and `se/log`). Nothing sleeps: whoever looks for something waits for it, up to WebDriver's implicit timeout.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::skipped::skip;

/// `required` makes a missing browser a failure.
const REQUIRED: &str = "BROWSER_TESTS";
/// Where `.ci/axe` puts axe-core, in the target folder.
const AXE: &str = "axe/axe.min.js";
/// Runs it.
const AXE_RUN: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return axe.run(document, {runOnly: {type: 'tag', values: tags}, rules: {'target-size': {enabled: true}}})
        .then(({violations, passes}) => ({
            passes: passes.length,
            faults: violations.flatMap(({id, nodes}) => nodes.map(({target, html, failureSummary}) =>
                `${id} at ${target.join(' ')}: ${html.slice(0, 200)}: ${failureSummary}`)),
        }));";
/// Where the focus is, and whether that can be seen.
const FOCUS: &str = "
    const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
    return {
        id: at.id,
        name: at.textContent.replace(/\\s+/g, ' ').trim(),
        html: at.outerHTML.slice(0, 200),
        visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.bottom > 0,
    }";
const TAB: &str = "\u{e004}";
/// What is looked for must appear within this, in milliseconds.
const WITHIN: u32 = 15_000;
/// The Enter key in texts that are typed.
const ENTER: &str = "\u{e007}";
/// A page that [`Browser::mark`] did not mark.
const UNMARKED: &str = "//html[not(@data-left)]";
/// The name of an element's id in WebDriver answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// chromedriver; ends with the test.
struct Driver {
    process: Child,
    port: u16,
    /// Path of the session, once there is one.
    session: Option<String>,
    /// Kept open: chromedriver ends when it can't write.
    _said: BufReader<ChildStdout>,
}

impl Driver {
    /// None when chromedriver is not installed.
    fn start() -> Option<Self> {
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("chromedriver can't be started: {error}"),
        };
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "chromedriver ended before it said its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        Some(Self { process, port, session: None, _said: said })
    }

    /// Ends the session, and with it the browser.
    fn end_session(&self, session: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "DELETE {session} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port)?;
        // The answer begins when the browser has ended; chromedriver then keeps the connection open.
        stream.read_exact(&mut [0])
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Also after a failed test; a panic in here would hide why it failed.
        if let Some(session) = &self.session {
            let _ = self.end_session(session);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The text of axe-core. None, and one line that says so, when it was not fetched and is not required.
pub(crate) fn axe() -> Option<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        std::fs::read_to_string(target.join(AXE)).ok().or_else(|| skip(REQUIRED, "axe-core (fetched by .ci/axe)"))
    };
    TEXT.get_or_init(read).as_deref()
}

/// A browser with one window.
pub(crate) struct Browser {
    driver: Driver,
    http: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts one. None, and a line that says so, when none is installed and none is required.
    pub(crate) async fn start() -> Option<Self> {
        let installed = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("chromium").exists()));
        let Some(mut driver) = Driver::start().filter(|_| installed) else {
            return skip(REQUIRED, "chromium and chromedriver (Debian: apt install chromium chromium-driver)");
        };
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"implicit": WITHIN, "pageLoad": 30_000, "script": WITHIN},
        }}});
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/session", driver.port);
        let answer: Value = http.post(url).json(&capabilities).send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        driver.session = Some(format!("/session/{id}"));
        Some(Self { driver, http, _profile: profile })
    }

    /// A WebDriver call below the session. Returns its value.
    #[track_caller]
    fn call(&self, method: Method, path: &str, body: Option<Value>) -> impl Future<Output = Value> {
        let (port, session) = (self.driver.port, self.driver.session.as_deref().unwrap());
        let url = format!("http://127.0.0.1:{port}{session}{path}");
        let mut request = self.http.request(method, &url);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let asked = format!("{path} {}", body.unwrap_or_default());
        async move {
            let response = request.send().await.unwrap();
            let good = response.status().is_success();
            let mut answer: Value = response.json().await.unwrap();
            assert!(good, "{asked}: {}: {}", answer["value"]["error"], answer["value"]["message"]);
            answer["value"].take()
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Loads the page anew.
    pub(crate) async fn reload(&self) {
        self.post("/refresh", json!({})).await;
    }

    /// Waits for an element. Returns its path in WebDriver calls.
    async fn find(&self, xpath: &str) -> String {
        let found = self.post("/element", json!({"using": "xpath", "value": xpath})).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Waits until the page shows a text; white space counts as one space.
    pub(crate) async fn see(&self, text: &str) {
        self.find(&format!("//body[contains(normalize-space(.), \"{text}\")]")).await;
    }

    /// Waits for an element and clicks it.
    pub(crate) async fn click(&self, xpath: &str) {
        let element = self.find(xpath).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Waits for a link, a button or the head of a fold of that text and clicks it.
    pub(crate) async fn press(&self, text: &str) {
        self.click(&format!("//*[self::a or self::button or self::summary][normalize-space(.) = \"{text}\"]")).await;
    }

    /// Presses what leads to another page, and waits for that: what is looked for next is not found on the old one.
    pub(crate) async fn follow(&self, text: &str) {
        self.mark().await;
        self.press(text).await;
        self.find(UNMARKED).await;
    }

    /// Types into a field and presses Enter, and waits for the page that comes.
    pub(crate) async fn enter(&self, xpath: &str, text: &str) {
        self.mark().await;
        self.type_into(xpath, &format!("{text}{ENTER}")).await;
        self.find(UNMARKED).await;
    }

    /// Marks this page, to tell it from the next.
    async fn mark(&self) {
        self.script("document.documentElement.dataset.left = ''").await;
    }

    /// Types into a field. `\u{e009}` is Control until the end of the text.
    pub(crate) async fn type_into(&self, xpath: &str, text: &str) {
        let element = self.find(xpath).await;
        self.post(&format!("{element}/value"), json!({"text": text})).await;
    }

    /// Whether an element can be seen.
    pub(crate) async fn is_shown(&self, xpath: &str) -> bool {
        let element = self.find(xpath).await;
        self.get(&format!("{element}/displayed")).await.as_bool().unwrap()
    }

    /// What a script returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// A command of Chromium's DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    /// Has pages run no script from now on.
    pub(crate) async fn without_script(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Types on the keyboard, wherever the focus is.
    pub(crate) async fn keys(&self, text: &str) {
        let strokes = text
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})));
        let strokes: Vec<Value> = strokes.collect();
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})).await;
    }

    /// Asserts that the focus is at an element of that text or id and can be seen there.
    pub(crate) async fn is_at(&self, name: &str) {
        let focus = self.script(FOCUS).await;
        assert!(focus["name"] == name || focus["id"] == name, "the focus is not at {name}: {focus}");
        assert_eq!(focus["visible"], true, "nothing shows where the focus is: {focus}");
    }

    /// Presses Tab until the focus is at an element of that text or id. Wherever it comes by, it can be seen.
    pub(crate) async fn tab_to(&self, name: &str) {
        for _ in 0..200 {
            self.keys(TAB).await;
            let focus = self.script(FOCUS).await;
            assert_eq!(focus["visible"], true, "nothing shows where the focus is: {focus}");
            if focus["name"] == name || focus["id"] == name {
                return;
            }
        }
        panic!("Tab does not lead to {name}");
    }

    /// The faults of accessibility that axe-core finds in the page as it is now (WCAG 2.2 AA, and good practice): which, where,
    /// and what to do.
    pub(crate) async fn inaccessible(&self, axe: &str) -> Vec<String> {
        let found = self.script(&format!("{axe}; {AXE_RUN}")).await;
        let faults = found["faults"].as_array().unwrap_or_else(|| panic!("axe-core did not run: {found}"));
        assert!(found["passes"].as_u64() > Some(10), "axe-core looked at next to nothing: {found}");
        faults.iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    /// Makes the window that wide, as on a phone or on a desk.
    pub(crate) async fn resize(&self, width: u32, height: u32, phone: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Has the person prefer light or dark.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// What the console said since it was last asked: errors, refused requests and violations of the content policy.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Keeps a picture of the window as a PNG.
    pub(crate) async fn photograph(&self, file: &Path) {
        keep(&self.get("/screenshot").await, file);
    }

    /// Keeps a picture of the whole page, however long, as a PNG.
    pub(crate) async fn photograph_whole(&self, file: &Path) {
        let picture = self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        keep(&picture["data"], file);
    }
}

/// Writes a picture, which is told in base64, to a file.
fn keep(picture: &Value, file: &Path) {
    let bytes = data_encoding::BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap();
    File::create(file).and_then(|mut file| file.write_all(&bytes)).unwrap();
}
