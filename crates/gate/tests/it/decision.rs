//! The decision, walked whole: 3^16 outcomes times three flags.

use gate::{Decision, Simple, decide};

const STATES: [Simple; 3] = [Simple::Pass, Simple::Inconclusive, Simple::Fail];

/// Written from the text of the rule, on its own.
fn oracle(outcomes: &[Simple; 16], capped: bool, aborted: bool, interrupted: bool) -> Decision {
    let ok = |i: usize| matches!(outcomes[i], Simple::Pass);
    let mut criticals = true;
    for i in 0..6 {
        criticals &= ok(i);
    }
    if !criticals || aborted || interrupted {
        return Decision::NoGo;
    }
    let mut highs = 0;
    for i in 6..12 {
        highs += i32::from(ok(i));
    }
    let mut mediums = 0;
    for i in 12..16 {
        mediums += i32::from(ok(i));
    }
    if highs >= 6 && mediums >= 3 && !capped {
        Decision::CompleteGo
    } else if highs >= 4 {
        Decision::ConditionalGo
    } else if highs >= 2 {
        Decision::ConditionalGoWithConcerns
    } else {
        Decision::NoGo
    }
}

#[test]
fn every_input_agrees_with_the_oracle_and_worse_never_improves() {
    const N: usize = 43_046_721;
    let started = std::time::Instant::now();
    let flags: Vec<[bool; 3]> = (0..8u8).map(|f| [f & 1 != 0, f & 2 != 0, f & 4 != 0]).collect();
    // Two bits per flag combination: 16 bits per outcome vector.
    let mut table: Vec<u16> = Vec::with_capacity(N);
    let mut digits = [0usize; 16];
    for _ in 0..N {
        let outcomes = digits.map(|d| STATES[d]);
        let mut packed = 0u16;
        for (i, [capped, aborted, interrupted]) in flags.iter().enumerate() {
            let decision = decide(&outcomes, *capped, *aborted, *interrupted);
            assert_eq!(decision, oracle(&outcomes, *capped, *aborted, *interrupted), "{outcomes:?} {i}");
            packed |= (decision as u16) << (2 * i);
        }
        // A flag that is raised never improves it.
        for i in 0..8 {
            for bit in [1, 2, 4] {
                if i & bit == 0 {
                    assert!((packed >> (2 * (i | bit)) & 3) >= (packed >> (2 * i) & 3), "{outcomes:?}");
                }
            }
        }
        table.push(packed);
        for digit in &mut digits {
            *digit += 1;
            if *digit < 3 {
                break;
            }
            *digit = 0;
        }
    }
    // Neighbours: one outcome a step worse.
    let mut stride = 1;
    for _ in 0..16 {
        for (index, here) in table.iter().enumerate() {
            if index / stride % 3 < 2 {
                let worse = table[index + stride];
                for i in 0..8 {
                    assert!(
                        (worse >> (2 * i) & 3) >= (here >> (2 * i) & 3),
                        "index {index}, stride {stride}"
                    );
                }
            }
        }
        stride *= 3;
    }
    // Said, not asserted: how long it takes is the machine's business, that it is short is ours (some 60 s at most on one core).
    eprintln!("the decision, walked whole: 3^16 x 2^3 in {:.1} s", started.elapsed().as_secs_f64());
}
