//! The parser's own cases: places of errors, canonical names, arbitrary input.

use exposition::{Format, parse};
use proptest::prelude::*;

fn place(text: &str, format: Format) -> (u64, u64) {
    let e = parse(text.as_bytes(), format).unwrap_err();
    (e.line, e.column)
}

#[test]
fn errors_name_their_place() {
    assert_eq!(place("a 1\nb x\n", Format::Text004), (2, 3));
    assert_eq!(place("a 1\nb 2", Format::Text004), (2, 4));
    assert_eq!(place("a{b=\"q} 1\nc 2\n", Format::Text004), (1, 10));
    assert_eq!(place("a 1\na{b=\"1\"+} 1\n", Format::Text004), (2, 8));
    assert_eq!(place("a 1\n", Format::OpenMetrics), (2, 1));
    assert_eq!(place("# TYPE a gauge\n\na 1\n# EOF\n", Format::OpenMetrics), (2, 1));
    let e = parse(b"a 1\nb\xff 2\n", Format::Text004).unwrap_err();
    assert_eq!((e.line, e.column, e.what.as_str()), (2, 2, "not UTF-8"));
}

#[test]
fn a_series_may_stand_once() {
    let e = parse(b"a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", Format::Text004).unwrap_err();
    assert_eq!(e.line, 2);
    assert!(parse(b"a 1 1000\na 2 2000\n", Format::Text004).is_ok());
}

#[test]
fn canonical_names_are_sorted_and_escaped() {
    let page =
        parse(b"a{z=\"1\",b=\"q\\\"\\\\\\n\"} 1\nc 2\n{\"d.e\",f=\"g\"} 3\n", Format::Text004).unwrap();
    let series: Vec<_> = page.series().collect();
    assert_eq!(
        series,
        [
            ("a{b=\"q\\\"\\\\\\n\",z=\"1\"}".to_owned(), 1.0),
            ("c".to_owned(), 2.0),
            ("{\"d.e\",f=\"g\"}".to_owned(), 3.0)
        ]
    );
}

#[test]
fn values_and_timestamps() {
    let page = parse(b"a NaN\nb +Inf\nc -inf\nd 1e3 -1500\n", Format::Text004).unwrap();
    let v: Vec<f64> = page.samples().map(|s| s.value).collect();
    assert!(v[0].is_nan());
    assert_eq!(v[1..], [f64::INFINITY, f64::NEG_INFINITY, 1000.0]);
    assert_eq!(page.families[3].samples[0].timestamp, Some(-1.5));
    for bad in ["a 0x1\n", "a 1_0\n", "a +NaN\n", "a 1 1.5\n", "a\n", "a 1 2 3\n", "a 1\r\n", "# TYPE a\n"] {
        assert!(parse(bad.as_bytes(), Format::Text004).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), open in any::<bool>()) {
        let _ = parse(&bytes, if open { Format::OpenMetrics } else { Format::Text004 });
    }

    #[test]
    fn never_panics_on_almost_pages(text in "(# (TYPE|HELP|UNIT) [ab]{1,2} (counter|histogram|summary|x)?\n|[ab]{1,2}(_total|_bucket|_sum)?(\\{(a|le)=\"[0-9n\\\\]{0,2}\",?\\})? [0-9.eN]{1,3}( [0-9]{1,3})?\n|# EOF\n){0,6}") {
        let _ = parse(text.as_bytes(), Format::OpenMetrics);
        let _ = parse(text.as_bytes(), Format::Text004);
    }

    #[test]
    fn a_cut_page_is_never_read_as_more(cut in 0usize..60) {
        let page = b"# TYPE a counter\na{x=\"1\"} 12\na{x=\"2\"} 34\n# TYPE b gauge\nb 5.25\n";
        let whole = parse(page, Format::Text004).unwrap();
        if let Ok(part) = parse(&page[..cut.min(page.len())], Format::Text004) {
            let all: Vec<_> = whole.series().collect();
            for series in part.series() {
                prop_assert!(all.contains(&series));
            }
        }
    }
}
