//! What is allowed in what we build: licences, and crates in two versions. Every entry has its reason.

/// SPDX identifiers that need nothing beyond keeping the notice, each with the crates that made it necessary.
pub const LICENCES: [(&str, &str); 10] = [
    ("0BSD", "quoted_printable, below lettre; not even the notice has to be kept"),
    ("MIT", "most crates"),
    ("Apache-2.0", "most crates; miette under this one alone"),
    ("BSD-3-Clause", "subtle and a part of matchit; the MIT conditions and no use of names"),
    ("BSL-1.0", "xxhash-rust, below redis; the MIT conditions, and none for binaries"),
    ("CDLA-Permissive-2.0", "webpki-roots: the list of certificate authorities is data"),
    ("ISC", "ring, untrusted, rustls-webpki; the MIT conditions in fewer words"),
    ("MIT-0", "borrow-or-share, below boon, in tests only; the MIT licence without its one condition"),
    ("Unicode-3.0", "the ICU tables behind URL parsing, and unicode-ident"),
    ("Zlib", "foldhash, and zlib-rs in tests"),
];

/// Crates that are built in more than one version, and why we cannot help it. An entry that no longer holds is an error.
pub const DUPLICATES: [(&str, &str); 16] = [
    ("base64", "axum is a version behind hyper-util and reqwest"),
    ("block-buffer", "below sha2"),
    ("crypto-common", "below sha2"),
    ("digest", "below sha2"),
    ("fallible-iterator", "tokio-postgres is behind rusqlite; a trait of one page"),
    ("hmac", "tokio-postgres is ahead, for SCRAM; ours goes with our sha2"),
    (
        "sha2",
        "tokio-postgres is ahead, for SCRAM; tungstenite's sha1 keeps the older digest here in any case",
    ),
    ("cpufeatures", "sha1 and sha2 0.10 against the chacha20 of proptest's rand (tests only)"),
    ("getrandom", "ring, rand 0.9 and tempfile (tests only) each have their own"),
    ("nom", "lettre's is ahead of that of rcgen's certificate parser, which is off: named, not built"),
    ("rand", "ours is tungstenite's; proptest is ahead (tests only)"),
    ("rand_core", "follows rand"),
    ("syn", "miette's derive is behind the other macros; built for macros only"),
    ("synstructure", "the macros behind rcgen's certificate parser, which is off: named, not built"),
    ("unicode-width", "miette is behind indicatif"),
    ("webpki-roots", "tokio-tungstenite asks for 0.26, which is an empty shell around 1.0"),
];
