//! Broken processes: crashes, exits, hangs, signals, daemons, CPU, memory, latency.

use super::{broken, rows};

rows! {
    a_rust_panic: broken("crash").aborts("A1").judged("C3", "fail").reports("panicked at").reports("order book of KRW-XRP is crossed");
    a_rust_panic_in_the_smoke: broken("crash").arg("--break-in", "smoke").arg("--break-after-seconds", "0.8")
        .smoke_aborts("A1").reports("panicked at").judged("C3", "fail");
    a_python_traceback_and_exit_1: broken("die").arg("--exit-code", "1")
        .arg("--print-err", "Traceback (most recent call last):\\n  File \"/opt/bot/main.py\", line 12, in <module>\\n    main()\\n  File \"/opt/bot/main.py\", line 8, in main\\n    raise KeyError('KRW-XRP')\\nKeyError: 'KRW-XRP'\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (python)").reports("KeyError");
    a_go_panic_and_exit_2: broken("die").arg("--exit-code", "2")
        .arg("--print-err", "panic: runtime error: index out of range [5] with length 3\\n\\ngoroutine 1 [running]:\\nmain.main()\\n\\t/src/main.go:10 +0x1d\\nexit status 2\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (go)");
    a_java_exception_and_exit_1: broken("die").arg("--exit-code", "1")
        .arg("--print-err", "Exception in thread \"main\" java.lang.NullPointerException: book\\n\\tat com.bot.Main.run(Main.java:14)\\n\\tat com.bot.Main.main(Main.java:5)\\n")
        .aborts("A1").judged("C3", "fail").reports("NullPointerException");
    a_node_error_and_exit_1: broken("die").arg("--exit-code", "1")
        .arg("--print-err", "/app/bot.js:3\\n    throw new Error('book');\\n    ^\\n\\nError: book\\n    at Object.<anonymous> (/app/bot.js:3:11)\\n    at Module._compile (node:internal/modules/cjs/loader:1376:14)\\n\\nNode.js v20.11.0\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (node)");
    a_traceback_split_over_writes: broken("die").arg("--exit-code", "1").arg("--piece", "7")
        .arg("--print-err", "Traceback (most recent call last):\\n  File \"/opt/bot/main.py\", line 12, in <module>\\n    main()\\nValueError: split\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (python)").reports("ValueError: split");
    a_traceback_on_standard_output: broken("die").arg("--exit-code", "1")
        .arg("--print", "Traceback (most recent call last):\\n  File \"/opt/bot/main.py\", line 12, in <module>\\n    main()\\nValueError: out\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (python)");
    a_traceback_without_a_last_line_feed: broken("die").arg("--exit-code", "1")
        .arg("--print-err", "Traceback (most recent call last):\\n  File \"/opt/bot/main.py\", line 12, in <module>\\n    main()\\nValueError: torn")
        .aborts("A1").judged("C3", "fail").reports("crash (python)");
    a_traceback_between_noise: broken("die").arg("--exit-code", "1").arg("--print", "\\xff\\xfe\\x80 not UTF-8\\n\\0\\0\\0\\n")
        .arg("--print-err", "\\xffgarbage\\nTraceback (most recent call last):\\n  File \"/opt/bot/main.py\", line 12, in <module>\\n    main()\\nValueError: noise\\n")
        .aborts("A1").judged("C3", "fail").reports("crash (python)");
    a_segmentation_fault: broken("kill-self").arg("--signal", "11").aborts("A1").judged("C3", "fail").reports("signal 11");
    an_abort: broken("kill-self").arg("--signal", "6").aborts("A1").judged("C3", "fail").reports("signal 6");
    killed_from_outside: broken("kill-self").arg("--signal", "9").aborts("A1").judged("C3", "fail").reports("signal 9");
    a_bus_error_in_the_smoke: broken("kill-self").arg("--signal", "7").arg("--break-in", "smoke").arg("--break-after-seconds", "0.8")
        .smoke_aborts("A1").judged("C3", "fail").reports("signal 7");
    stopped_by_a_signal: broken("kill-self").arg("--signal", "19").set("rules.A8.for", "\"40 s\"").set("rules.A9.for", "\"40 s\"").interrupted().reports("SIGSTOP");
    exit_3_of_a_foreign_runner: broken("die").arg("--exit-code", "3").aborts("A1").judged("C3", "fail").reports("exit code 3");
    exit_1_in_silence: broken("die").arg("--exit-code", "1").aborts("A1").judged("C3", "fail").reports("exit code 1");
    exit_0_early: broken("exit-early").aborts("A1").reports("exited with code 0").judged("C1", "fail");
    exit_0_early_in_the_smoke: broken("exit-early").arg("--break-in", "smoke").arg("--break-after-seconds", "0.5")
        .smoke_aborts("A1").reports("exited with code 0");
    exit_0_two_seconds_early_in_order: broken("plain").arg("--end-shift-seconds", "-1.9").arg("--linger-ms", "10").set("smoke.duration", "\"4 s\"").arg("--break-in", "any")
        .smoke_aborts("A1").reports("exited with code 0");
    exit_1_at_the_end: broken("plain").arg("--exit-code", "1").aborts("A1").judged("C3", "fail").reports("exit code 1");
    exit_1_at_the_end_of_the_smoke: broken("plain").arg("--exit-code", "1").arg("--break-in", "smoke").smoke_aborts("A1").reports("exit code 1");
    a_rust_thread_died: broken("worker-panic").aborts("A1").judged("C3", "fail").reports("a worker died (rust)");
    a_java_thread_died: broken("plain")
        .arg("--print-err", "Exception in thread \"feed-2\" java.lang.IllegalStateException: queue closed\\n\\tat com.bot.Feed.run(Feed.java:88)\\n\\tat java.base/java.lang.Thread.run(Thread.java:840)\\n")
        .aborts("A1").judged("C3", "fail").reports("a worker died (jvm)");
    a_python_thread_died: broken("plain")
        .arg("--print-err", "Exception in thread Thread-1 (poll):\\nTraceback (most recent call last):\\n  File \"/usr/lib/python3.11/threading.py\", line 1038, in _bootstrap_inner\\n    self.run()\\n  File \"/opt/bot/feed.py\", line 88, in poll\\n    raise RuntimeError('feed')\\nRuntimeError: feed\\n")
        .aborts("A1").judged("C3", "fail").reports("a worker died (python)");
    a_hang_that_answers_scrapes: broken("hang").aborts("A8").judged("C3", "fail").reports("loop iterations");
    a_hang_that_rewrites_its_kpi_file: broken("hang-busy").aborts("A8").judged("C3", "fail").reports("loop iterations");
    a_hang_in_the_smoke: broken("hang").arg("--break-in", "smoke").arg("--break-after-seconds", "0.8").set("smoke.duration", "\"6 s\"")
        .smoke_aborts("A8").reports("loop iterations");
    a_hang_that_answers_nothing: broken("freeze").aborts("A9").reports("no successful scrape");
    a_hang_seen_by_the_kpi_file: broken("stale-kpi").set("runner.progress", "'kpi_file'").aborts("A8").reports("KPI file rewrites");
    ignores_its_stop_signal: broken("ignore-signals").reports("killed").judged("C1", "pass");
    ignores_its_stop_signal_when_aborted: broken("ignore-signals,dlq").aborts("A2").reports("alert_dlq_total");
    a_daemon_that_keeps_the_pipe: broken("grandchild-early,die").arg("--exit-code", "1").aborts("A1").reports("exit code 1");
    cpu_burnt: broken("plain").arg("--busy-ms", "18").set("measure.cpu_cores", "0.1").heavy().aborts("A5").reports("CPU");
    cpu_above_70_percent: broken("plain").arg("--busy-ms", "18").arg("--kpi-drop", "cpu_usage_pct").set("measure.cpu_cores", "0.1").set("rules.A5.for", "\"30 s\"").heavy()
        .code(12).judged("H2", "fail").reports("would be");
    latency_steps_to_150_ms: broken("plain").arg("--latency-ms", "150").aborts("A4").reports("loop latency p99");
    latency_of_90_ms: broken("plain").arg("--latency-ms", "90").arg("--break-after-seconds", "0").code(12).judged("H1", "fail").reports("H1");
    a_memory_ramp: broken("memory-ramp").aborts("A6").judged("H3", "fail").reports("%/h");
    a_memory_ramp_too_late_for_the_rule: broken("memory-ramp").set("rules.A6.over", "\"40 s\"").code(12).judged("H3", "fail").reports("%/h");
}
