//! The console log on disk, within its cap: its beginning is kept, and its newest parts. Counting lines is not done here.

use crate::archive::names;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The newest parts that are kept beside the first.
const NEWEST: usize = 4;

/// A log in parts: `<label>_console.log` holds the beginning, up to half of the cap; `<label>_console.1.log` and so on hold
/// what follows, a tenth of the cap each, of which the newest four are kept. Parts end at line feeds where a chunk has one.
pub(super) struct Rotating {
    folder: PathBuf,
    label: String,
    first: u64,
    later: u64,
    file: File,
    /// Number of the part that is written, 0 is the first.
    part: u64,
    written: u64,
    kept: VecDeque<(PathBuf, u64)>,
    dropped: u64,
}

fn create(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path)
}

impl Rotating {
    /// Creates the first part. `cap` is the largest size of all parts together, in bytes.
    pub(super) fn create(folder: &Path, label: &str, cap: u64) -> std::io::Result<Self> {
        let file = create(&folder.join(names::console_part(label, 0)))?;
        Ok(Self {
            folder: folder.to_owned(),
            label: label.to_owned(),
            first: cap / 2,
            later: cap / 10,
            file,
            part: 0,
            written: 0,
            kept: VecDeque::new(),
            dropped: 0,
        })
    }

    /// Bytes that are not on disk any more, or never were.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Appends bytes. What cannot be written is counted as dropped: the runner does not wait for a full disk.
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let cap = if self.part == 0 { self.first } else { self.later };
            let room = usize::try_from(cap.saturating_sub(self.written)).unwrap_or(usize::MAX);
            let (now, rest) = if bytes.len() <= room {
                (bytes, &[][..])
            } else {
                // A part ends with a whole line, unless the line alone is longer than a part.
                let end = memchr::memrchr(b'\n', &bytes[..room]).map_or(0, |feed| feed + 1);
                bytes.split_at(if end == 0 && self.written == 0 { room.max(1) } else { end })
            };
            match self.file.write_all(now) {
                Ok(()) => self.written += now.len() as u64,
                Err(_) => self.dropped += now.len() as u64,
            }
            bytes = rest;
            if !bytes.is_empty() && !self.turn() {
                self.dropped += bytes.len() as u64;
                return;
            }
        }
    }

    /// Begins the next part, and removes the oldest but the first when there are too many.
    fn turn(&mut self) -> bool {
        let path = self.folder.join(names::console_part(&self.label, self.part + 1));
        let Ok(next) = create(&path) else { return false };
        if let Some(last) = self.kept.back_mut() {
            last.1 = self.written;
        }
        self.file = next;
        self.part += 1;
        self.written = 0;
        self.kept.push_back((path, 0));
        if self.kept.len() > NEWEST
            && let Some((oldest, bytes)) = self.kept.pop_front()
            && std::fs::remove_file(oldest).is_ok()
        {
            self.dropped += bytes;
        }
        true
    }

    /// Asks the system to put the part that is written on the disk.
    pub(super) fn sync(&self) {
        let _ = self.file.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn the_beginning_and_the_end_are_kept_and_the_middle_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Rotating::create(folder.path(), "full_1h", 200).unwrap();
        let mut given = 0;
        for n in 0..100 {
            let line = format!("line {n:03}\n");
            given += line.len() as u64;
            log.append(line.as_bytes());
        }
        let parts = parts(folder.path());
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "full_1h_console.42.log",
                "full_1h_console.43.log",
                "full_1h_console.44.log",
                "full_1h_console.45.log",
                "full_1h_console.log"
            ]
        );
        assert!(parts[4].1.starts_with("line 000\n") && parts[3].1.ends_with("line 099\n"));
        assert!(parts.iter().all(|(_, text)| text.ends_with('\n')), "whole lines: {parts:?}");
        let kept: u64 = parts.iter().map(|(_, text)| text.len() as u64).sum();
        assert!(kept <= 200);
        assert_eq!(kept + log.dropped(), given);
    }

    #[test]
    fn one_chunk_longer_than_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Rotating::create(folder.path(), "x", 100).unwrap();
        log.append(&[b'a'; 1_000]);
        log.append(b"the end\n");
        let kept: u64 = parts(folder.path()).iter().map(|(_, text)| text.len() as u64).sum();
        assert_eq!(kept + log.dropped(), 1_008);
        assert!(parts(folder.path()).iter().any(|(_, text)| text.ends_with("the end\n")));
    }
}
