//! Reads pages as a browser does, as far as it matters here: which elements there are, with which attributes, and what text.

use reqwest::Response;

/// The begin of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// The text behind it, up to the next element's begin or end.
    pub(crate) text: String,
}

impl Element {
    /// The value of an attribute; empty when it is absent.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.attributes.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// Begins and ends (named `/name`) of all elements, in order.
pub(crate) fn elements(page: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    for tag in page.split('<').skip(1) {
        let mut rest = tag;
        let name_ends = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let name = rest[..name_ends].to_lowercase();
        rest = &rest[name_ends..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            let ends = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>')).unwrap_or(rest.len());
            let name = rest[..ends].to_lowercase();
            rest = rest[ends..].trim_start();
            let value = match rest.strip_prefix('=') {
                None => "",
                Some(value) => {
                    let value = value.trim_start();
                    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
                    let inner = &value[quote.map_or(0, char::len_utf8)..];
                    let ends = match quote {
                        Some(quote) => inner.find(quote),
                        None => inner.find(|c: char| c.is_whitespace() || c == '>'),
                    };
                    let ends = ends.unwrap_or(inner.len());
                    rest = inner[ends..].trim_start_matches(quote.unwrap_or('\0'));
                    &inner[..ends]
                }
            };
            if name.is_empty() {
                break;
            }
            attributes.push((name, unescaped(value)));
        }
        let text = rest.strip_prefix('>').unwrap_or(rest);
        elements.push(Element { name, attributes, text: unescaped(text) });
    }
    elements
}

fn unescaped(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
    ];
    let text = named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&#38;", "&").replace("&amp;", "&")
}

/// The hidden field `token` of the first form.
pub(crate) fn form_token(page: &str) -> String {
    let field = elements(page).into_iter().find(|element| element.value("name") == "token");
    field.expect("a form with a token").value("value").to_owned()
}

/// The cookies that an answer sets, as a request sends them back.
pub(super) fn cookies(answer: &Response) -> String {
    let set = answer.headers().get_all("set-cookie").iter();
    set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}
