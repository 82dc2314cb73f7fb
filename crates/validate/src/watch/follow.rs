//! Following a log file that somebody else writes and rotates: from its end on, through renames (a new file under the old name) and
//! truncations (the same file, shorter). Everything read goes through the log watch.

use super::output::Output;
use crate::logwatch::Stream;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// So much of a file is read in one look at most: a flood of lines must not delay the next poll.
const MOST: usize = 64 << 20;
const CHUNK: usize = 256 << 10;

/// A followed file.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: (u64, u64),
    at: u64,
}

impl Follow {
    /// From the end of the file as it is now; a file that is not there yet is read from its beginning once it is.
    pub fn from_end(path: &Path) -> Self {
        let mut follow = Self { path: path.to_owned(), open: None };
        if let Some(mut open) = follow.reopen() {
            open.at = open.file.seek(SeekFrom::End(0)).unwrap_or(0);
            follow.open = Some(open);
        }
        follow
    }

    fn reopen(&self) -> Option<Open> {
        let file = File::open(&self.path).ok()?;
        let meta = file.metadata().ok()?;
        meta.is_file().then_some(Open { inode: (meta.dev(), meta.ino()), at: 0, file })
    }

    /// Reads what is new. Says what happened to the file: rotated, truncated.
    pub fn look(&mut self, output: &Output, t: f64) -> Vec<String> {
        let mut notes = Vec::new();
        let there = std::fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        let mut left = MOST;
        if let Some(open) = &mut self.open {
            if open.file.metadata().is_ok_and(|meta| meta.len() < open.at) {
                notes.push(format!("{} was truncated", self.path.display()));
                open.at = open.file.seek(SeekFrom::Start(0)).unwrap_or(0);
            }
            left = open.read(output, t, left);
        }
        // The old file is read to its end before the new one is begun.
        let rotated = there.is_some_and(|there| self.open.as_ref().is_none_or(|open| open.inode != there));
        if rotated && left > 0 {
            if self.open.is_some() {
                notes.push(format!("{} was rotated", self.path.display()));
            }
            if let Some(mut open) = self.reopen() {
                open.read(output, t, left);
                self.open = Some(open);
            }
        }
        notes
    }
}

impl Open {
    /// Reads at most `left` bytes; says how many of them were not needed.
    fn read(&mut self, output: &Output, t: f64, mut left: usize) -> usize {
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let want = left.min(CHUNK);
            match self.file.read(&mut buffer[..want]) {
                Ok(0) => break,
                Ok(n) => {
                    output.feed(Stream::Out, &buffer[..n], t);
                    self.at += n as u64;
                    left -= n;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logwatch::LevelRules;
    use crate::watch::output::Setup;
    use std::io::Write;
    use std::time::Instant;

    fn output(folder: &Path) -> Output {
        let setup = Setup {
            folder,
            label: "copy",
            cap: 1 << 20,
            rules: LevelRules::default(),
            began: Instant::now(),
        };
        Output::start(None, None, setup).unwrap()
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_log_is_followed_from_its_end_through_rotation_and_truncation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot.log");
        let copy = dir.path().join("copy_console.log");
        let output = output(dir.path());
        append(&path, "ERROR of before\n");
        let mut follow = Follow::from_end(&path);
        append(&path, "1 ERROR a\n");
        assert!(follow.look(&output, 1.0).is_empty());
        // Rotated: what was written to the old file until then is not lost.
        append(&path, "2 ERROR b\n");
        std::fs::rename(&path, dir.path().join("bot.log.1")).unwrap();
        append(&path, "3 ERROR c\n");
        assert!(follow.look(&output, 2.0)[0].contains("rotated"));
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        append(&path, "4 E\n");
        assert!(follow.look(&output, 3.0)[0].contains("truncated"));
        // Gone for a while, and back.
        std::fs::remove_file(&path).unwrap();
        assert!(follow.look(&output, 4.0).is_empty());
        append(&path, "5 ERROR d\n");
        follow.look(&output, 5.0);
        output.finish(6.0);
        assert_eq!(
            std::fs::read_to_string(&copy).unwrap(),
            "1 ERROR a\n2 ERROR b\n3 ERROR c\n4 E\n5 ERROR d\n"
        );
        assert_eq!(output.look(6.0).0.lines, 5);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("late.log");
        let output = output(dir.path());
        let mut follow = Follow::from_end(&path);
        assert!(follow.look(&output, 0.5).is_empty());
        append(&path, "INFO first\n");
        follow.look(&output, 1.0);
        assert_eq!(output.look(1.0).0.lines, 1);
    }
}
