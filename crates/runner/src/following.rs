//! The section `[streams]` of the configuration: how the venues' streams are followed.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use venues::StreamSettings;
use venues::upbit::stream::{Books, Format};

/// How Upbit spells its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UpbitFormat {
    /// Long names.
    #[default]
    Default,
    /// Short names: half the bytes.
    Simple,
    /// Long names, in lists.
    JsonList,
    /// Short names, in lists.
    SimpleList,
}

/// How the venues' streams are followed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamSection {
    /// Follow Binance's best quotes beside its diffs: a book that differs from them for long starts over.
    pub book_ticker: bool,
    /// `DEFAULT`, `SIMPLE`, `JSON_LIST` or `SIMPLE_LIST`.
    pub upbit_format: UpbitFormat,
    /// Levels a side of Upbit's books: 1, 5, 15 or 30.
    pub upbit_depth: u8,
    /// A Binance connection gets its successor at this age at the latest, seconds; the venue ends it after 86 400.
    pub renew_after_s: u64,
}

impl Default for StreamSection {
    fn default() -> Self {
        Self { book_ticker: true, upbit_format: UpbitFormat::Default, upbit_depth: 15, renew_after_s: 84_600 }
    }
}

impl StreamSection {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range, with what it must be.
    pub fn check(&self) -> Result<(), String> {
        if ![1, 5, 15, 30].contains(&self.upbit_depth) {
            return Err(format!("streams.upbit_depth is {}; it must be 1, 5, 15 or 30", self.upbit_depth));
        }
        if !(1..86_400).contains(&self.renew_after_s) {
            return Err(format!(
                "streams.renew_after_s is {}; it must be below 86400, at which the venue ends a connection",
                self.renew_after_s
            ));
        }
        Ok(())
    }

    /// The clients' settings.
    pub fn settings(&self, seed: u64) -> StreamSettings {
        let format = match self.upbit_format {
            UpbitFormat::Default => Format::Default,
            UpbitFormat::Simple => Format::Simple,
            UpbitFormat::JsonList => Format::JsonList,
            UpbitFormat::SimpleList => Format::SimpleList,
        };
        StreamSettings {
            upbit: Books { format, depth: self.upbit_depth },
            book_ticker: self.book_ticker,
            renew_after: Duration::from_secs(self.renew_after_s),
            ..StreamSettings::new(seed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_checked() {
        let section: StreamSection =
            toml::from_str("upbit_format = \"SIMPLE_LIST\"\nupbit_depth = 30").unwrap();
        assert!(section.check().is_ok());
        let settings = section.settings(7);
        assert_eq!(
            (settings.upbit.format.as_str(), settings.upbit.depth, settings.seed),
            ("SIMPLE_LIST", 30, 7)
        );
        assert!(settings.book_ticker && settings.renew_after < Duration::from_secs(86_400));
        for wrong in ["upbit_depth = 2", "renew_after_s = 86400"] {
            let section: StreamSection = toml::from_str(wrong).unwrap();
            assert!(section.check().unwrap_err().contains("must be"), "{wrong}");
        }
    }
}
