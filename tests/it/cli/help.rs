//! What `--help` says of each command.
//! Must not depend on the terminal or on what is set.

use clap::CommandFactory as _;
use meeting_mirror::cli::Cli;

use crate::process_support::{Machine, run};

/// Begins the part that is the same for every command.
const SETTINGS: &str = "\nSettings:\n";

fn help(machine: &Machine, command: &str) -> String {
    let mut arguments: Vec<&str> = command.split_whitespace().collect();
    arguments.push("--help");
    let mut command = machine.command(&arguments);
    for setting in ["MEETING_MIRROR_DATA_DIR", "MEETING_MIRROR_ALERT_DISK_FREE_PERCENT"] {
        command.env_remove(setting);
    }
    run(&mut command, b"").ok()
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(&Machine::new(), ""));
}

#[test]
fn help_of_each_command() {
    let machine = Machine::new();
    let whole = help(&machine, "");
    let settings = whole.split_once(SETTINGS).unwrap().1.split("\n\n").next().unwrap();
    let mut told = 0;
    for group in Cli::command().get_subcommands() {
        let mut names = vec![group.get_name().to_owned()];
        names.extend(group.get_subcommands().map(|inner| format!("{} {}", group.get_name(), inner.get_name())));
        let texts = names.iter().map(|name| {
            let help = help(&machine, name);
            let (own, shared) = help.split_once(SETTINGS).unwrap();
            assert_eq!(shared.trim_end(), settings.trim_end(), "the settings in the help of {name}");
            format!("$ meeting-mirror {name} --help\n{own}")
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        told += names.len();
        insta::assert_snapshot!(format!("help_of_{}", group.get_name()), text);
    }
    assert!(told > 25, "only {told} commands were found");
}

#[test]
fn no_line_is_wider_than_110_columns_whatever_the_terminal() {
    let machine = Machine::new();
    let ran = run(machine.command(&["--help"]).env("COLUMNS", "300"), b"");
    for line in ran.ok().lines() {
        assert!(line.chars().count() <= 110, "{line}");
    }
}

#[test]
fn secrets_of_the_environment_are_not_shown() {
    let machine = Machine::new();
    for arguments in [&["--help"][..], &["-h"], &["serve", "--help"], &["send", "--help"]] {
        let mut command = machine.command(arguments);
        command
            .env("MEETING_MIRROR_SIGNING_KEYS", "very-secret-1")
            .env("MEETING_MIRROR_ADMIN_PASSWORD", "very-secret-2")
            .env("MEETING_MIRROR_AUDIT_PUSH_URL", "https://logs.example.com/very-secret-3")
            .env("MEETING_MIRROR_AUDIT_PUSH_AUTHORIZATION", "very-secret-4");
        command.env("MEETING_MIRROR_TIME_ZONE", "Europe/Berlin");
        let help = run(&mut command, b"").ok();
        assert!(!help.contains("very-secret"), "{help}");
        assert!(help.contains("Europe/Berlin"), "what is no secret is shown: {help}");
    }
}

#[test]
fn secrets_do_not_show_in_debug() {
    use clap::Parser as _;
    let arguments = [
        "meeting-mirror",
        "--signing-keys",
        "very-secret-1",
        "--admin-password",
        "very-secret-2",
        "--audit-push-url",
        "https://logs.example.com/very-secret-3",
        "--audit-push-authorization",
        "very-secret-4",
        "send",
        "--key",
        "very-secret-5",
        "a.json",
    ];
    let debug = format!("{:#?}", Cli::try_parse_from(arguments).unwrap());
    assert!(!debug.contains("very-secret"), "{debug}");
    assert_eq!(debug.matches("(secret)").count(), 5, "{debug}");
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(Machine::new().ok(&["--version"]), concat!("meeting-mirror ", env!("CARGO_PKG_VERSION"), "\n"));
}
