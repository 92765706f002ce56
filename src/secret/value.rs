//! A secret's value in memory.

use zeroize::Zeroizing;

/// A secret's value: wiped when dropped, and without `Debug`, so that no log line can hold it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
