//! The same vector of continuous KPIs in smoke and main: a result that was kept rather than measured.
//!
//! Two phases of different length cannot give three equal continuous figures. Coarse ones can: 1 ms, 2 ms, 5 ms of a runner that
//! rounds are no finding, so what counts is how many digits agree, not only how many figures.

use super::{Said, Sight};
use crate::kpis::file_value;
use crate::value::figure;

const CONTINUOUS: [&str; 12] = [
    "total_pnl_usd",
    "gross_pnl_usd",
    "net_pnl_usd",
    "max_drawdown_usd",
    "avg_win_usd",
    "avg_loss_usd",
    "guard_block_duration_avg_s",
    "loop_latency_avg_ms",
    "loop_latency_p95_ms",
    "loop_latency_p99_ms",
    "cpu_usage_pct",
    "win_rate_pct",
];

/// Equal figures that make a vector.
const LEAST: usize = 3;
/// Significant digits that equal figures must share in all: fewer are what rounding gives.
const LEAST_DIGITS: usize = 6;

pub(super) fn cached(sight: &Sight<'_>) -> Said {
    let files = sight.evidence.smoke.as_ref().zip(sight.evidence.main.as_ref());
    let Some((smoke, main)) = files.and_then(|(a, b)| a.kpi_file.get().zip(b.kpi_file.get())) else {
        return Said::Off("smoke and main have no KPI file each".to_owned());
    };
    let pairs: Vec<(&str, f64, f64)> = CONTINUOUS
        .iter()
        .filter_map(|field| {
            Some((*field, file_value(smoke, field).number()?, file_value(main, field).number()?))
        })
        .filter(|(_, a, b)| *a != 0.0 || *b != 0.0)
        .collect();
    if pairs.len() < LEAST {
        return Said::Off(format!("continuous KPIs that are not zero: {}, 3 needed", pairs.len()));
    }
    let same: Vec<&(&str, f64, f64)> = pairs.iter().filter(|(_, a, b)| a == b).collect();
    let shared: usize = same.iter().map(|(_, a, _)| digits(*a)).sum();
    if same.len() >= LEAST && shared >= LEAST_DIGITS {
        let text: Vec<String> =
            same.iter().map(|(field, a, _)| format!("{field} {} in both", figure(*a))).collect();
        let fields: Vec<&str> = same.iter().map(|p| p.0).collect();
        return Said::Violated(text.join("; "), fields.join(", "));
    }
    Said::Clean(format!("{} figures compared, {} equal in both", pairs.len(), same.len()))
}

/// Significant digits of the shortest way to write a number.
fn digits(value: f64) -> usize {
    let text = format!("{:e}", value.abs());
    let mantissa = text.split('e').next().unwrap_or_default();
    mantissa.chars().filter(char::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn digits_are_those_that_say_something() {
        for (value, expected) in [(1.0, 1), (0.05, 1), (12.5, 3), (150.0, 2), (-66.67, 4), (0.1234, 4)] {
            assert_eq!(digits(value), expected, "{value}");
        }
    }
}
