//! Asset tickers, stored inline so that copying one never allocates.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An asset's ticker, such as `BTC`: 1 to 15 bytes, ASCII upper-case letters and digits (or any printable ASCII that a
/// venue uses), compared as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset([u8; 15], u8);

/// Why a text is no ticker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an asset's ticker has 1 to 15 printable ASCII characters without spaces, this is {0:?}")]
pub struct AssetError(String);

impl Asset {
    /// Korean won.
    pub const KRW: Self = Self::literal("KRW");
    /// Tether, the quote of Binance's market.
    pub const USDT: Self = Self::literal("USDT");

    const fn literal(text: &str) -> Self {
        let source = text.as_bytes();
        let mut bytes = [0; 15];
        let mut i = 0;
        while i < source.len() {
            bytes[i] = source[i];
            i += 1;
        }
        Self(bytes, source.len() as u8)
    }

    /// Reads a ticker.
    ///
    /// # Errors
    /// When it is empty, longer than 15 bytes, or holds anything but printable ASCII.
    pub fn new(text: &str) -> Result<Self, AssetError> {
        let source = text.as_bytes();
        if source.is_empty() || source.len() > 15 || !source.iter().all(u8::is_ascii_graphic) {
            return Err(AssetError(text.chars().take(40).collect()));
        }
        let mut bytes = [0; 15];
        bytes[..source.len()].copy_from_slice(source);
        Ok(Self(bytes, source.len() as u8))
    }

    /// The ticker as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this never takes the fallback.
        std::str::from_utf8(&self.0[..usize::from(self.1)]).unwrap_or("?")
    }
}

impl std::fmt::Display for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Asset {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        Self::new(text)
    }
}

impl Serialize for Asset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
