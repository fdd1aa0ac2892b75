//! The tabs above a list.

/// One tab: what the list then shows, and how much that is.
pub(super) struct Tab {
    /// For people.
    pub(super) label: &'static str,
    /// Where it leads.
    pub(super) href: String,
    /// How much there is; none where the list is narrowed by more, so that this is not known.
    pub(super) number: Option<i64>,
    /// Whether the list shows it now.
    pub(super) current: bool,
}
