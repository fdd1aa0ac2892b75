//! Words: as they stand in `meetings.words`, and what somebody types to search, as the word indexes are asked. What meetings hold
//! and what is looked for in them become words in the same way, so that all ways to look find the same.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use serde_json::Value;
use sqlx::{QueryBuilder, Sqlite};

use super::{Store, StoreError, json_text};

/// Meetings whose words are made in one transaction.
const STEP: i64 = 500;

/// What somebody looks for: each is a word, or some in a row, of which the last may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sought(Vec<String>);

impl Sought {
    /// None when there is no word in the text.
    pub(super) fn new(text: &str) -> Option<Self> {
        let sought: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .map(|part| in_words([part]))
            .filter(|words| words != " ")
            .collect();
        (!sought.is_empty()).then_some(Self(sought))
    }

    /// For a word index.
    pub(super) fn in_index(&self) -> String {
        let phrases: Vec<_> = self.0.iter().map(|words| format!("\"{}\"*", words.trim_start())).collect();
        phrases.join(" ")
    }

    /// That a meeting's row holds it.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Sqlite>) {
        for words in &self.0 {
            sql.push(" AND instr(words, ").push_bind(words.clone()).push(") > 0");
        }
    }
}

/// What somebody looks for, for a word index of texts as they are: each word begins a word there. None when it holds no word.
pub(super) fn in_index_of_texts(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.contains(char::is_alphanumeric))
        .map(|word| format!("\"{}\"*", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The words of a meeting: of its id and of every text of its details, as JSON.
pub(super) fn of_meeting(id: &str, details: &Value) -> String {
    fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut texts = vec![id];
    collect(details, &mut texts);
    in_words(texts)
}

/// The words of texts: a space before each, in lower case, without accents; what is neither a letter nor a digit parts them.
fn in_words<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = " ".to_owned();
    for text in texts {
        if text.is_ascii() {
            push_words(&mut words, text.chars());
        } else {
            // The accents of Latin, Greek and Cyrillic letters; signs of other scripts make another letter.
            let apart = DecomposingNormalizerBorrowed::new_nfd().normalize_iter(text.chars());
            let plain = apart.filter(|c| !('\u{300}'..='\u{36f}').contains(c));
            push_words(&mut words, ComposingNormalizerBorrowed::new_nfc().normalize_iter(plain));
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
    }
    if words.len() > 1 {
        words.pop();
    }
    words
}

fn push_words(words: &mut String, text: impl Iterator<Item = char>) {
    for c in text {
        if c.is_alphanumeric() {
            // At the end of a word the Greek sigma has another form.
            words.extend(c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c }));
        } else if !words.ends_with(' ') {
            words.push(' ');
        }
    }
}

/// Makes the words of the meetings that have none yet: those that a version without them left.
pub(super) async fn complete(store: &Store) -> Result<(), StoreError> {
    let is_wordless = "SELECT EXISTS (SELECT 1 FROM meetings INDEXED BY meetings_wordless WHERE words = '')";
    // Asked first: who only reads must not wait for the right to write.
    if !sqlx::query_scalar::<_, bool>(is_wordless).fetch_one(&store.writer).await? {
        return Ok(());
    }
    let mut after = i64::MIN;
    loop {
        let mut tx = store.write().await?;
        let rows = sqlx::query!(
            r#"SELECT number AS "number!: i64", meeting_id AS "meeting_id!", details FROM meetings INDEXED BY meetings_wordless
               WHERE words = '' AND number > ? ORDER BY number LIMIT ?"#,
            after,
            STEP
        )
        .fetch_all(&mut *tx.0)
        .await?;
        let Some(last) = rows.last().map(|row| row.number) else { return Ok(()) };
        if after == i64::MIN {
            tracing::info!("the words of the meetings are made, so that they can be searched; this is done once");
        }
        after = last;
        let made = rows.iter().map(|row| {
            let details = serde_json::from_str(&row.details).unwrap_or_default();
            (row.number, of_meeting(&row.meeting_id, &details))
        });
        let made = json_text(&made.collect::<Vec<_>>())?;
        sqlx::query!(
            "UPDATE meetings SET words = made.value ->> 1 FROM jsonb_each(?) AS made WHERE number = made.value ->> 0",
            made
        )
        .execute(&mut *tx.0)
        .await?;
        tx.commit().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_letters_and_digits() {
        for (text, words) in [
            ("Łukasz MÜLLER-Lüdenscheidt", " łukasz muller ludenscheidt"),
            ("ada@example.com", " ada example com"),
            ("İstanbul, ΆΛΦΑ й 한국 2²", " istanbul αλφα и 한국 2²"),
            ("Γιώργος ΓΙΩΡΓΟΣ วัน हिन्दी", " γιωργοσ γιωργοσ วัน हिन दी"),
            (" -- ", " "),
            ("", " "),
        ] {
            assert_eq!(in_words([text]), words);
            assert_eq!(in_words([text, "x"]), format!("{} x", words.trim_end()), "{text}");
        }
    }

    #[test]
    fn what_is_typed_is_looked_for_in_rows_and_in_the_index_alike() {
        let sought = Sought::new("  demo  & ada@Exämple.c \"x\u{0}y\"").unwrap();
        assert_eq!(sought.0, [" demo", " ada example c", " x", " y"]);
        assert_eq!(sought.in_index(), "\"demo\"* \"ada example c\"* \"x\"* \"y\"*");
        let mut sql = QueryBuilder::new("");
        sought.push(&mut sql);
        assert_eq!(sql.sql().as_str().matches(" AND instr(words, ?").count(), 4);
        assert_eq!(Sought::new(" -- \" "), None);
        assert_eq!(in_index_of_texts(" Сергей -- a\"b ").unwrap(), "\"Сергей\"* \"a\"\"b\"*");
        assert_eq!(in_index_of_texts(" -- "), None);
    }
}
