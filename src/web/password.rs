//! The admin password: hashed with Argon2id, compared off the async threads.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use data_encoding::BASE32_NOPAD;

use crate::clock::Randomness;
use crate::config::Secret;

/// A new password for people to copy: four groups of five letters and digits, 100 bits.
pub fn generate(randomness: &Randomness) -> Secret {
    let letters = BASE32_NOPAD.encode(&randomness.bytes::<13>()).to_ascii_lowercase();
    let groups: Vec<&str> = (0..4).map(|group| &letters[group * 5..group * 5 + 5]).collect();
    Secret::new(groups.join("-"))
}

/// The hash to store, as a PHC string. Takes some tens of milliseconds.
///
/// # Errors
/// When the hash can't be computed: out of memory.
pub fn hash(password: &Secret, randomness: &Randomness) -> Result<String, argon2::password_hash::Error> {
    let salt: [u8; 16] = randomness.bytes();
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(password.reveal().as_bytes(), &salt)?;
    Ok(hash.to_string())
}

/// Whether the password is the one that was hashed. Takes some tens of milliseconds.
pub fn verify(password: &Secret, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_verifies() {
        let random = Randomness::seeded(5);
        let password = generate(&random);
        assert_eq!(password.reveal().len(), 23);
        let stored = hash(&password, &random).unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify(&password, &stored));
        assert!(!verify(&Secret::new("another password"), &stored));
        assert!(!verify(&password, "not a hash"));
    }
}
