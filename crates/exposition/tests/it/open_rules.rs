//! OpenMetrics 1.0, rule by rule: what is read, what is refused and where.

use exposition::{Exposition, Format, Kind, parse};

fn read(text: &str) -> Exposition {
    match parse(format!("{text}# EOF\n").as_bytes(), Format::OpenMetrics) {
        Ok(page) => page,
        Err(e) => panic!("{text:?}: {e}"),
    }
}

#[track_caller]
fn refused(text: &str, line: u64) {
    match parse(format!("{text}# EOF\n").as_bytes(), Format::OpenMetrics) {
        Ok(page) => panic!("{text:?} was read as {page:?}"),
        Err(e) => assert_eq!(e.line, line, "{text:?}: {e}"),
    }
}

fn whole(text: &str) -> Result<Exposition, (u64, u64)> {
    parse(text.as_bytes(), Format::OpenMetrics).map_err(|e| (e.line, e.column))
}

#[test]
fn the_page_ends_with_eof_and_nothing_follows() {
    assert!(whole("# EOF\n").is_ok_and(|page| page.families.is_empty()));
    assert!(whole("a 1\n# EOF").is_ok());
    assert_eq!(whole(""), Err((1, 1)));
    assert_eq!(whole("a 1\n"), Err((2, 1)));
    assert_eq!(whole("a 1"), Err((1, 4)));
    assert_eq!(whole("a 1\n# EO"), Err((2, 5)));
    assert_eq!(whole("# EOF\n\n"), Err((2, 1)));
    assert_eq!(whole("# EOF\na 1\n"), Err((2, 1)));
    assert_eq!(whole("# EOF\nx"), Err((2, 1)));
    assert_eq!(whole("# EOF\n# EOF\n"), Err((2, 1)));
    assert_eq!(whole("# EOF\n# EOF"), Err((2, 1)));
    assert_eq!(whole("# EOFx\n"), Err((1, 1)));
    assert_eq!(whole("# EOF \n"), Err((1, 1)));
    assert_eq!(whole("#  EOF\n"), Err((1, 1)));
    assert_eq!(whole(" # EOF\n"), Err((1, 1)));
}

#[test]
fn blanks_are_single_and_lines_are_not_empty() {
    for bad in [
        "\n",
        " a 1\n",
        "a  1\n",
        "a 1 \n",
        "a\t1\n",
        "a 1\t\n",
        "a 1  2\n",
        "a 1 2 \n",
        "a{} 1 2 3\n",
        "a{}1\n",
        "a {} 1\n",
        "a{ } 1\n",
        "a{ b=\"c\"} 1\n",
        "a{b =\"c\"} 1\n",
        "a{b= \"c\"} 1\n",
        "a{b=\"c\" } 1\n",
        "a{b=\"c\",} 1\n",
        "a{,} 1\n",
        "a{b=\"c\",,d=\"e\"} 1\n",
        "a{b=\"c\" ,d=\"e\"} 1\n",
        "a{b=\"c\",  d=\"e\"} 1\n",
        "a 1\r\n",
    ] {
        refused(bad, 1);
    }
    // One blank behind a comma is what writers of quoted names put.
    assert_eq!(read("a{b=\"c\", d=\"e\"} 1\n").samples().count(), 1);
}

#[test]
fn comments_are_refused_and_metadata_has_its_form() {
    for bad in [
        "# a comment\n",
        "#\n",
        "# \n",
        "#TYPE a gauge\n",
        "#  TYPE a gauge\n",
        "# TYPE\n",
        "# TYPE \n",
        "# TYPE a\n",
        "# TYPE a \n",
        "# TYPE  a gauge\n",
        "# TYPE a  gauge\n",
        "# TYPE a gauge \n",
        "# TYPE a\tgauge\n",
        "# TYPE a meh\n",
        "# TYPE a untyped\n",
        "# TYPE a Gauge\n",
        "# HELP\n",
        "# HELP \n",
        "# HELP a\n",
        "# HELP a\t\n",
        "# UNIT\n",
        "# UNIT a\n",
        "# UNIT a\t\n",
        "# TYPE 0a gauge\n",
        "# TYPE a.b gauge\n",
        " # HELP a b\n",
        "# type a gauge\n",
    ] {
        refused(bad, 1);
    }
    let page = read("# HELP a two  words \n# TYPE a gauge\n# UNIT a \n# HELP b \n# TYPE \"c.d\" unknown\n");
    let a = page.family("a").unwrap();
    assert_eq!((a.kind, a.help.as_deref(), a.unit.as_deref()), (Kind::Gauge, Some("two  words "), Some("")));
    assert_eq!(page.family("b").unwrap().help.as_deref(), Some(""));
    assert_eq!(page.family("c.d").unwrap().kind, Kind::Unknown);
}

#[test]
fn metadata_comes_once_and_before_samples() {
    refused("# TYPE a gauge\n# TYPE a gauge\n", 2);
    refused("# HELP a \n# HELP a \n", 2);
    refused("# UNIT a_s s\n# UNIT a_s s\n", 2);
    refused("# TYPE a gauge\na 1\n# HELP a x\n", 3);
    refused("a 1\n# TYPE a gauge\n", 2);
    refused("# TYPE a gauge\na 1\n# UNIT a \n", 3);
}

#[test]
fn help_escapes_quotes_too() {
    for (escaped, plain) in [
        ("\\x", "\\x"),
        ("\\\\x", "\\x"),
        ("x\\", "x\\"),
        ("\\n", "\n"),
        ("\\\\n", "\\n"),
        ("\\\"", "\""),
        ("\\\\\"", "\\\""),
        ("\\\\\\\"", "\\\""),
        ("he\u{0}lp", "he\u{0}lp"),
    ] {
        let page = read(&format!("# HELP a {escaped}\n"));
        assert_eq!(page.families[0].help.as_deref(), Some(plain), "{escaped}");
    }
}

#[test]
fn a_unit_is_the_end_of_the_name() {
    assert_eq!(
        read("# TYPE a_b_s gauge\n# UNIT a_b_s b_s\na_b_s 1\n").families[0].unit.as_deref(),
        Some("b_s")
    );
    let counter =
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\na_seconds_created 2\n";
    assert_eq!(read(counter).samples().count(), 2);
    refused("# UNIT a seconds\n", 1);
    refused("# UNIT seconds seconds\n", 1);
    refused("# UNIT a_seconds seconds \n", 1);
    refused("# UNIT a_seconds econds\n", 1);
    refused("# TYPE a_s info\n# UNIT a_s s\n", 2);
    refused("# UNIT a_s s\n# TYPE a_s stateset\n", 1);
}

#[test]
fn families_do_not_interleave_and_names_do_not_clash() {
    refused("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na{c=\"d\"} 1\n", 5);
    refused("a 1\nb 1\n# HELP a x\n", 3);
    refused("# TYPE a counter\na_total 1\nb 1\na_total{c=\"d\"} 1\n", 4);
    refused("# TYPE a counter\n# TYPE a_total gauge\n", 2);
    refused("# TYPE a_created gauge\n# TYPE a counter\n", 2);
    refused("# TYPE a_bucket gauge\na_bucket 1\n# TYPE a histogram\n", 3);
    refused("# TYPE a info\na 1\n", 2);
    refused("# TYPE a counter\na 1\n", 2);
    refused("# TYPE a histogram\na 1\n", 2);
    // An unknown metric of a name that nobody owns is one of its own.
    assert_eq!(read("# TYPE a gauge\na 1\na_total 1\n").families.len(), 2);
}

#[test]
fn counters_are_neither_negative_nor_nan() {
    let page = read("# TYPE a counter\na_total +Inf\na_created -1\na_total{b=\"c\"} 18446744073709551615\n");
    assert_eq!(page.families[0].samples.len(), 3);
    refused("# TYPE a counter\na_total -1\n", 2);
    refused("# TYPE a counter\na_total NaN\n", 2);
    refused("# TYPE a counter\na_created NaN\n", 2);
    refused("# TYPE a counter\na_total -Inf\n", 2);
}

#[test]
fn gauges_and_unknowns_take_any_value() {
    assert_eq!(read("# TYPE a gauge\na NaN\n# TYPE b unknown\nb -Inf\nc .5\n").samples().count(), 3);
}

#[test]
fn statesets_and_infos() {
    read("# TYPE a stateset\na{a=\"x\"} 1\na{a=\"y\"} 0.0\na{a=\"x\",b=\"c\"} 1\n");
    refused("# TYPE a stateset\na 0\n", 2);
    refused("# TYPE a stateset\na{b=\"c\"} 0\n", 2);
    refused("# TYPE a stateset\na{a=\"x\"} 2\n", 2);
    refused("# TYPE a stateset\na{a=\"x\"} NaN\n", 2);
    read("# TYPE a info\na_info{b=\"c\"} 1\na_info{b=\"d\"} 1.0\n");
    read("# TYPE a info\na_info{b=\"c\"} 1 2\na_info{b=\"d\"} 1 1\n");
    refused("# TYPE a info\na_info 0\n", 2);
    refused("# TYPE a info\na_info{b=\"c\"} 2\n", 2);
}

#[test]
fn summaries_have_quantiles_from_0_to_1() {
    let page = read(
        "# TYPE a summary\na_count 1\na_sum 0.5\na_created 1\na{quantile=\"0\"} NaN\na{quantile=\"1\"} 2\n",
    );
    assert_eq!(page.families[0].samples.len(), 5);
    for bad in [
        "a 0",
        "a{quantile=\"-1\"} 0",
        "a{quantile=\"1.01\"} 0",
        "a{quantile=\"NaN\"} 0",
        "a{quantile=\"x\"} 0",
        "a{quantile=\"\"} 0",
        "a{quantile=\"0.5\"} -1",
        "a_sum -1",
        "a_sum NaN",
        "a_count -1",
        "a_count 0.5",
        "a_count NaN",
    ] {
        refused(&format!("# TYPE a summary\n{bad}\n"), 2);
    }
}

#[test]
fn histograms_are_whole_and_ordered() {
    let head = "# TYPE a histogram\n";
    read(&format!(
        "{head}a_bucket{{le=\"0\"}} 0\na_bucket{{le=\"1e-04\"}} 1\na_bucket{{le=\"+Inf\"}} 3\na_count 3.0\na_sum 2\n"
    ));
    read(&format!("{head}a_bucket{{le=\"-1.0\"}} 0\na_bucket{{le=\"+Inf\"}} 3\na_created 1.5\n"));
    read(&format!("{head}a_bucket{{le=\"-Inf\"}} 0\na_bucket{{le=\"+Inf\"}} 3\n"));
    read(&format!(
        "{head}a_bucket{{le=\"1\"}} 0 1\na_bucket{{le=\"+Inf\"}} 3 1\na_bucket{{le=\"1\"}} 0 2\na_bucket{{le=\"+Inf\"}} 4 2\n"
    ));
    for (body, line) in [
        ("a_bucket 0\n", 2),
        ("a_bucket{le=\"x\"} 0\n", 2),
        ("a_bucket{le=\"NaN\"} 0\n", 2),
        ("a_bucket{le=\"+INF\"} 0\n", 2),
        ("a_bucket{le=\"inf\"} 0\n", 2),
        ("a_bucket{le=\"Inf\"} 0\n", 2),
        ("a_bucket{le=\"1\"} 0\n", 2),
        ("a_sum 1\n", 2),
        ("a_count 1\n", 2),
        ("a_created 1\n", 2),
        ("a_bucket{le=\"+Inf\"} 0\na_sum 0\n", 2),
        ("a_bucket{le=\"+Inf\"} 0\na_count 0\n", 2),
        ("a_bucket{le=\"+Inf\"} 0\na_count 1\na_sum 0\n", 2),
        ("a_count 1\na_sum 0\na_bucket{le=\"+Inf\"} 0\n", 2),
        ("a_bucket{le=\"+Inf\"} -1\n", 2),
        ("a_bucket{le=\"+Inf\"} NaN\n", 2),
        ("a_bucket{le=\"+Inf\"} 0.5\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_count 0.5\n", 3),
        ("a_bucket{le=\"+Inf\"} 1\na_sum -1\n", 3),
        ("a_bucket{le=\"+Inf\"} 1\na_sum NaN\n", 3),
        ("a_bucket{le=\"2\"} 0\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 0\n", 3),
        ("a_bucket{le=\"1\"} 0\na_bucket{le=\"1.0\"} 0\na_bucket{le=\"+Inf\"} 0\n", 3),
        ("a_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 0\n", 3),
        ("a_bucket{le=\"+Inf\"} 0\na_bucket{le=\"1\"} 0\n", 3),
        ("a_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_count 2\na_sum 1\n", 2),
        ("a_bucket{b=\"1\",le=\"+Inf\"} 0\na_bucket{b=\"2\",le=\"+Inf\"} 0\na_sum{b=\"1\"} 0\n", 4),
    ] {
        refused(&format!("{head}{body}"), line);
    }
}

#[test]
fn gauge_histograms_may_have_a_negative_sum_below_zero_only() {
    let head = "# TYPE a gaugehistogram\n";
    read(&format!("{head}a_bucket{{le=\"-1\"}} 1\na_bucket{{le=\"+Inf\"}} 2\na_gcount 2\na_gsum -5\n"));
    read(&format!("{head}a_bucket{{le=\"+Inf\"}} 2\na_gcount 2\na_gsum 5\n"));
    for (body, line) in [
        ("a_gsum 1\n", 2),
        ("a_bucket{le=\"+Inf\"} 0\na_gsum 0\n", 2),
        ("a_bucket{le=\"+Inf\"} 0\na_gcount 0\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_gcount 2\na_gsum 0\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_gcount 1\na_gsum -1\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_gcount 1\na_gsum NaN\n", 4),
        ("a_bucket{le=\"+Inf\"} -1\n", 2),
        ("a_bucket{le=\"+Inf\"} 0.5\n", 2),
        ("a_bucket{le=\"+Inf\"} 1\na_gcount -1\n", 3),
        ("a_bucket{le=\"+Inf\"} 1\na_gcount NaN\n", 3),
        ("a_bucket 1\n", 2),
    ] {
        refused(&format!("{head}{body}"), line);
    }
}

#[test]
fn a_label_set_stays_together_and_its_time_goes_on() {
    read("# TYPE a gauge\na{b=\"1\"} 0 -1\na{b=\"1\"} 0 1.5\na{b=\"2\"} 0\n");
    refused("# TYPE a gauge\na{b=\"1\"} 0 1\na{b=\"2\"} 0 1\na{b=\"1\"} 0 2\n", 4);
    refused("# TYPE a gauge\na 0 -1\na 0 -2\n", 3);
    refused("# TYPE a gauge\na 0 1\na 0 0\n", 3);
    refused("# TYPE a gauge\na 0 0\na 0\n", 3);
    refused("# TYPE a gauge\na 0\na 0 0\n", 3);
    refused("# TYPE a gauge\na 0\na 0\n", 3);
    refused("# TYPE a counter\na_total{b=\"1\"} 0\na_total{b=\"2\"} 0\na_created{b=\"1\"} 0\n", 4);
}

#[test]
fn points_of_the_same_nanosecond_are_kept_apart() {
    let page =
        read("# TYPE a gauge\na 1 0.0000000000\na 2 0.0000000001\na 3 0.0000000010\na 4 1.5e3\na 5 1500\n");
    let values = |list: &[exposition::Sample]| list.iter().map(|s| s.value).collect::<Vec<_>>();
    assert_eq!(values(&page.families[0].samples), [1.0, 3.0, 4.0]);
    assert_eq!(values(&page.repeated), [2.0, 5.0]);
    // They are checked like the others.
    refused("# TYPE a counter\na_total 1 1\na_total -1 1\n", 3);
}

#[test]
fn timestamps_are_finite_decimal_seconds() {
    for (text, seconds) in [
        ("000", 0.0),
        ("0.0", 0.0),
        ("1.1", 1.1),
        ("-1.5", -1.5),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("12345678901234567890.1234567890", 12_345_678_901_234_567_890.0),
        ("1520879607.789", 1_520_879_607.789),
    ] {
        assert_eq!(read(&format!("a 1 {text}\n")).families[0].samples[0].timestamp, Some(seconds), "{text}");
    }
    for bad in ["z", "1z", "1_2", "1.1.1", "NaN", "Inf", "+Inf", "-Inf", "1e999", "0x1", "0x1p-3", "0b1"] {
        refused(&format!("a 1 {bad}\n"), 1);
    }
}

#[test]
fn exemplars_stand_on_counters_and_buckets() {
    let page =
        read("# TYPE a counter\na_total 1 2 # {b=\"c # \\\" d\"} -0.5 3.5\na_total{x=\"1\"} 1 # {} NaN\n");
    let exemplar = page.families[0].samples[0].exemplar.clone().unwrap();
    assert_eq!(exemplar.labels, [("b".to_owned(), "c # \" d".to_owned())]);
    assert_eq!((exemplar.value, exemplar.timestamp), (-0.5, Some(3.5)));
    assert!(page.families[0].samples[1].exemplar.as_ref().unwrap().value.is_nan());
    read("# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1 # {b=\"c\"} 1\n");
    let long = "\u{2603}".repeat(127);
    read(&format!("# TYPE a counter\na_total 1 # {{b=\"{long}\"}} 1\n"));
    refused(&format!("# TYPE a counter\na_total 1 # {{b=\"{long}x\"}} 1\n"), 2);
    for bad in [
        "a_total 1 #",
        "a_total 1 # ",
        "a_total 1 #{} 1",
        "a_total 1# {} 1",
        "a_total 1 # {}1",
        "a_total 1 # {}",
        "a_total 1 # {} ",
        "a_total 1 # {} 1 ",
        "a_total 1 # {} 1 1 ",
        "a_total 1 # {} 1 1 1",
        "a_total 1  # {} 1",
        "a_total 1 # {b=\"c\"",
        "a_total 1 # {b=c} 1",
        "a_total 1 # {\"b\"} 1",
        "a_total 1 # {} 0x1p-3",
        "a_total 1 # {} 1 NaN",
        "a_total 1 # {} 1 -Inf",
        "a_total 1 # {} 1 0x1p-3",
        "a_total 1 1 #id=\" # \"} 1",
        "a_created 1 # {} 1",
        "a_total 1 # b 1",
    ] {
        refused(&format!("# TYPE a counter\n{bad}\n"), 2);
    }
    refused("# TYPE a histogram\na_sum 1 # {} 1\n", 2);
    refused("# TYPE a gauge\na 1 # {} 1\n", 2);
    refused("# TYPE a stateset\na{a=\"b\"} 1 # {c=\"d\"} 1\n", 2);
    refused("a_total 1 # {} 1\n", 1);
    refused("# TYPE a_bucket gauge\na_bucket 1 # {} 1\n", 2);
}

#[test]
fn names_in_quotes() {
    let page = read(
        "# TYPE \"a.b\" counter\n{\"a.b_total\",\"c d\"=\"e\"} 1\n# TYPE f gauge\nf{\"g\"=\"h\"} 1\n{i=\"j\",\"k.l\"} 1\n",
    );
    let series: Vec<_> = page.series().map(|(name, _)| name).collect();
    assert_eq!(series, ["{\"a.b_total\",\"c d\"=\"e\"}", "f{g=\"h\"}", "{\"k.l\",i=\"j\"}"]);
    assert_eq!(page.family("a.b").unwrap().samples.len(), 1);
    refused("{} 1\n", 1);
    refused("{\"\"} 1\n", 1);
    refused("a{\"b\"} 1\n", 1);
    refused("{\"a\",\"b\"} 1\n", 1);
    refused("a{__name__=\"b\"} 1\n", 1);
    refused("a{__b=\"c\"} 1\n", 1);
}
