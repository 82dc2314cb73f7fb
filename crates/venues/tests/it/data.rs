//! Where the real captures are, and how to read them.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::PathBuf;

fn root() -> PathBuf {
    match std::env::var_os("ASSAY_TEST_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    }
}

/// The files of a folder whose names end in `suffix`, as [`read`] takes them; none (said loudly) when it is not there.
pub fn list(folder: &str, suffix: &str) -> Vec<String> {
    let path = root().join(folder);
    let Ok(entries) = std::fs::read_dir(&path) else {
        eprintln!("SKIPPED: no test data at {} (set ASSAY_TEST_DATA)", path.display());
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(suffix)).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

/// A file of the test data, unpacked; `None` (said loudly) when it is not there.
pub fn read(relative: &str) -> Option<Vec<u8>> {
    let path = root().join(relative);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("SKIPPED: no test data at {} (set ASSAY_TEST_DATA)", path.display());
        return None;
    };
    if relative.ends_with(".gz") {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
        return Some(plain);
    }
    Some(bytes)
}

/// The lines of a file.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(bytes).unwrap().lines().filter(|line| !line.is_empty())
}
