//! The built program as a process of its own: with nothing set but what a test sets, watched line by line, ended by signals.
//! Must not sleep: every wait is for a line, an answer or an end, and has a bound after which the test fails.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::inbound::signature::sign;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The signing key of every server here.
pub(crate) const KEY: &str = "a signing key for processes";
/// The admin password of every server that is given one.
pub(crate) const PASSWORD: &str = "a password for processes";
/// Less than what a request that never ends is given at the stop: who ends within this did not wait for one.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(7);
/// Nothing here takes longer, even on a busy machine.
const BOUND: Duration = Duration::from_mins(1);

/// A directory in which the program is run, with a data directory of its own.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One where a server was started once.
    pub(crate) fn started() -> Self {
        let machine = Self::new();
        machine.serve(&[]).stop();
        machine
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file in the data directory.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.path("data").join(name)
    }

    /// Writes a file. Returns its path as an argument.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Every file and folder here with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let is_folder = path.is_dir();
                let bytes = if is_folder { Vec::new() } else { std::fs::read(&path).unwrap() };
                files.insert(path.to_str().unwrap().to_owned(), bytes);
                folders.extend(is_folder.then_some(path));
            }
        }
        files
    }

    /// Every file and folder here with a digest of its content, to see whether anything was changed. What SQLite leaves
    /// beside a database that was only read does not count, and neither does the file that servers lock.
    pub(crate) fn contents(&self) -> BTreeMap<String, String> {
        let counts = |(name, bytes): &(String, Vec<u8>)| {
            !(name.ends_with("-shm") || bytes.is_empty() && (name.ends_with("-wal") || name.ends_with("server.lock")))
        };
        let digest = |(name, bytes): (String, Vec<u8>)| (name, HEXLOWER.encode(&Sha256::digest(&bytes)));
        self.files().into_iter().filter(counts).map(digest).collect()
    }

    /// A text in which this directory is called `[machine]`.
    pub(crate) fn anywhere(&self, text: &str) -> String {
        text.replace(self.0.path().to_str().unwrap(), "[machine]")
    }

    /// The program with these arguments, no setting but the data directory, and nothing to read.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meeting-mirror"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MEETING_MIRROR_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env_remove("CLICOLOR_FORCE")
            .env("COLUMNS", "110")
            .env("MEETING_MIRROR_DATA_DIR", self.path("data"))
            .env("TMPDIR", self.0.path())
            // How full the disk is depends on the machine.
            .env("MEETING_MIRROR_ALERT_DISK_FREE_PERCENT", "0")
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), b"")
    }

    /// Runs a command that must succeed. Returns what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok()
    }

    /// Runs a command that must succeed and print JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// Runs a command that prints JSON again and again until it prints what is waited for. A run takes its time, so this
    /// waits some seconds before it gives up.
    #[track_caller]
    pub(crate) fn until(&self, arguments: &[&str], there: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..500 {
            last = self.json(arguments);
            if there(&last) {
                return last;
            }
        }
        panic!("{arguments:?} still prints {last:#}");
    }

    /// Starts a server on a free port that takes deliveries signed with [`KEY`].
    #[track_caller]
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        Server::start(command.env("MEETING_MIRROR_SIGNING_KEYS", KEY))
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// The command must have failed with this code, nothing on standard output and all of these on standard error.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, telling: &[&str]) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:#?}");
        for text in telling {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self:#?}");
        }
        self.stderr
    }
}

/// Runs a prepared command to its end.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ran {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut process = Process::start(command, input);
    let code = process.ends_within(BOUND);
    Ran { code, stdout: process.out.rest(), stderr: process.err.rest() }
}

/// What a process prints on one of its outputs.
pub(crate) struct Lines {
    arriving: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(output: Option<impl Read + Send + 'static>) -> Self {
        let (sender, arriving) = mpsc::channel();
        if let Some(output) = output {
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n') {
                    let Ok(line) = line else { return };
                    if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        Self { arriving, seen: Vec::new() }
    }

    /// The next line that has the text in it; those before it are skipped.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.arriving.recv_timeout(BOUND) {
                Ok(line) => {
                    self.seen.push(line);
                    if let Some(line) = self.seen.last().filter(|line| line.contains(text)) {
                        return line.clone();
                    }
                }
                Err(why) => panic!("{text:?} was not printed ({why}), but:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// What was printed up to the line last waited for.
    pub(crate) fn so_far(&self) -> &[String] {
        &self.seen
    }

    /// Everything that was printed, once the output is closed.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> String {
        loop {
            match self.arriving.recv_timeout(BOUND) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the output was not closed after:\n{}", self.seen.join("\n")),
            }
        }
        self.seen.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    pub(crate) out: Lines,
    pub(crate) err: Lines,
    pub(crate) id: u32,
    end: Receiver<ExitStatus>,
    ended: bool,
}

impl Process {
    pub(crate) fn start(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command.spawn().unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            // Who is not read to the end is told nothing.
            let _ = stdin.write_all(input);
        }
        let (out, err) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        let id = child.id();
        Self { out, err, id, end: wait(child), ended: false }
    }

    /// Sends a signal: TERM, INT or KILL.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id.to_string()).status().unwrap();
        assert!(sent.success(), "the process can't be signalled");
    }

    /// The exit code, or the negative number of the signal that ended the process.
    #[track_caller]
    pub(crate) fn ends_within(&mut self, bound: Duration) -> i32 {
        match self.end.recv_timeout(bound) {
            Ok(status) => {
                self.ended = true;
                status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap()
            }
            Err(why) => {
                panic!("the process still runs ({why} in {bound:?}); it printed:\n{}", self.err.seen.join("\n"))
            }
        }
    }
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, end) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait().unwrap()));
    end
}

impl Drop for Process {
    fn drop(&mut self) {
        // While its end was not heard of, the id is still its own.
        if !self.ended && self.end.try_recv().is_err() {
            let _ = Command::new("kill").arg("-KILL").arg(self.id.to_string()).stderr(Stdio::null()).status();
            // What it works on is removed next.
            let _ = self.end.recv_timeout(BOUND);
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// `http://` and the address that it logged.
    pub(crate) url: String,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command, b"");
        let line = process.err.wait_for("meeting-mirror is listening");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).unwrap();
        Self { url: format!("http://{address}"), process }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Signs a body and posts it. Returns status and answer.
    pub(crate) async fn post(&self, http: &reqwest::Client, body: String) -> reqwest::Result<(u16, Value)> {
        let request = http
            .post(format!("{}/webhooks/cirrus-insight", self.url))
            .header("x-signature", sign(KEY, body.as_bytes()));
        let response = request.body(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Stops the server as an init system does. Returns what it logged.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.process.signal("TERM");
        assert_eq!(self.process.ends_within(BOUND), 0);
        self.process.err.rest()
    }
}

/// A client that keeps cookies and does not follow.
pub(crate) fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true).build().unwrap()
}

/// Status and text of a page.
pub(crate) async fn get(http: &reqwest::Client, url: &str) -> (u16, String) {
    let response = http.get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Fills in the sign-in form as a person would. Returns the status of the answer.
pub(crate) async fn sign_in(http: &reqwest::Client, base: &str, password: &str) -> u16 {
    let (status, form) = get(http, &format!("{base}/login")).await;
    assert_eq!(status, 200, "{form}");
    let token = form.split("name=\"token\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1)?.split('"').next());
    let token = token.unwrap_or_else(|| panic!("no token in {form}")).replace("&#43;", "+").replace("&#x2B;", "+");
    let fields = [("token", token.as_str()), ("password", password), ("next", "/status")];
    http.post(format!("{base}/login")).form(&fields).send().await.unwrap().status().as_u16()
}

/// Now, to the whole hour.
pub(crate) fn this_hour() -> DateTime<Utc> {
    SystemClock::default().now().duration_trunc(TimeDelta::hours(1)).unwrap()
}

/// A meeting event that a server here takes: `kind` is scheduled, rescheduled or canceled, and the meeting lasts half an
/// hour from `hours` after this hour. Later calls tell of later events.
pub(crate) fn event(event_id: &str, kind: &str, meeting_id: &str, hours: i64) -> Value {
    let (now, start) = (SystemClock::default().now(), this_hour() + TimeDelta::hours(hours));
    json!({
        "organizationGuid": "org-1",
        "eventId": event_id,
        "eventType": format!("scheduling.smartscheduler.{kind}"),
        "eventTimestamp": now,
        "deliveryTimestamp": now,
        "deliveryAttempt": 1,
        "data": {
            "id": meeting_id,
            "organizationId": "org-1",
            "emailMeetingId": format!("mail-{meeting_id}"),
            "meetingStart": start,
            "meetingEnd": start + TimeDelta::minutes(30),
            "isCanceled": kind == "canceled",
            "meetingOwner": {"userId": "u-1", "username": "ada@example.com", "firstName": "Ada", "lastName": "Example"},
            "meetingInfo": {
                "primaryInviteeName": "Bo Guest",
                "primaryInvitee": "bo@example.org",
                "meetingName": format!("Demo {meeting_id}"),
                "location": "Room 1",
                "calendarPath": "product-demo",
                "organizationPath": "northwind",
            },
        },
    })
}
