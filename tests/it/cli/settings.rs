//! Settings that can't be used: each is refused with what to do about it, and leaves no trace.
//! Must not test what good settings do.

use std::net::TcpListener;

use crate::process_support::{KEY, Machine, PASSWORD, Process, Server, run};

/// What `serve` says to these arguments, which must be refused before anything is made.
#[track_caller]
fn refusal(machine: &Machine, arguments: &[&str]) -> String {
    let before = machine.contents();
    let ran = machine.run(&[&["serve"], arguments].concat());
    assert!(ran.code > 0 && ran.stdout.is_empty(), "{arguments:?}: {ran:#?}");
    assert_eq!(machine.contents(), before, "{arguments:?} left something behind");
    machine.anywhere(&format!("$ meeting-mirror serve {}\n{}-> {}\n", arguments.join(" "), ran.stderr, ran.code))
}

#[test]
fn settings_that_make_no_sense() {
    let machine = Machine::new();
    let long = format!("https://{}.example.com", "m".repeat(160));
    let wrong: [&[&str]; 26] = [
        &["--listen", "nonsense"],
        &["--listen", "localhost:8080"],
        &["--max-connections", "63"],
        &["--public-url", "mirror.example.com"],
        &["--public-url", "ftp://mirror.example.com"],
        &["--public-url", "https://mirror.example.com/?a=b"],
        &["--public-url", "https://mirror.example.com/mirror"],
        &["--public-url", "https://ada:secret@mirror.example.com"],
        &["--public-url", "https://ada@mirror.example.com"],
        &["--public-url", &long],
        &["--time-zone", "Mars/Olympus"],
        &["--signature-header", "X Signature"],
        &["--signature-header", ""],
        &["--google-api-url", "https://www.example.com/"],
        &["--google-api-url", "calendar"],
        &["--google-rate", "0"],
        &["--google-calendar-rate", "many"],
        &["--drift-check-hours=-1"],
        &["--audit-keep-days", "29"],
        &["--alert-mirror-lag-minutes", "0"],
        &["--alert-silence-hours", "0"],
        &["--alert-disk-free-percent", "91"],
        &["--alert-format", "fax"],
        &["--log-format", "xml"],
        &["--log", "info,=nonsense="],
        &["--no-such-setting"],
    ];
    let told: Vec<String> = wrong.iter().map(|arguments| refusal(&machine, arguments)).collect();
    insta::assert_snapshot!(told.join("\n").replace(&long, "[a long address]"));
}

#[test]
fn a_server_that_anybody_could_send_to() {
    let machine = Machine::new();
    let empty = machine.file("empty", "\n, \n");
    let wrong: [&[&str]; 5] = [
        &[],
        &["--allow-unsigned", "--listen", "0.0.0.0:0"],
        &["--allow-unsigned", "--listen", "[::]:0"],
        &["--signing-keys", " , "],
        &["--signing-keys-file", &empty],
    ];
    let told: Vec<String> = wrong.iter().map(|arguments| refusal(&machine, arguments)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn secrets_that_can_not_be_used() {
    let machine = Machine::new();
    let (missing, short) = (machine.path("missing"), machine.file("short", "1234567\n"));
    let missing = missing.to_str().unwrap();
    let keys = ["--signing-keys", KEY];
    let wrong: [&[&str]; 6] = [
        &["--signing-keys-file", missing],
        &["--admin-password", "1234567"],
        &["--admin-password-file", &short],
        &["--admin-password-file", missing],
        &["--admin-password", PASSWORD, "--admin-password-file", &short],
        &["--admin-password", ""],
    ];
    let told: Vec<String> = wrong
        .iter()
        .map(|arguments| {
            let has_keys = arguments[0].starts_with("--signing");
            let all = if has_keys { arguments.to_vec() } else { [&keys, *arguments].concat() };
            refusal(&machine, &all)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_endpoint_for_the_audit_log_that_can_not_be_used() {
    let machine = Machine::new();
    let (empty, value) = (machine.file("empty", "\n"), machine.file("value", "Bearer private-value\n"));
    let fine = ["--audit-push-url", "https://logs.example.com/private-path"];
    let wrong: [&[&str]; 11] = [
        &["--audit-push-url", "logs.example.com/private-path"],
        &["--audit-push-url", "http://logs.example.com/private-path"],
        &["--audit-push-url", "http://10.0.0.1/private-path"],
        &["--audit-push-url", "https://ada@logs.example.com/private-path"],
        &["--audit-push-url", "https://ada:private-value@logs.example.com/"],
        &["--audit-push-url", "https://logs.example.com/#private-path"],
        &["--audit-push-authorization", "Bearer private-value"],
        &[fine[0], fine[1], "--audit-push-authorization", " "],
        &[fine[0], fine[1], "--audit-push-authorization", "Bearer private-value\nx: y"],
        &[fine[0], fine[1], "--audit-push-authorization-file", &empty],
        &[fine[0], fine[1], "--audit-push-authorization", "Bearer x", "--audit-push-authorization-file", &value],
    ];
    let told: Vec<String> = wrong
        .iter()
        .map(|arguments| {
            let told = refusal(&machine, &[&["--signing-keys", KEY], *arguments].concat());
            let (_, told) = told.split_once("\nerror: ").unwrap();
            assert!(!told.contains("private"), "{told}");
            told.to_owned()
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_address_for_alerts_that_can_not_be_used() {
    let machine = Machine::new();
    let fine = ["--alert-url", "https://hooks.example.com/private-path"];
    let missing = machine.path("missing");
    let from_file = machine.file("address", "http://hooks.example.com/private-path\n");
    let wrong: [&[&str]; 6] = [
        &["--alert-url", "hooks.example.com/private-path"],
        &["--alert-url", "http://hooks.example.com/private-path"],
        &["--alert-url-file", &from_file],
        &["--alert-url-file", missing.to_str().unwrap()],
        &[fine[0], fine[1], "--alert-url-file", &from_file],
        &["--alert-format", "slack"],
    ];
    let told: Vec<String> = wrong
        .iter()
        .map(|arguments| {
            let told = refusal(&machine, &[&["--signing-keys", KEY], *arguments].concat());
            let (_, told) = told.split_once("\nerror: ").unwrap();
            assert!(!told.contains("private"), "{told}");
            told.to_owned()
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn google_credentials_that_can_not_be_used() {
    let machine = Machine::new();
    let missing = machine.path("missing");
    let files = [
        missing.to_str().unwrap().to_owned(),
        machine.file("not-json.json", "-----BEGIN PRIVATE KEY-----"),
        machine.file("other-type.json", r#"{"type": "authorized_user", "client_id": "a", "refresh_token": "b"}"#),
        machine.path("").to_str().unwrap().to_owned(),
    ];
    let told: Vec<String> = files
        .iter()
        .map(|file| {
            refusal(&machine, &["--signing-keys", KEY, "--listen", "127.0.0.1:0", "--google-credentials", file])
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_private_key_that_is_none_does_not_cost_the_admin_password() {
    let machine = Machine::new();
    let broken = r#"{"type": "service_account", "client_email": "a@example.com", "private_key": "nonsense",
                     "token_uri": "https://example.com/token"}"#;
    let file = machine.file("broken-key.json", broken);
    let keys = ["--signing-keys", KEY, "--listen", "127.0.0.1:0"];
    machine
        .run(&[&["serve", "--google-credentials", &file], &keys[..]].concat())
        .refused(1, &["[machine]/broken-key.json"].map(|text| text.trim_start_matches("[machine]/")));
    // The first start that succeeds shows the password: none was made and lost before.
    let mut server = machine.serve(&[]);
    server.process.out.wait_for("The admin password, shown this once: ");
    server.stop();
}

#[test]
fn a_data_directory_that_can_not_be_used() {
    let machine = Machine::new();
    let file = machine.file("file", "");
    let below = machine.path("file/below");
    // Nobody may write there, whoever runs the tests.
    let places = [file.as_str(), below.to_str().unwrap(), "/proc/self/task"];
    let told: Vec<String> =
        places.iter().map(|place| refusal(&machine, &["--signing-keys", KEY, "--data-dir", place])).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_address_that_is_taken() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refusal(&machine, &["--signing-keys", KEY, "--listen", &address]);
    assert!(told.contains(&format!("can't listen on {address}")), "{told}");
    assert!(told.contains("Choose another --listen address"), "{told}");
}

#[test]
fn secrets_are_read_from_files_too() {
    let machine = Machine::new();
    let keys = machine.file("keys", format!("an older key\n{KEY}\n"));
    let password = machine.file("password", format!("{PASSWORD}\n"));
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("MEETING_MIRROR_SIGNING_KEYS_FILE", keys).env("MEETING_MIRROR_ADMIN_PASSWORD_FILE", password);
    let mut server = Server::start(&mut command);
    let payload = machine.file("payload.json", crate::process_support::event("e-1", "scheduled", "m-1", 5).to_string());
    for key in [KEY, "an older key"] {
        machine.ok(&["send", &payload, "--url", &server.url, "--key", key]);
    }
    server.process.signal("TERM");
    assert_eq!(server.process.out.rest(), "", "a password that was set is not shown");
}

#[test]
fn a_flag_may_be_set_by_the_environment_in_the_usual_words() {
    let machine = Machine::new();
    for word in ["1", "true", "yes", "on"] {
        let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
        let server = Server::start(command.env("MEETING_MIRROR_ALLOW_UNSIGNED", word));
        assert!(server.stop().contains("unsigned"), "{word}");
    }
    for word in ["0", "false", "no"] {
        run(machine.command(&["serve", "--listen", "127.0.0.1:0"]).env("MEETING_MIRROR_ALLOW_UNSIGNED", word), b"")
            .refused(1, &["no signing key is set"]);
    }
}

#[test]
fn an_unsigned_server_says_so_and_takes_unsigned_deliveries() {
    let machine = Machine::new();
    let mut server = Server::start(&mut machine.command(&["serve", "--allow-unsigned", "--listen", "127.0.0.1:0"]));
    let payload = machine.file("payload.json", crate::process_support::event("e-1", "scheduled", "m-1", 5).to_string());
    assert!(machine.ok(&["send", &payload, "--url", &server.url]).ends_with(": 1 accepted\n"));
    let Process { err, .. } = &mut server.process;
    err.wait_for("stored a delivery");
    assert_eq!(machine.json(&["inbox", "show", "e-1", "--json"])["signature"], "unsigned");
    assert!(server.stop().contains("deliveries are taken unsigned"));
}
