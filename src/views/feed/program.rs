//! Which calendar program asks, by its user agent. Only its class is kept: nothing that could tell one person's from another's.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// A class of programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// In the database.
    pub word: &'static str,
    /// For people.
    pub name: &'static str,
    /// Any of these stands in its user agent, in letters of either case.
    marks: &'static [&'static str],
}

const fn program(word: &'static str, name: &'static str, marks: &'static [&'static str]) -> Program {
    Program { word, name, marks }
}

/// The first whose mark is found wins: many programs also call themselves a browser.
static PROGRAMS: [Program; 17] = [
    program("google", "Google Calendar", &["google-calendar-importer"]),
    program("outlook-web", "Outlook on the web", &["microsoft.exchange", "exchangeservicesclient"]),
    program("outlook", "Outlook (classic)", &["microsoft outlook", "microsoft office", "ms-office", "msoffice"]),
    program("apple-mac", "Apple Calendar (Mac)", &["calendaragent", "macos/", "mac os x/", "mac+os+x/"]),
    program("apple-phone", "iPhone or iPad", &["dataaccessd"]),
    program("thunderbird", "Thunderbird", &["thunderbird", "lightning"]),
    program("icsx5", "ICSx⁵ (Android)", &["icsx5", "icsdroid", "davx5", "davdroid"]),
    program("evolution", "Evolution", &["evolution"]),
    program("kde", "KDE Kontact", &["korganizer", "akonadi", "kontact"]),
    program("nextcloud", "Nextcloud", &["nextcloud"]),
    program("home-assistant", "Home Assistant", &["homeassistant", "home-assistant", "home assistant"]),
    program("fastmail", "Fastmail", &["fastmail"]),
    program("proton", "Proton Calendar", &["proton"]),
    program("fantastical", "Fantastical", &["fantastical"]),
    program("vdirsyncer", "vdirsyncer", &["vdirsyncer"]),
    program("browser", "A web browser", &["mozilla/", "opera/"]),
    program(
        "script",
        "A script",
        &["curl", "wget", "python", "aiohttp", "go-http-client", "okhttp", "java/", "libwww"],
    ),
];
static OTHER: Program = program("other", "Another program", &[]);
static UNNAMED: Program = program("unnamed", "A program without a name", &[]);

/// Octets of a user agent that are looked at.
const LOOKED_AT: usize = 300;

/// Finds all marks in one pass, as every request for a feed is looked at; and of each mark whose it is.
static MARKS: LazyLock<(AhoCorasick, Vec<&'static Program>)> = LazyLock::new(|| {
    let marks = PROGRAMS.iter().flat_map(|program| program.marks.iter().map(move |mark| (*mark, program)));
    let (marks, programs): (Vec<&str>, Vec<&Program>) = marks.unzip();
    #[expect(clippy::expect_used, reason = "these few words always make an automaton")]
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(marks).expect("the marks are few");
    (automaton, programs)
});

impl Program {
    /// The class of a user agent.
    pub fn of(user_agent: Option<&[u8]>) -> &'static Self {
        let text = user_agent.unwrap_or_default().trim_ascii();
        if text.is_empty() {
            return &UNNAMED;
        }
        let (automaton, programs) = &*MARKS;
        let found = automaton.find_overlapping_iter(&text[..text.len().min(LOOKED_AT)]).map(|mark| mark.pattern());
        found.min().map_or(&OTHER, |mark| programs[mark.as_usize()])
    }

    /// The name for people of the class with this word.
    pub fn name_of(word: &str) -> &'static str {
        PROGRAMS.iter().chain([&UNNAMED]).find(|program| program.word == word).unwrap_or(&OTHER).name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_by_their_user_agents() {
        for (user_agent, word) in [
            ("Google-Calendar-Importer", "google"),
            ("Microsoft.Exchange/15.20 (Windows NT 10.0; Win64; x64)", "outlook-web"),
            ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)", "outlook"),
            ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "outlook"),
            ("Mac+OS+X/10.11.6 (15G1004) CalendarAgent/361.2", "apple-mac"),
            ("macOS/14.5 (23F79) dataaccessd/1.0", "apple-mac"),
            ("iOS/17.5 (21F79) dataaccessd/1.0", "apple-phone"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.3", "thunderbird"),
            ("ICSx5/2.2.4 (ktor; okhttp) Android/14", "icsx5"),
            ("Evolution/3.52", "evolution"),
            ("HomeAssistant/2026.4 httpx/0.27 Python/3.12", "home-assistant"),
            ("vdirsyncer/0.19.0", "vdirsyncer"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1", "browser"),
            ("curl/8.5.0", "script"),
            ("something else", "other"),
            ("  ", "unnamed"),
        ] {
            assert_eq!(Program::of(Some(user_agent.as_bytes())).word, word, "{user_agent}");
        }
        assert_eq!(Program::of(None), &UNNAMED);
        assert_eq!(Program::of(Some(&[0xff; 5000])), &OTHER);
    }

    #[test]
    fn each_word_stands_once_and_leads_to_its_name() {
        for program in &PROGRAMS {
            assert_eq!(PROGRAMS.iter().filter(|other| other.word == program.word).count(), 1, "{}", program.word);
            assert_eq!(Program::name_of(program.word), program.name);
        }
        assert_eq!(Program::name_of("unnamed"), UNNAMED.name);
        assert_eq!(Program::name_of("of a newer version"), OTHER.name);
    }
}
