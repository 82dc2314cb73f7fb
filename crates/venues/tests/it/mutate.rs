//! Seeded mutations of frames: bytes, and pieces of JSON.

/// A generator of pseudo-random numbers (xorshift64*, Vigna 2016).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From any seed.
    pub fn new(seed: u64) -> Self {
        // SplitMix64's first step, so that small seeds differ in every bit.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ (z >> 31)) | 1)
    }

    /// A number below `n`, which must not be zero.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn index(&mut self, len: usize) -> usize {
        self.below(len.max(1) as u64) as usize
    }
}

/// What frames are made of, to be put in anywhere.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\u0041",
    "\\\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\t",
    "\u{7f}",
    "\u{0}",
    "é",
    "가",
    "-",
    "+",
    ".",
    "0",
    "9",
    "00",
    "e",
    "E",
    "E8",
    "e-8",
    "E+3",
    "E99",
    "E-99999",
    "-0",
    "-1",
    "0.0",
    "1.0",
    ".5",
    "5.",
    "01",
    "0.000000001",
    "92233720368.54775807",
    "92233720368.54775808",
    "9223372036854",
    "9223372036855",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"x\":1,",
    "\"x\":{\"y\":[1,\"]\"]},",
    "\"e\":\"depthUpdate\",",
    "\"u\":1,",
    "\"id\":1,",
    "\"b\":[],",
    "\"data\":{},",
    "\"stream\":\"x\",",
    "\"type\":\"orderbook\",",
    "\"ty\":\"orderbook\",",
    "\"obu\":[],",
    "\"\\u0075\":7,",
    "\"status\":\"UP\",",
    "\"error\":null,",
    ",[\"1\",\"2\"]",
    ",[1,2,[]]",
    "\"st\":\"SNAPSHOT\",",
    "\u{feff}",
];

/// Makes cases out of seeds.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    synthetic: usize,
}

impl Mutator {
    /// The first `synthetic` seeds are drawn as often as all others together.
    pub const fn new(random: Random, synthetic: usize) -> Self {
        Self { random, synthetic }
    }

    /// The next case.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let r = &mut self.random;
        let among = if r.below(2) == 0 { self.synthetic } else { seeds.len() };
        let mut bytes = seeds[r.index(among)].clone();
        // Often one change, seldom many: a frame with one change is the one that is nearly right.
        let changes = 1 + if r.below(3) == 0 { r.below(8) } else { 0 };
        for _ in 0..changes {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let r = &mut self.random;
        let at = r.index(bytes.len() + 1).min(bytes.len());
        let piece = PIECES[r.index(PIECES.len())].as_bytes();
        match r.below(12) {
            0 if !bytes.is_empty() => {
                let at = r.index(bytes.len());
                bytes[at] = r.below(256) as u8;
            }
            1 if !bytes.is_empty() => {
                let at = r.index(bytes.len());
                bytes[at] ^= 1 << r.below(8);
            }
            2 if !bytes.is_empty() => drop(bytes.remove(r.index(bytes.len()))),
            3 => drop(bytes.splice(at..at, piece.iter().copied())),
            // In place of a number, or of a value.
            4 | 5 => replace_run(r, bytes, piece, |b| b.is_ascii_digit() || b"+-.eE".contains(&b)),
            6 => replace_run(r, bytes, piece, |b| !b"{}[],:\"".contains(&b)),
            7 => bytes.truncate(at),
            8 => {
                let end = (at + r.index(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            9 => {
                let end = (at + r.index(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            10 => {
                // Behind a comma or an opening bracket: where an element or a field can stand.
                let places: Vec<usize> = (0..bytes.len()).filter(|at| b",{[".contains(&bytes[*at])).collect();
                if !places.is_empty() {
                    let at = places[r.index(places.len())] + 1;
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            _ => {
                let other = &seeds[r.index(seeds.len())];
                let from = r.index(other.len());
                let end = (from + r.index(60)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
}

/// Replaces one of the longest stretches of bytes that `inside` accepts.
fn replace_run(r: &mut Random, bytes: &mut Vec<u8>, piece: &[u8], inside: impl Fn(u8) -> bool) {
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|at| inside(bytes[*at]) && (*at == 0 || !inside(bytes[*at - 1]))).collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[r.index(starts.len())];
    let end = bytes[start..].iter().position(|b| !inside(*b)).map_or(bytes.len(), |n| start + n);
    bytes.splice(start..end, piece.iter().copied());
}
