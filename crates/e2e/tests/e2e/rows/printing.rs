//! Broken and loud logs that end in no crash: floods, noise, errors.

use super::{broken, healthy, rows};

rows! {
    many_errors_that_the_kpi_file_denies: broken("plain").arg("--print", "2026-01-02T03:04:05Z ERROR order refused\\n2026-01-02T03:04:05Z ERROR order refused\\n2026-01-02T03:04:05Z ERROR order refused\\n2026-01-02T03:04:05Z ERROR order refused\\n2026-01-02T03:04:05Z ERROR order refused\\n")
        .judged("C2", "fail").kpi("error_rate_pct", "implausible").reports("ERROR lines by the runner");
    errors_claimed_that_the_log_lacks: broken("plain").arg("--kpi-set", "error_lines=500")
        .judged("C2", "fail").kpi("error_rate_pct", "implausible").reports("500 ERROR lines by the runner");
    a_flood_of_300_mb_beside_a_crash: broken("die").arg("--flood-mb", "300").arg("--exit-code", "9").heavy().aborts("A1").reports("exit code 9");
    a_flood_of_300_mb: healthy("plain").arg("--flood-mb", "300").heavy().reports("dropped");
    not_utf_8: healthy("plain").arg("--print", "\\xff\\xfe\\x80 caf\\xe9 \\xc3\\x28\\n");
    nul_bytes: healthy("plain").arg("--print", "\\0\\0\\0\\0 INFO \\0\\n\\0");
    half_lines: healthy("plain").arg("--piece", "3").arg("--print", "2026-01-02T03:04:05Z INFO written in pieces of three bytes\\nand another");
    quoted_tracebacks: healthy("handled").arg("--break-in", "any").arg("--break-after-seconds", "0.5");
    a_quoted_traceback_in_json: healthy("plain").arg("--print", "{\"level\":\"info\",\"msg\":\"peer said: Traceback (most recent call last):\\\\n  File \\\"x.py\\\", line 1\\\\nValueError: no\"}\\n");
    a_python_exception_handled: healthy("plain").arg("--print-err", "Traceback (most recent call last):\\n  File \"/opt/bot/feed.py\", line 88, in poll\\n    frame = self.queue.get_nowait()\\n_queue.Empty\\n");
    a_java_exception_handled: healthy("plain").arg("--print-err", "java.net.SocketTimeoutException: Read timed out\\n\\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:288)\\n\\tat com.bot.Feed.poll(Feed.java:88)\\n");
    a_node_exception_handled: healthy("plain").arg("--print-err", "Error: connect ECONNREFUSED 127.0.0.1:9\\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1595:16)\\n    at poll (/app/feed.js:3:1)\\n");
    a_ruby_exception_handled: healthy("plain").arg("--print-err", "feed.rb:3:in `poll': timed out (Net::ReadTimeout)\\n\\tfrom feed.rb:10:in `<main>'\\n");
    a_dotnet_exception_handled: healthy("plain").arg("--print-err", "System.TimeoutException: The operation has timed out.\\n   at Bot.Feed.Poll() in /src/Feed.cs:line 88\\n   at Bot.Program.Main(String[] args) in /src/Program.cs:line 5\\n");
    a_php_exception_handled: healthy("plain").arg("--print-err", "PHP Warning:  fsockopen(): timed out in /app/feed.php on line 3\\n");
    a_go_trace_handled: healthy("plain").arg("--print-err", "recovered: runtime error: index out of range [5] with length 3\\ngoroutine 7 [running]:\\nruntime/debug.Stack()\\n\\t/usr/local/go/src/runtime/debug/stack.go:24 +0x5e\\nmain.feed()\\n\\t/src/feed.go:10 +0x1d\\n");
    full_of_alarming_words: healthy("plain").arg("--log-style", "words").arg("--break-in", "any");
    json_lines: healthy("plain").arg("--log-style", "json");
    logfmt_lines: healthy("plain").arg("--log-style", "logfmt");
    korean_lines: healthy("plain").arg("--log-style", "korean");
    lines_ended_as_on_windows: healthy("plain").arg("--log-style", "crlf");
    long_lines: healthy("plain").arg("--log-style", "long");
    a_line_of_one_megabyte: healthy("plain").arg("--print", &format!("2026-01-02T03:04:05Z INFO {}\\n", "x".repeat(100_000)));
    everything_on_standard_error: healthy("plain").arg("--log-style", "stderr");
    no_log_at_all: healthy("plain").arg("--log-style", "nothing");
    very_chatty: healthy("chatter");
    standard_output_closed: healthy("close-output").arg("--break-in", "any");
    errors_that_both_count: healthy("plain").arg("--print", "2026-01-02T03:04:05Z ERROR order refused\\n2026-01-02T03:04:05Z ERROR order refused\\n").arg("--kpi-set", "error_lines=2");
    warnings_only: healthy("plain").arg("--print", "2026-01-02T03:04:05Z WARNING slow answer\\n2026-01-02T03:04:05Z WARN slow answer\\n");
}
