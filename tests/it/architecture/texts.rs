//! Rules for what is not Rust: templates, migrations, README, and every text.
//! Must not read files: texts are handed in, so that made-up ones can be.

/// Hosts of package registries, put together here so that this file does not name one.
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("npmjs", ".com"),
    concat!("npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("rubygems", ".org"),
    concat!("proxy.", "golang.org"),
];

/// Folders of the repository: what begins with one of them is a path in it.
const FOLDERS: [&str; 9] =
    ["src/", "tests/", "migrations/", "templates/", "fixtures/", "benches/", "docs/", ".ci/", ".sqlx/"];

/// Where a template switches escaping off.
pub(super) fn unescaped(path: &str, template: &str) -> Vec<String> {
    let lines = template.lines().enumerate();
    lines
        .filter(|(_, line)| {
            let after_bars = line.split('|').skip(1).map(str::trim_start);
            let safe =
                |word: &str| word.strip_prefix("safe").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
            after_bars.clone().any(safe) || line.contains("escape(\"none\")")
        })
        .map(|(index, _)| format!("{path}:{}: a text is shown as it is; let it be escaped", index + 1))
        .collect()
}

/// How many columns the tables of a migration have, and those without a comment on their line.
pub(super) fn columns(path: &str, sql: &str) -> (usize, Vec<String>) {
    let (mut count, mut findings) = (0, Vec::new());
    let mut table = None;
    for (index, line) in sql.lines().enumerate() {
        if let Some(rest) = line.trim_start().strip_prefix("CREATE TABLE ") {
            table = rest.split_whitespace().next();
        } else if line.starts_with(')') {
            table = None;
        } else if let Some(table) = table {
            let name = line.split_whitespace().next().unwrap_or_default();
            // Constraints are written in capitals.
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                count += 1;
                if !line.contains("-- ") {
                    findings.push(format!("{path}:{}: the column {table}.{name} has no comment", index + 1));
                }
            }
        }
    }
    (count, findings)
}

/// Paths of the repository that a README names and that `exists` does not know.
pub(super) fn missing_paths(readme: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in readme.lines().enumerate() {
        let separators = |c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c));
        for word in line.split(separators) {
            let path = word.trim_end_matches(['.', '/']).trim_start_matches("./");
            let is_path = FOLDERS.iter().any(|folder| word.trim_start_matches("./").starts_with(folder));
            let is_source = super::is_rust(path) && !line.contains("://");
            if (is_path || is_source) && !exists(path) {
                findings.push(format!("README.md:{}: {path} does not exist", index + 1));
            }
        }
    }
    findings
}

/// Settings (flag and variable) that a README does not tell, and flags and variables in it that do not exist. `flags` are
/// those of all commands; a flag counts as told of in the first column of a table.
pub(super) fn settings_not_told(readme: &str, settings: &[(String, String)], flags: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let is_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    let words: Vec<&str> = readme.split(|c| !is_flag(c)).collect();
    for (flag, _) in settings {
        if !words.contains(&flag.as_str()) {
            findings.push(format!("README.md does not tell of {flag}"));
        }
    }
    for (index, line) in readme.lines().enumerate() {
        let first_column = line.strip_prefix('|').and_then(|row| row.split('|').next()).unwrap_or_default();
        for flag in first_column.split(|c| !is_flag(c)).filter(|word| word.starts_with("--") && word.len() > 2) {
            let rule = flag.trim_matches('-').is_empty();
            if !rule && !flags.iter().any(|known| known == flag) {
                findings.push(format!("README.md:{}: there is no {flag}", index + 1));
            }
        }
        for word in line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            let variable = word.strip_prefix("MEETING_MIRROR_").is_some_and(|rest| !rest.is_empty());
            if variable && !settings.iter().any(|(_, known)| known == word) {
                findings.push(format!("README.md:{}: there is no {word}", index + 1));
            }
        }
    }
    findings
}

/// Where a text names a package registry.
pub(super) fn registries(path: &str, text: &str) -> Vec<String> {
    let named = |line: &str| REGISTRIES.iter().any(|host| line.to_ascii_lowercase().contains(host));
    let lines = text.lines().enumerate().filter(|(_, line)| named(line));
    lines.map(|(index, _)| format!("{path}:{}: names a package registry", index + 1)).collect()
}

#[test]
fn unescaped_texts_in_templates_are_found() {
    for bad in ["{{ title|safe }}", "{{ title | safe }}", "{{ a|lower|safe}}", "{{ a|escape(\"none\") }}"] {
        assert_eq!(unescaped("a.html", &format!("<p>\n{bad}</p>")).len(), 1, "{bad}");
    }
    for good in ["{{ title }}", "{{ title|safety }}", "<p>safe | sound</p>", "{{ safe }}"] {
        assert_eq!(unescaped("a.html", good), [""; 0], "{good}");
    }
}

#[test]
fn columns_without_a_comment_are_found() {
    let sql = "CREATE TABLE a (\n    id   INTEGER PRIMARY KEY, -- the number\n    name TEXT NOT NULL,\n    \
               UNIQUE (id, name)\n) STRICT;\nCREATE INDEX a_name ON a (\n    name\n);\nCREATE TABLE b (\n    x TEXT\n);";
    let (count, findings) = columns("1.sql", sql);
    assert_eq!(count, 3);
    assert_eq!(findings, ["1.sql:3: the column a.name has no comment", "1.sql:10: the column b.x has no comment"]);
}

#[test]
fn paths_that_do_not_exist_are_found() {
    let readme = "See `src/app.rs`, [tests](tests/it/), `src/gone/`, and `lost.rs`.\n\
                  ```\nsrc/\n  mirror.rs  nothing.rs\n```\nGET /feeds/x.ics, ./data, a/b, https://example.com/x.rs, `.ci/run`.";
    let known = ["src/app.rs", "tests/it", "src", "mirror.rs", ".ci/run"];
    let findings = missing_paths(readme, |path| known.contains(&path));
    assert_eq!(
        findings,
        [
            "README.md:1: src/gone does not exist",
            "README.md:1: lost.rs does not exist",
            "README.md:4: nothing.rs does not exist"
        ]
    );
}

#[test]
fn settings_that_are_not_told_and_settings_that_do_not_exist_are_found() {
    let settings = ["listen", "data-dir"]
        .map(|name| (format!("--{name}"), format!("MEETING_MIRROR_{}", name.replace('-', "_").to_uppercase())));
    let flags = ["--listen", "--data-dir", "--json"].map(str::to_owned);
    let all = "| flag | |\n|---|---|\n| `--listen` | |\n| `--data-dir` | |\n| `--json` | |\n`cargo run --release`\n\
               `MEETING_MIRROR_…` `MEETING_MIRROR_LISTEN`";
    assert_eq!(settings_not_told(all, &settings, &flags), [""; 0]);
    let wrong = "| `--listen-on` | |\n| `--data-dir`, `MEETING_MIRROR_DATADIR` | |";
    assert_eq!(
        settings_not_told(wrong, &settings, &flags),
        [
            "README.md does not tell of --listen",
            "README.md:1: there is no --listen-on",
            "README.md:2: there is no MEETING_MIRROR_DATADIR"
        ]
    );
}

#[test]
fn package_registries_are_found() {
    for host in REGISTRIES {
        assert_eq!(registries("a.md", &format!("x\nhttps://{host}/y")), ["a.md:2: names a package registry"]);
    }
    assert_eq!(registries("a.md", "https://example.com/crates"), [""; 0]);
}
