//! The page on which a person watches the simulated calendars fill.
//! Must escape every text that comes from an event, and must run no script.

use std::fmt::Write as _;

use super::answer::Resource;
use super::calendar::{Access, Calendar, SimulatedEvent, is_deleted};
use super::event_rules::EventTime;
use super::world::World;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="3">
<title>Simulated Google Calendar</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.45; }
body { max-width: 50rem; margin: 0 auto; padding: 0 1rem 3rem; }
.banner { border: 2px solid #b26a00; border-radius: .4rem; padding: .5rem .8rem; margin: 1rem 0; }
ol { list-style: none; padding: 0; }
li { border-left: .25rem solid #1a73e8; padding: .1rem .7rem; margin: .7rem 0; overflow-wrap: anywhere; }
li.free { border-left-style: dotted; }
li:target { outline: 2px solid #1a73e8; }
time, .quiet { opacity: .75; }
.text { white-space: pre-line; margin: .2rem 0; font-size: .9em; }
</style>
</head>
<body>
<h1>Simulated Google Calendar</h1>
<p class="banner" role="note"><strong>This is a simulation inside the demo.</strong> It is not Google. Nothing here
leaves this computer, and everything is gone when the demo ends. Times are UTC.</p>
"#;

pub(super) fn render(world: &World) -> String {
    let mut page = HEAD.to_owned();
    if world.calendars.is_empty() {
        page.push_str("<p>There is no calendar yet.</p>\n");
    }
    for calendar in world.calendars.values() {
        section(&mut page, calendar);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn section(page: &mut String, calendar: &Calendar) {
    let access = match calendar.access {
        Access::Writer => "shared: make changes to events",
        Access::Reader => "shared: see all event details",
        Access::NotShared => "not shared",
    };
    let mut standing: Vec<&Resource> = Vec::new();
    let mut deleted = 0_usize;
    for (_, event) in calendar.events() {
        if is_deleted(event) {
            deleted += 1;
        } else {
            standing.push(event);
        }
    }
    let mut events: Vec<SimulatedEvent> = standing.into_iter().map(SimulatedEvent::read).collect();
    events.sort_by_cached_key(|event| (event.start.map(EventTime::instant), event.id.clone()));

    add(
        page,
        format_args!(
            "<section>\n<h2>{}</h2>\n<p class=\"quiet\">{} · {access}</p>\n",
            escape(&calendar.name),
            escape(&calendar.id)
        ),
    );
    if events.is_empty() {
        page.push_str("<p>No events.</p>\n");
    } else {
        page.push_str("<ol>\n");
        for event in &events {
            item(page, calendar, event);
        }
        page.push_str("</ol>\n");
    }
    add(
        page,
        format_args!(
            "<p class=\"quiet\">{}, {deleted} deleted</p>\n</section>\n",
            match events.len() {
                1 => "1 event".to_owned(),
                count => format!("{count} events"),
            }
        ),
    );
}

fn item(page: &mut String, calendar: &Calendar, event: &SimulatedEvent) {
    let class = if event.transparency == "transparent" { " class=\"free\"" } else { "" };
    add(
        page,
        format_args!(
            "<li{class} id=\"{}\"><time>{}</time><br><strong>{}</strong>",
            escape(&calendar.anchor(&event.id)),
            span(event.start, event.end),
            escape(event.summary.as_deref().unwrap_or("(no title)"))
        ),
    );
    for text in [&event.location, &event.description].into_iter().flatten() {
        add(page, format_args!("<div class=\"text\">{}</div>", escape(text)));
    }
    page.push_str("</li>\n");
}

fn span(start: Option<EventTime>, end: Option<EventTime>) -> String {
    match (start, end) {
        (Some(EventTime::Day(first)), _) => format!("{}, all day", first.format("%a %-d %b %Y")),
        (Some(EventTime::At(start)), Some(EventTime::At(end))) => {
            let same_day = start.date_naive() == end.date_naive();
            let end = end.format(if same_day { "%H:%M" } else { "%a %-d %b %Y %H:%M" });
            format!("{} – {end}", start.format("%a %-d %b %Y %H:%M"))
        }
        _ => "no time".to_owned(),
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = page.write_fmt(text);
}

/// Escapes for text and for quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
