//! Links to feeds. A feed's token is `<public id>.<MAC over id and generation>`: the link can be shown again at any time,
//! and nothing in the database lets anybody make one.

use data_encoding::BASE32_NOPAD;
use hmac::Mac;
use url::Url;

use super::secret_key::{SecretKey, keyed, mac};
use crate::clock::Randomness;
use crate::store::Feed;

/// Bytes of the MAC that stand in a link: 160 bits.
const MAC_LENGTH: usize = 20;

/// Makes and checks links.
#[derive(Debug, Clone)]
pub struct Links {
    public_url: String,
    key: Key,
}

#[derive(Clone)]
struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// What a token's MAC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It is the feed's present link.
    Current,
    /// It was the feed's link before a rotation.
    Rotated,
    /// It never was.
    Forged,
}

impl Links {
    /// Links below `public_url`.
    pub fn new(public_url: &Url, secret: &SecretKey) -> Self {
        Self { public_url: public_url.as_str().trim_end_matches('/').to_owned(), key: Key(secret.derive("feed links")) }
    }

    /// A new public id for a feed: 80 random bits.
    pub fn new_public_id(randomness: &Randomness) -> String {
        encode(&randomness.bytes::<10>())
    }

    /// Base of every link, without a slash at its end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The token of a feed's present link.
    pub fn token(&self, feed: &Feed) -> String {
        let text = message(&feed.wish.public_id, feed.generation);
        format!("{}.{}", feed.wish.public_id, encode(&mac(&self.key.0, &text)[..MAC_LENGTH]))
    }

    /// The address to subscribe to.
    pub fn feed_url(&self, feed: &Feed) -> String {
        format!("{}/feeds/{}.ics", self.public_url, self.token(feed))
    }

    /// The page that explains how to subscribe.
    pub fn subscribe_url(&self, feed: &Feed) -> String {
        format!("{}/subscribe/{}", self.public_url, self.token(feed))
    }

    /// The public id that a token names; none when it is no token at all.
    pub fn public_id(token: &str) -> Option<&str> {
        token.split_once('.').map(|(id, _)| id).filter(|id| !id.is_empty() && id.len() <= 64)
    }

    /// Compares a token's MAC, in constant time, with every link the feed ever had.
    pub fn check(&self, token: &str, feed: &Feed) -> TokenState {
        let given = token.split_once('.').map(|(_, mac)| mac.to_ascii_uppercase());
        let Some(given) = given.and_then(|text| BASE32_NOPAD.decode(text.as_bytes()).ok()) else {
            return TokenState::Forged;
        };
        if given.len() != MAC_LENGTH {
            return TokenState::Forged;
        }
        for generation in (1..=feed.generation).rev() {
            let expected = keyed(&self.key.0, &message(&feed.wish.public_id, generation));
            if expected.verify_truncated_left(&given).is_ok() {
                return if generation == feed.generation { TokenState::Current } else { TokenState::Rotated };
            }
        }
        TokenState::Forged
    }
}

fn message(public_id: &str, generation: u32) -> Vec<u8> {
    format!("{public_id}/{generation}").into_bytes()
}

fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
    use crate::store::NewFeed;

    fn feed(public_id: &str, generation: u32) -> Feed {
        Feed {
            id: 1,
            wish: NewFeed {
                public_id: public_id.into(),
                name: "Team".into(),
                selection: Selection::default(),
                detail: Detail::Full,
                window: Window { past_days: 30, future_days: 365 },
                canceled_days: 7,
                show_as: ShowAs::Free,
            },
            generation,
            edition: 0,
            created_at: chrono::DateTime::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    fn links(seed: u64) -> Links {
        let dir = tempfile::tempdir().unwrap();
        let secret = SecretKey::load(dir.path(), true, &Randomness::seeded(seed)).unwrap();
        Links::new(&Url::parse("https://mirror.example.com/").unwrap(), &secret)
    }

    #[test]
    fn a_token_is_current_until_the_feed_is_rotated() {
        let links = links(1);
        let token = links.token(&feed("abc", 1));
        assert_eq!(Links::public_id(&token), Some("abc"));
        assert_eq!(links.check(&token, &feed("abc", 1)), TokenState::Current);
        assert_eq!(links.check(&token, &feed("abc", 3)), TokenState::Rotated);
        assert_eq!(links.check(&token, &feed("abd", 1)), TokenState::Forged);
    }

    #[test]
    fn forged_cut_and_foreign_tokens_are_refused() {
        let token = links(1).token(&feed("abc", 1));
        for bad in ["abc", "abc.", "abc.!!", &token[..token.len() - 2], &format!("{token}aa")] {
            assert_eq!(links(1).check(bad, &feed("abc", 1)), TokenState::Forged, "{bad}");
        }
        assert_eq!(links(2).check(&token, &feed("abc", 1)), TokenState::Forged);
    }

    #[test]
    fn links_stay_short_enough_for_calendar_programs() {
        let url = links(1).feed_url(&feed(&Links::new_public_id(&Randomness::seeded(3)), 1));
        assert!(url.starts_with("https://mirror.example.com/feeds/") && url.contains(".ics"));
        assert!(url.len() + 160 - "https://mirror.example.com".len() <= 256, "{}", url.len());
    }
}
