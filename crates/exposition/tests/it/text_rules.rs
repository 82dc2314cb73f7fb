//! Text 0.0.4, rule by rule: what is read, what is refused and where.

use exposition::{Format, Kind, parse};

fn refused(text: &str) -> (u64, u64) {
    match parse(text.as_bytes(), Format::Text004) {
        Ok(page) => panic!("{text:?} was read as {page:?}"),
        Err(e) => (e.line, e.column),
    }
}

fn series(text: &str) -> Vec<(String, f64)> {
    match parse(text.as_bytes(), Format::Text004) {
        Ok(page) => page.series().collect(),
        Err(e) => panic!("{text:?}: {e}"),
    }
}

#[track_caller]
fn reads(text: &str, wanted: &[(&str, f64)]) {
    let wanted: Vec<_> = wanted.iter().map(|(s, v)| ((*s).to_owned(), *v)).collect();
    assert_eq!(series(text), wanted, "{text:?}");
}

#[test]
fn blanks_and_tabs_may_stand_anywhere_between_parts() {
    reads("a 1\n", &[("a", 1.0)]);
    reads("\t a\t \t1 \t\n", &[("a", 1.0)]);
    reads("a { b\t= \"c\" , d = \"e\" } 1\n", &[("a{b=\"c\",d=\"e\"}", 1.0)]);
    reads("a{b=\"c\"}1\n", &[("a{b=\"c\"}", 1.0)]);
    reads("a{b=\"c\"} 1  -5 \n", &[("a{b=\"c\"}", 1.0)]);
    reads("\n \n\t\na 1\n\n", &[("a", 1.0)]);
    reads("", &[]);
    assert_eq!(refused("a1\n"), (1, 3));
    assert_eq!(refused("a\n"), (1, 2));
    assert_eq!(refused("a 1\r\n"), (1, 3));
    assert_eq!(refused("a\u{a0}1\n"), (1, 2));
    assert_eq!(refused("a 1\u{b}\n"), (1, 3));
}

#[test]
fn the_last_line_ends_with_a_line_feed() {
    assert_eq!(refused("a 1"), (1, 4));
    assert_eq!(refused("a 1\n# EOF"), (2, 6));
    assert_eq!(refused("a 1\n "), (2, 2));
    // An error before the break comes first.
    assert_eq!(refused("a x\nb 1"), (1, 3));
}

#[test]
fn commas_separate_labels_and_one_may_trail() {
    reads("a{b=\"c\",} 1\n", &[("a{b=\"c\"}", 1.0)]);
    reads("a{b=\"c\" , } 1\n", &[("a{b=\"c\"}", 1.0)]);
    reads("a{} 1\nb{,} 2\nc{ ,} 3\nd{, } 4\n", &[("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]);
    assert_eq!(refused("a{,,} 1\n"), (1, 3));
    assert_eq!(refused("a{,b=\"c\"} 1\n"), (1, 3));
    assert_eq!(refused("a{b=\"c\",,} 1\n"), (1, 9));
    assert_eq!(refused("a{b=\"c\" d=\"e\"} 1\n"), (1, 9));
    assert_eq!(refused("a{b=\"c\" 1\n"), (1, 9));
}

#[test]
fn label_names_and_values_have_their_forms() {
    reads("a{_b9=\"\"} 1\n", &[("a{_b9=\"\"}", 1.0)]);
    reads("a{b=\"\u{0}{}, =\t\u{2603}\"} 1\n", &[("a{b=\"\u{0}{}, =\t\u{2603}\"}", 1.0)]);
    for (text, place) in [
        ("a{1b=\"c\"} 1\n", (1, 3)),
        ("a{b:c=\"d\"} 1\n", (1, 4)),
        ("a{b+=\"c\"} 1\n", (1, 4)),
        ("a{=\"c\"} 1\n", (1, 3)),
        ("a{b=c} 1\n", (1, 5)),
        ("a{b='c'} 1\n", (1, 5)),
        ("a{b} 1\n", (1, 4)),
        ("a{b\"c\"} 1\n", (1, 4)),
        ("a{b=\"c} 1\n", (1, 10)),
        ("a{b=\"c\nd\"} 1\n", (1, 7)),
        ("a{b=\"c\"+} 1\n", (1, 8)),
        ("a{b=\"c\",b=\"d\"} 1\n", (1, 2)),
        ("a{b=\"c\",d=\"e\",b=\"c\"} 1\n", (1, 2)),
        ("a{__name__=\"b\"} 1\n", (1, 3)),
        ("{__name__=\"b\"} 1\n", (1, 2)),
        ("a{__b=\"c\"} 1\n", (1, 3)),
    ] {
        assert_eq!(refused(text), place, "{text:?}");
    }
}

#[test]
fn escapes_are_three_and_other_backslashes_stand_for_themselves() {
    for (escaped, plain) in [
        ("\\\\", "\\"),
        ("\\n", "\n"),
        ("\\\"", "\""),
        ("\\\\n", "\\n"),
        ("\\\\\\n", "\\\n"),
        ("\\\\\\\"", "\\\""),
        ("x\\\\", "x\\"),
        ("\\x", "\\x"),
        ("\\\u{2603}\\", "\\\u{2603}\\"),
        ("a\\tb\\\\c", "a\\tb\\c"),
    ] {
        let text = format!("a{{b=\"{escaped} \"}} 1\n");
        let page = parse(text.as_bytes(), Format::Text004).unwrap();
        assert_eq!(page.families[0].samples[0].label("b"), Some(format!("{plain} ").as_str()), "{escaped}");
    }
    // A backslash before the closing quote escapes it.
    refused("a{b=\"\\\"} 1\n");
}

#[test]
fn names_in_quotes() {
    reads("{\"a.b\"} 1\n", &[("{\"a.b\"}", 1.0)]);
    reads("{\"a.b\",c=\"d\",\"e f\"=\"g\"} 1\n", &[("{\"a.b\",c=\"d\",\"e f\"=\"g\"}", 1.0)]);
    reads("{c=\"d\", \"a.b\"} 1\n", &[("{\"a.b\",c=\"d\"}", 1.0)]);
    reads("{ \"a\" , } 1\n", &[("a", 1.0)]);
    reads("a{\"b\"=\"c\"} 1\n", &[("a{b=\"c\"}", 1.0)]);
    reads("{\"\\\"\\n\\\\\"} 1\n", &[("{\"\\\"\\n\\\\\"}", 1.0)]);
    let page = b"# HELP \"a.b\" help\n# TYPE \"a.b\" counter\n{\"a.b\"} 1\n";
    let page = parse(page, Format::Text004).unwrap();
    let family = page.family("a.b").unwrap();
    assert_eq!((family.kind, family.help.as_deref(), family.samples.len()), (Kind::Counter, Some("help"), 1));
    for (text, place) in [
        ("\"a\" 1\n", (1, 1)),
        ("{\"a\",\"b\"} 1\n", (1, 6)),
        ("a{\"b\"} 1\n", (1, 1)),
        ("{} 1\n", (1, 1)),
        ("{b=\"c\"} 1\n", (1, 1)),
        ("{\"\"} 1\n", (1, 2)),
        ("a{\"\"=\"b\"} 1\n", (1, 3)),
        ("{\"a\".b=\"c\"} 1\n", (1, 5)),
        ("{\"a\"b=\"c\"} 1\n", (1, 5)),
        ("{\"a} 1\n", (1, 7)),
    ] {
        assert_eq!(refused(text), place, "{text:?}");
    }
}

#[test]
fn a_series_is_the_same_however_it_is_spelled() {
    for second in [
        "a{c=\"d\",b=\"\\n\"} 2\n",
        "a { b = \"\\n\" , c=\"d\" , } 2\n",
        "{\"a\",\"c\"=\"d\",\"b\"=\"\\n\"} 2\n",
    ] {
        assert_eq!(refused(&format!("a{{b=\"\\n\",c=\"d\"}} 1\n{second}")).0, 2, "{second:?}");
    }
    assert_eq!(series("a{b=\"\"} 1\na 2\na{b=\"c\"} 3\na 4 5\na 6 7\n").len(), 5);
    assert_eq!(refused("a 4 5\na 6 5\n").0, 2);
}

#[test]
fn values_are_decimal() {
    for (text, value) in [
        ("1", 1.0),
        ("-1", -1.0),
        ("+1", 1.0),
        ("007", 7.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1e3),
        ("1E+3", 1e3),
        ("-1.5e-3", -1.5e-3),
        ("123456789012345", 123_456_789_012_345.0),
        ("1234567890123456", 1_234_567_890_123_456.0),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("0.1", 0.1),
        ("1.7976931348623157e+308", f64::MAX),
        ("1e999", f64::INFINITY),
        ("5e-324", 5e-324),
        ("+Inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("Inf", f64::INFINITY),
        ("infinity", f64::INFINITY),
    ] {
        assert_eq!(series(&format!("a {text}\n"))[0].1.to_bits(), f64::to_bits(value), "{text}");
    }
    for nan in ["NaN", "nan", "NAN"] {
        assert!(series(&format!("a {nan}\n"))[0].1.is_nan());
    }
    for bad in [
        "0x1p-3", "0x1", "0X1", "0b1", "0o1", "1_2", "+NaN", "-nan", "1e", "e1", ".", "+", "--1", "1,5",
        "\u{663}",
    ] {
        assert_eq!(refused(&format!("a {bad}\n")), (1, 3), "{bad}");
    }
}

#[test]
fn timestamps_are_whole_milliseconds() {
    let page = parse(b"a 1 000\nb 1 1395066363000\nc 1 -3982045\nd 1 +5\n", Format::Text004).unwrap();
    let times: Vec<_> = page.samples().map(|s| s.timestamp).collect();
    assert_eq!(times, [Some(0.0), Some(1_395_066_363.0), Some(-3982.045), Some(0.005)]);
    for bad in ["1.5", "1e3", "NaN", "x", "9223372036854775808", "1_0", "0x1"] {
        assert_eq!(refused(&format!("a 1 {bad}\n")), (1, 5), "{bad}");
    }
    assert_eq!(refused("a 1 2 3\n"), (1, 7));
    assert_eq!(refused("a 1 # {b=\"c\"} 1\n"), (1, 5));
}

#[test]
fn comments_are_free_and_metadata_is_not() {
    reads("#\n#x\n# x y z\n#HELPx\n# TYPES a b\n # \u{2603}\na 1\n", &[("a", 1.0)]);
    let page =
        parse(b"#\tTYPE\ta\tgauge\t\n # HELP  a  two  words \n#HELP b\n# HELP c \na 1\n", Format::Text004);
    let page = page.unwrap();
    assert_eq!(page.family("a").unwrap().kind, Kind::Gauge);
    assert_eq!(page.family("a").unwrap().help.as_deref(), Some("two  words "));
    assert_eq!(page.family("b").unwrap().help, None);
    for (text, place) in [
        ("# TYPE\n", (1, 7)),
        ("# TYPE a\n", (1, 9)),
        ("# TYPE a meh\n", (1, 10)),
        ("# TYPE a Counter\n", (1, 10)),
        ("# TYPE a info\n", (1, 10)),
        ("# TYPE a gauge x\n", (1, 16)),
        ("# TYPE a-b gauge\n", (1, 9)),
        ("# HELP 1 x\n", (1, 8)),
        ("# HELP \"a x\n", (1, 12)),
    ] {
        assert_eq!(refused(text), place, "{text:?}");
    }
}

#[test]
fn help_escapes_the_backslash_and_the_line_feed() {
    for (escaped, plain) in [
        ("x", "x"),
        ("\\x", "\\x"),
        ("\\\\x", "\\x"),
        ("x\\", "x\\"),
        ("\\n", "\n"),
        ("\\\\n", "\\n"),
        ("\\\\\\n", "\\\n"),
        ("\\\"", "\\\""),
        ("\\\\\"", "\\\""),
        ("a # b", "a # b"),
    ] {
        let text = format!("# HELP a {escaped}\n");
        let page = parse(text.as_bytes(), Format::Text004).unwrap();
        assert_eq!(page.families[0].help.as_deref(), Some(plain), "{escaped}");
    }
}

#[test]
fn metadata_comes_once_and_types_before_samples() {
    reads("a 1\n# HELP a late\n", &[("a", 1.0)]);
    assert_eq!(refused("# HELP a x\n# HELP a x\n"), (2, 8));
    assert_eq!(refused("# TYPE a gauge\n# TYPE a gauge\n"), (2, 8));
    assert_eq!(refused("a 1\n# TYPE a gauge\n"), (2, 8));
    assert_eq!(refused("a_count 1\n# TYPE a summary\n"), (2, 8));
    assert_eq!(refused("a_bucket{le=\"+Inf\"} 1\n# TYPE a histogram\n"), (2, 8));
    // A sample with a type of its own is not the summary's.
    let page =
        parse(b"# TYPE a_count gauge\na_count 1\n# TYPE a summary\na_sum 2\n", Format::Text004).unwrap();
    assert_eq!(page.families.len(), 2);
}

#[test]
fn families_may_interleave() {
    let page = b"# TYPE a counter\n# TYPE b counter\na{x=\"1\"} 1\nb 2\na{x=\"2\"} 3\nc 4\nb{x=\"1\"} 5\n";
    let page = parse(page, Format::Text004).unwrap();
    let counts: Vec<_> = page.families.iter().map(|f| (f.name.as_str(), f.samples.len())).collect();
    assert_eq!(counts, [("a", 2), ("b", 2), ("c", 1)]);
}

#[test]
fn histograms_are_whole() {
    let head = "# TYPE a histogram\n";
    let good = "a_bucket{le=\"-Inf\"} 0\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 2\n";
    assert_eq!(series(&format!("{head}{good}")).len(), 5);
    reads(
        &format!("{head}a_count 2\na_bucket{{le=\"inf\"}} 2\n"),
        &[("a_count", 2.0), ("a_bucket{le=\"inf\"}", 2.0)],
    );
    for (body, line) in [
        ("a_bucket 1\n", 2),
        ("a_bucket{le=\"x\"} 1\n", 2),
        ("a_bucket{le=\"0x1p-3\"} 1\n", 2),
        ("a_bucket{le=\"NaN\"} 1\n", 2),
        ("a_bucket{le=\"\"} 1\n", 2),
        ("a_bucket{le=\"1\"} 1\n", 2),
        ("a_sum 1\na_count 1\n", 2),
        ("a_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\n", 3),
        ("a_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"+Inf\"} 1\n", 3),
        ("a_bucket{le=\"+Inf\"} 1\na_count 2\n", 2),
        ("a_bucket{le=\"+Inf\"} -1\n", 2),
        ("a_bucket{le=\"+Inf\"} NaN\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_count -1\n", 3),
        ("a_bucket{le=\"+Inf\"} 1\na 1\n", 3),
        ("a_bucket{x=\"1\",le=\"+Inf\"} 1\na_count{x=\"1\"} 1\na_count{x=\"2\"} 1\n", 4),
    ] {
        assert_eq!(refused(&format!("{head}{body}")).0, line, "{body:?}");
    }
    // Without a type these are samples like others.
    assert_eq!(series("a_bucket 1\na_bucket{le=\"x\"} 1\n").len(), 2);
    // Two label sets may take turns.
    let turns = "a_bucket{x=\"1\",le=\"1\"} 1\na_bucket{x=\"2\",le=\"1\"} 1\na_bucket{x=\"1\",le=\"+Inf\"} 1\n\
                 a_bucket{x=\"2\",le=\"+Inf\"} 1\n";
    assert_eq!(series(&format!("{head}{turns}")).len(), 4);
}

#[test]
fn summaries_are_whole() {
    let head = "# TYPE a summary\n";
    let good = "a{quantile=\"0.5\"} NaN\na{quantile=\"0.99\"} -1\na_sum 3\na_count 2\n";
    assert_eq!(series(&format!("{head}{good}")).len(), 4);
    for (body, line) in [
        ("a 1\n", 2),
        ("a{quantile=\"x\"} 1\n", 2),
        ("a{quantile=\"NaN\"} 1\n", 2),
        ("a{quantile=\"0.9\"} 1\na{quantile=\"0.5\"} 1\n", 3),
        ("a{quantile=\"0.5\"} 1\na{quantile=\".5\"} 1\n", 3),
    ] {
        assert_eq!(refused(&format!("{head}{body}")).0, line, "{body:?}");
    }
    // A bucket is not a summary's.
    let page = parse(format!("{head}a_bucket 1\n").as_bytes(), Format::Text004).unwrap();
    assert_eq!(page.families.len(), 2);
}

#[test]
fn bytes_that_are_not_utf8_are_refused_at_their_place() {
    for (bytes, place) in [
        (&b"a{b=\"\xbd\"} 1\n"[..], (1, 6)),
        (b"a 1\n# HELP b \xff\n", (2, 10)),
        (b"a 1\n#\xc3", (2, 2)),
        (b"\xef\xbb\xbfa 1\n", (1, 1)),
    ] {
        let e = parse(bytes, Format::Text004).unwrap_err();
        assert_eq!((e.line, e.column), place, "{bytes:?}");
    }
}
