//! Who may name whom: the direction of imports, and the one place of each foreign crate.
//! Must not judge anything that can't be seen in a single source.

use super::source::{code, modules_named, words};

/// What each top-level module may name of ours, beside itself. `cli` may use everything, and so may `app` but for `cli`.
const HOUSE: [(&str, &[&str]); 16] = [
    ("meeting", &[]),
    ("audit", &[]),
    ("health", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("lifecycle", &["clock"]),
    ("telemetry", &["config"]),
    ("simulated_google", &[]),
    ("store", CORES),
    ("web", &["meeting", "audit", "health", "clock", "config", "lifecycle", "store"]),
    ("inbound", STAGE),
    ("outbound", STAGE),
    ("upkeep", &["meeting", "audit", "health", "clock", "config", "lifecycle", "store"]),
    ("views", STAGE),
    (
        "app",
        &[
            "meeting",
            "audit",
            "health",
            "clock",
            "config",
            "lifecycle",
            "telemetry",
            "store",
            "web",
            "inbound",
            "outbound",
            "upkeep",
            "views",
        ],
    ),
    (
        "cli",
        &[
            "meeting",
            "audit",
            "health",
            "clock",
            "config",
            "lifecycle",
            "telemetry",
            "store",
            "web",
            "inbound",
            "outbound",
            "upkeep",
            "views",
            "app",
        ],
    ),
];
const CORES: &[&str] = &["meeting", "audit", "health"];
const STAGE: &[&str] = &["meeting", "audit", "health", "clock", "config", "lifecycle", "store", "web"];

/// The simulation is for the demo only.
const SIMULATION: (&str, &str) = ("simulated_google", "src/cli/demo.rs");

/// Names that stand only below these paths.
const ONLY: [(&str, &[&str]); 7] = [
    ("sqlx", &["src/store/"]),
    ("icalendar", &["src/views/"]),
    ("askama", &["src/views/"]),
    ("askama_web", &["src/views/"]),
    ("google_calendar3", GOOGLE),
    ("yup_oauth2", GOOGLE),
    ("meeting_mirror", &["src/main.rs"]),
];
const GOOGLE: &[&str] = &["src/outbound/google/"];

/// Names that don't stand below these paths.
const NEVER: [(&str, &[&str]); 6] = [
    ("axum", &["src/meeting/", "src/audit/", "src/health/", "src/store/", "src/outbound/", "src/upkeep/"]),
    ("axum_csrf", &["src/meeting/", "src/audit/", "src/store/", "src/outbound/", "src/inbound/", "src/upkeep/"]),
    ("async", PURE),
    ("await", PURE),
    ("tokio", PURE),
    ("tracing", PURE),
];
const PURE: &[&str] = &["src/meeting/", "src/audit/", "src/health/"];

/// Ways to ask the system for the time, and the file that may.
const TIME: [&str; 4] = ["Utc::now", "Local::now", "SystemTime::now", "Instant::now"];
const CLOCK: &str = "src/clock.rs";

/// What a source breaks. `path` is from the repository's root.
pub(super) fn findings(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut findings = imports(path, &code);
    for word in words(&code) {
        for (name, places) in ONLY {
            if word.text == name && !places.iter().any(|place| path.starts_with(place)) {
                findings.push(format!("{path}:{}: {name} stands only in {}", word.line, places.join(", ")));
            }
        }
        for (name, places) in NEVER {
            if word.text == name && places.iter().any(|place| path.starts_with(place)) {
                findings.push(format!("{path}:{}: {name} has no place here", word.line));
            }
        }
    }
    for (index, line) in code.lines().enumerate() {
        for call in TIME {
            if line.contains(call) && path != CLOCK {
                findings.push(format!("{path}:{}: {call} stands only in {CLOCK}", index + 1));
            }
        }
    }
    findings
}

fn imports(path: &str, code: &str) -> Vec<String> {
    let modules: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let depth = modules.len() - usize::from(modules.last() == Some(&"mod"));
    let own = modules[0];
    if matches!(own, "lib" | "main") {
        return Vec::new();
    }
    let Some((_, may_use)) = HOUSE.iter().find(|(module, _)| *module == own) else {
        return vec![format!("{path}: the module {own} has no place in the house yet; give it one in these rules")];
    };
    let (simulation, demo) = SIMULATION;
    modules_named(code, depth)
        .into_iter()
        .filter(|(_, name)| {
            let named_by_demo = name == simulation && path == demo;
            name != own && !may_use.contains(&name.as_str()) && !named_by_demo
        })
        .map(|(line, name)| match name.as_str() {
            "{" => format!("{path}:{line}: name each module of the crate in a `use` of its own"),
            _ => format!("{path}:{line}: {own} must not use {name}"),
        })
        .collect()
}

#[test]
fn each_rule_finds_what_it_is_for() {
    let found = [
        ("src/meeting/apply.rs", "use crate::store::Store;", "meeting must not use store"),
        ("src/audit/chain.rs", "use crate::meeting::event::Kind;", "audit must not use meeting"),
        ("src/health/condition.rs", "use crate::store::Store;", "health must not use store"),
        ("src/store/inbox.rs", "use crate::clock::Clock;", "store must not use clock"),
        ("src/store/mod.rs", "use super::inbound;", "store must not use inbound"),
        ("src/inbound/webhook.rs", "use crate::outbound::mirror;", "inbound must not use outbound"),
        ("src/inbound/webhook.rs", "fn f() { crate::views::router(); }", "inbound must not use views"),
        ("src/outbound/mirror.rs", "use super::super::views::feed;", "outbound must not use views"),
        ("src/views/feed/text.rs", "use super::super::super::inbound::json;", "views must not use inbound"),
        ("src/web/links.rs", "use crate::views::feed;", "web must not use views"),
        ("src/upkeep/audit.rs", "use crate::outbound::audit_push;", "upkeep must not use outbound"),
        ("src/outbound/mirror.rs", "use crate::upkeep::audit;", "outbound must not use upkeep"),
        ("src/clock.rs", "use crate::config::Settings;", "clock must not use config"),
        ("src/app.rs", "use crate::cli::Cli;", "app must not use cli"),
        ("src/app.rs", "use crate::simulated_google::SimulatedGoogle;", "app must not use simulated_google"),
        ("src/cli/serve.rs", "use crate::simulated_google::SimulatedGoogle;", "cli must not use simulated_google"),
        ("src/simulated_google/mod.rs", "use crate::clock::Clock;", "simulated_google must not use clock"),
        ("src/views/feed.rs", "use crate::{meeting, outbound};", "a `use` of its own"),
        ("src/helpers.rs", "fn f() {}", "has no place in the house yet"),
        ("src/views/status.rs", "sqlx::query!(\"SELECT 1\");", "sqlx stands only in src/store/"),
        ("src/inbound/inbox.rs", "use icalendar::Calendar;", "icalendar stands only in src/views/"),
        ("src/web/login.rs", "#[derive(askama::Template)]", "askama stands only in src/views/"),
        ("src/outbound/mirror.rs", "use google_calendar3::api::Event;", "google_calendar3 stands only in"),
        ("src/cli/check.rs", "use meeting_mirror::app;", "meeting_mirror stands only in src/main.rs"),
        ("src/outbound/google/mod.rs", "use axum::http::HeaderMap;", "axum has no place here"),
        ("src/store/inbox.rs", "use axum::http::HeaderMap;", "axum has no place here"),
        ("src/meeting/apply.rs", "pub async fn f() {}", "async has no place here"),
        ("src/audit/diff.rs", "tokio::spawn(f);", "tokio has no place here"),
        ("src/web/session.rs", "let now = Utc::now();", "Utc::now stands only in src/clock.rs"),
        ("src/lifecycle.rs", "std::time::Instant::now()", "Instant::now stands only in src/clock.rs"),
        ("src/cli/send.rs", "SystemTime::now()", "SystemTime::now stands only in src/clock.rs"),
    ];
    for (path, source, expected) in found {
        let findings = findings(path, source);
        assert!(findings.len() == 1 && findings[0].contains(expected), "{path}: {source}: {findings:?}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let fine = [
        (
            "src/meeting/apply.rs",
            "use super::event::Kind;\nuse crate::meeting::state::Meeting;\n// crate::store, async",
        ),
        ("src/store/mod.rs", "use crate::meeting::event::Kind; use crate::audit::chain; sqlx::query!(\"\");"),
        ("src/store/error.rs", "use super::Store;"),
        ("src/inbound/webhook.rs", "use axum::Router; use crate::web::problem::Problem; use crate::clock::Clock;"),
        ("src/outbound/google/tokens.rs", "use google_calendar3::common::GetToken;"),
        ("src/views/feed.rs", "use icalendar::Calendar; const TEXT: &str = \"crate::outbound\";"),
        ("src/web/csrf.rs", "use axum_csrf::CsrfConfig;"),
        ("src/cli/demo.rs", "use crate::simulated_google::SimulatedGoogle; use crate::app::App;"),
        ("src/cli/deliver.rs", "use crate::inbound::signature::sign; use crate::outbound::https;"),
        ("src/clock.rs", "Utc::now()"),
        ("src/main.rs", "use meeting_mirror::cli;"),
        ("src/meeting/state.rs", "mod tests {\n    use super::super::event::Kind;\n}"),
    ];
    for (path, source) in fine {
        assert_eq!(findings(path, source), [""; 0], "{path}: {source}");
    }
}
