//! The fields of forms: each with its label, a hint, what was typed, and what is wrong with it beside it.

use askama::Template;
use askama::filters::HtmlSafe;

/// What is wrong with a form: of which field, and what to do. In the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wrong(Vec<(&'static str, String)>);

impl Wrong {
    /// Notes what is wrong with a field.
    pub(super) fn add(&mut self, field: &'static str, text: impl AsRef<str>) {
        let text = super::words::capital(super::mirror_state::sentence(text.as_ref()));
        self.0.push((field, text));
    }

    /// The value that was read, or none with its fault noted.
    pub(super) fn read<T>(&mut self, field: &'static str, value: Result<T, String>) -> Option<T> {
        value.map_err(|text| self.add(field, text)).ok()
    }

    /// What is wrong with that field.
    fn of(&self, field: &str) -> Option<String> {
        self.0.iter().find(|(wrong, _)| *wrong == field).map(|(_, text)| text.clone())
    }

    /// Whether all is well.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each field with what is wrong.
    pub(super) fn all(&self) -> &[(&'static str, String)] {
        &self.0
    }
}

/// Texts that are told of those known.
const KNOWN: usize = 8;

/// What one types, or chooses.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// One line.
    Line,
    /// Several lines.
    Lines,
    /// A number of days.
    Days,
    /// One of these: the word that is sent, and its label.
    Choice(Vec<(&'static str, String)>),
}

/// One field.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/field.html")]
pub(super) struct Field {
    id: &'static str,
    label: &'static str,
    hint: String,
    /// Texts to choose from, and how many more there are.
    known: Vec<String>,
    more_known: usize,
    value: String,
    wrong: Option<String>,
    input: Input,
}

// Its template escapes what it shows.
impl HtmlSafe for Field {}

impl Field {
    /// A field with what was typed; `id` is also the name that is sent.
    pub(super) fn new(id: &'static str, label: &'static str, input: Input, value: &str, wrong: &Wrong) -> Self {
        Self {
            id,
            label,
            hint: String::new(),
            known: Vec::new(),
            more_known: 0,
            value: value.to_owned(),
            wrong: wrong.of(id),
            input,
        }
    }

    /// With a hint.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// With some of the texts that are known so far, below the hint.
    pub(super) fn known(self, texts: &[String]) -> Self {
        let shown = texts.len().min(KNOWN);
        Self { known: texts[..shown].to_vec(), more_known: texts.len() - shown, ..self }
    }

    fn is_days(&self) -> bool {
        matches!(self.input, Input::Days)
    }

    fn is_lines(&self) -> bool {
        matches!(self.input, Input::Lines)
    }

    fn is_chosen(&self, word: &str) -> bool {
        self.value == word
    }

    /// What describes the field: the ids of its hint and of what is wrong.
    fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.hint.is_empty() {
            ids.push(format!("{}-hint", self.id));
        }
        if self.wrong.is_some() {
            ids.push(format!("{}-wrong", self.id));
        }
        ids.join(" ")
    }
}
