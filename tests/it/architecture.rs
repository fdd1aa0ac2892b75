//! The house as the design draws it: who may name whom, and what no file may hold.
//! Each rule is a function from texts to findings, shown to find what it is for on made-up texts.

mod rules;
mod source;
mod texts;

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use meeting_mirror::cli::Cli;

/// The most lines that a source file may have.
const MOST_LINES: usize = 400;
/// Not ours, or made by tools.
const NOT_READ: [&str; 4] = ["target", ".git", "data", "Cargo.lock"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a path of the repository, by its path from there and with its text.
fn files(below: &str) -> Vec<(String, String)> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(path) else {
            found.push(path.to_owned());
            return;
        };
        for entry in entries {
            let entry = entry.unwrap();
            if !NOT_READ.iter().any(|name| entry.file_name() == *name) {
                walk(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(below), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{below} holds no file: the check would say nothing");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, String::from_utf8_lossy(&bytes).into_owned())
    };
    found.into_iter().map(read).collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn modules_name_only_what_the_design_lets_them() {
    let sources: Vec<_> = files("src").into_iter().filter(|(path, _)| is_rust(path)).collect();
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let findings: Vec<String> = sources.iter().flat_map(|(path, text)| rules::findings(path, text)).collect();
    assert_none(&findings);
}

#[test]
fn no_source_is_longer_than_400_lines() {
    let sources = [files("src"), files("tests")].concat();
    let findings: Vec<String> = sources
        .iter()
        .filter(|(path, text)| is_rust(path) && text.lines().count() > MOST_LINES)
        .map(|(path, text)| format!("{path} has {} lines, {MOST_LINES} at most", text.lines().count()))
        .collect();
    assert_none(&findings);
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn templates_escape_everything() {
    let findings: Vec<String> =
        files("templates").iter().flat_map(|(path, text)| texts::unescaped(path, text)).collect();
    assert_none(&findings);
}

#[test]
fn every_column_of_the_database_is_explained() {
    let mut columns = 0;
    let mut findings = Vec::new();
    for (path, text) in files("migrations") {
        let (seen, unexplained) = texts::columns(&path, &text);
        columns += seen;
        findings.extend(unexplained);
    }
    assert!(columns > 50, "only {columns} columns were found");
    assert_none(&findings);
}

#[test]
fn every_path_that_the_readme_names_exists() {
    let sources: Vec<String> = [files("src"), files("tests")].concat().into_iter().map(|(path, _)| path).collect();
    let exists = |path: &str| {
        let file_name = |source: &String| Path::new(source).file_name().is_some_and(|name| name == path);
        root().join(path).exists() || root().join("src").join(path).exists() || sources.iter().any(file_name)
    };
    assert_none(&texts::missing_paths(&text("README.md"), exists));
}

#[test]
fn the_readme_tells_of_every_setting_and_of_no_other() {
    let command = Cli::command();
    let settings: Vec<(String, String)> = command
        .get_arguments()
        .filter(|argument| argument.get_help_heading() == Some("Settings"))
        .map(|argument| {
            let env = argument.get_env().unwrap_or_else(|| panic!("{} has no variable", argument.get_id()));
            (format!("--{}", argument.get_long().unwrap()), env.to_str().unwrap().to_owned())
        })
        .collect();
    assert!(settings.len() > 10, "only {} settings were found", settings.len());
    for (flag, variable) in &settings {
        let expected = format!("MEETING_MIRROR_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
        assert_eq!(variable, &expected, "the variable of {flag}");
    }
    let mut flags: Vec<String> = settings.iter().map(|(flag, _)| flag.clone()).collect();
    add_flags(&command, &mut flags);
    assert_none(&texts::settings_not_told(&text("README.md"), &settings, &flags));
}

fn add_flags(command: &clap::Command, flags: &mut Vec<String>) {
    flags.extend(command.get_arguments().filter_map(|argument| argument.get_long()).map(|long| format!("--{long}")));
    for inner in command.get_subcommands() {
        add_flags(inner, flags);
    }
}

#[test]
fn no_text_names_a_package_registry() {
    let findings: Vec<String> = files("").iter().flat_map(|(path, text)| texts::registries(path, text)).collect();
    assert_none(&findings);
}
