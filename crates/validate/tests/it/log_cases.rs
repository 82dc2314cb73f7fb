//! Traces by the documented formats of runtimes that were not at hand (Go, .NET, PHP, Ruby, Dart), traces that loggers and
//! collectors have had in their hands, and texts that look like traces and are none.

use super::outcomes::{Pace, outcome};

const CRASHED: &str = "process_crashed";
const WORKER: &str = "worker_died_process_alive";
const HANDLED: &str = "trace_but_handled";
const FAILED: &str = "process_failed_no_trace";
const CLEAN: &str = "clean";

/// Text, exit status, outcome, languages of its blocks.
type Case = (&'static str, i32, &'static str, &'static str);

fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (text, status, label, languages) in cases {
        for pace in [Pace::Burst, Pace::Pieces(7, 0.01), Pace::LivesOn(if *status == 0 { 20.0 } else { 0.0 })]
        {
            let (found, blocks) = outcome(text.as_bytes(), *status, pace);
            if found != *label || blocks.join(" ") != *languages {
                wrong.push(format!("{found} {blocks:?} by {pace:?}, not {label} [{languages}]:\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n---\n"));
}

#[test]
fn go() {
    check(&[
        (
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/bot/main.go:8 +0x1d\nexit status 2\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "panic: first\n\tpanic: second\n\ngoroutine 1 [running]:\nmain.f.func1()\n\t/srv/bot/main.go:8 +0x39\npanic({0x45e0a0, 0x47a1e8})\n\t/usr/local/go/src/runtime/panic.go:770 +0x132\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "panic: boom [recovered]\n\tpanic: boom\n\ngoroutine 18 [running]:\ntesting.tRunner.func1.2({0x1, 0x2})\n\t/usr/local/go/src/testing/testing.go:1545 +0x238\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45cd1b]\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/bot/main.go:5 +0x1b\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/srv/bot/main.go:5 +0x25\n\ngoroutine 6 [select, 2 minutes]:\nmain.g()\n\t/srv/bot/main.go:9 +0x25\ncreated by main.main in goroutine 1\n\t/srv/bot/main.go:3 +0x1\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "fatal error: concurrent map writes\n\ngoroutine 19 [running]:\nmain.main.func1()\n\t/srv/bot/main.go:9 +0x3c\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "runtime: goroutine stack exceeds 1000000000-byte limit\nruntime: sp=0xc0200e0390 stack=[0xc0200e0000, 0xc0400e0000]\nfatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x469a5c?, 0x0?})\n\t/usr/local/go/src/runtime/panic.go:1023 +0x5c\n\ngoroutine 1 gp=0xc0000061c0 m=0 mp=0x4c1f40 [running]:\nmain.f(0x1)\n\t/srv/bot/main.go:3 +0x3c fp=0xc0200e03a0 sp=0xc0200e0398 pc=0x45cdfc\n...additional frames elided...\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "fatal error: runtime: out of memory\n\nruntime stack:\nruntime.throw({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:1023 +0x5c\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "SIGQUIT: quit\nPC=0x45e1e1 m=0 sigcode=0\n\ngoroutine 1 gp=0xc0000061c0 m=0 mp=0x4c1f40 [sleep]:\ntime.Sleep(0x3b9aca00)\n\t/usr/local/go/src/runtime/time.go:195 +0x125\n\nrax    0xca\nrip    0x45e1e1\nrflags 0x286\ncs     0x33\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "2026/11/23 02:00:00 http: panic serving 127.0.0.1:50412: boom\ngoroutine 34 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/local/go/src/net/http/server.go:1898 +0xbe\n2026/11/23 02:00:01 next request\n",
            0,
            HANDLED,
            "go",
        ),
        ("panic: the market is in panic\nbut we go on\n", 0, CLEAN, ""),
        ("2026/11/23 02:00:00 panic: words only\n", 1, FAILED, ""),
    ]);
}

#[test]
fn dotnet() {
    check(&[
        (
            "Unhandled exception. System.InvalidOperationException: Order refused.\n   at Bot.Trader.Send(Order order) in /srv/bot/Trader.cs:line 12\n   at Bot.Program.Main(String[] args) in /srv/bot/Program.cs:line 5\n",
            134,
            CRASHED,
            "dotnet",
        ),
        (
            "Unhandled exception. System.AggregateException: One or more errors occurred. (first line\nsecond line)\n ---> System.Exception: first line\nsecond line\n   at Program.<>c.<Main>b__0_0() in /srv/bot/P.cs:line 3\n   --- End of inner exception stack trace ---\n   at System.Threading.Tasks.Task.Wait()\n   at Program.Main()\n ---> (Inner Exception #1) System.Exception: other<---\n\n",
            134,
            CRASHED,
            "dotnet",
        ),
        (
            "Unhandled exception. System.Exception: async\n   at Program.WorkAsync() in /srv/bot/P.cs:line 9\n--- End of stack trace from previous location ---\n   at Program.Main(String[] args)\n   at Program.<Main>(String[] args)\n",
            134,
            CRASHED,
            "dotnet",
        ),
        (
            "Unhandled Exception: System.NullReferenceException: Object reference not set to an instance of an object\n  at Bot.Main (System.String[] args) [0x00001] in <f00d>:0 \n",
            1,
            CRASHED,
            "dotnet",
        ),
        (
            "fail: Bot.Worker[0]\n      Order refused\n      System.TimeoutException: The operation has timed out.\n         at Bot.Venue.SendAsync(Order order) in /srv/bot/Venue.cs:line 40\n         at Bot.Worker.ExecuteAsync(CancellationToken stop) in /srv/bot/Worker.cs:line 22\ninfo: Bot.Worker[0]\n      goes on\n",
            0,
            HANDLED,
            "dotnet",
        ),
        (
            "2026-11-23 02:00:00.123 [ERR] Order refused\nSystem.TimeoutException: timed out\n   at Bot.Venue.Send(Order order)\n   at Bot.Worker.Run()\n2026-11-23 02:00:00.200 [INF] goes on\n",
            0,
            HANDLED,
            "dotnet",
        ),
        ("Unhandled exceptions: 0\n   at noon\n", 0, CLEAN, ""),
    ]);
}

#[test]
fn php_ruby_and_dart() {
    check(&[
        (
            "PHP Fatal error:  Uncaught RuntimeException: refused in /srv/bot/a.php:3\nStack trace:\n#0 /srv/bot/a.php(7): f()\n#1 {main}\n  thrown in /srv/bot/a.php on line 3\n",
            255,
            CRASHED,
            "php",
        ),
        (
            "PHP Fatal error:  Uncaught RuntimeException: first\nsecond in /srv/bot/a.php:3\nStack trace:\n#0 {main}\n\nNext LogicException: outer in /srv/bot/a.php:9\n",
            255,
            CRASHED,
            "php",
        ),
        (
            "[23-Nov-2026 02:00:00 UTC] PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /srv/bot/a.php on line 3\n",
            255,
            CRASHED,
            "php",
        ),
        (
            "PHP Parse error:  syntax error, unexpected token \"}\" in /srv/bot/a.php on line 3\n",
            255,
            CRASHED,
            "php",
        ),
        (
            "[2026-11-23 02:00:00] production.ERROR: refused {\"exception\":\"[object] (RuntimeException(code: 0): refused at /srv/bot/a.php:3)\n[stacktrace]\n#0 /srv/bot/b.php(9): f()\n#1 {main}\n\"} \n[2026-11-23 02:00:01] production.INFO: goes on\n",
            0,
            HANDLED,
            "php",
        ),
        ("PHP Warning:  Undefined variable $x in /srv/bot/a.php on line 3\n", 0, CLEAN, ""),
        (
            "/srv/bot/a.rb:2:in `f': refused (RuntimeError)\n\tfrom /srv/bot/a.rb:5:in `<main>'\n",
            1,
            CRASHED,
            "ruby",
        ),
        (
            "/srv/bot/a.rb:2:in 'Integer#/': divided by 0 (ZeroDivisionError)\nmore of the message\n\tfrom /srv/bot/a.rb:2:in 'Object#f'\n\tfrom /srv/bot/a.rb:5:in '<main>'\n",
            1,
            CRASHED,
            "ruby",
        ),
        (
            "Traceback (most recent call last):\n\t1: from a.rb:5:in `<main>'\na.rb:2:in `f': refused (RuntimeError)\n",
            1,
            CRASHED,
            "ruby",
        ),
        (
            "a.rb:3:in `rescue in f': outer (RuntimeError)\n\tfrom a.rb:1:in `f'\n\tfrom a.rb:7:in `<main>'\na.rb:2:in `f': inner (KeyError)\n\tfrom a.rb:7:in `<main>'\n",
            1,
            CRASHED,
            "ruby",
        ),
        (
            "-e:1:in `f': stack level too deep (SystemStackError)\n\tfrom -e:1:in `f'\n\t ... 10918 levels...\n\tfrom -e:1:in `<main>'\n",
            1,
            CRASHED,
            "ruby",
        ),
        (
            "#<Thread:0x00007f0a1c a.rb:1 run> terminated with exception (report_on_exception is true):\na.rb:1:in `block in <main>': feed (RuntimeError)\nmain alive\n",
            0,
            WORKER,
            "ruby",
        ),
        (
            "Unhandled exception:\nBad state: refused\n#0      f (file:///srv/bot/a.dart:3:5)\n#1      main (file:///srv/bot/a.dart:7:3)\n<asynchronous suspension>\n",
            255,
            CRASHED,
            "dart",
        ),
        (
            "[ERROR:flutter/runtime/dart_vm_initializer.cc(41)] Unhandled Exception: Bad state: refused\n#0      f (package:bot/a.dart:3:5)\n<asynchronous suspension>\n",
            0,
            HANDLED,
            "dart",
        ),
    ]);
}

#[test]
fn what_loggers_and_collectors_make_of_traces() {
    check(&[
        (
            "bot-1  | Traceback (most recent call last):\nbot-1  |   File \"/srv/bot/a.py\", line 1, in f\nbot-1  |     x\nbot-1  | KeyError: 1\nbot-1 exited with code 1\n",
            1,
            CRASHED,
            "python",
        ),
        (
            "Nov 23 02:00:00 host bot[12]: Traceback (most recent call last):\nNov 23 02:00:00 host bot[12]:   File \"/srv/bot/a.py\", line 1, in f\nNov 23 02:00:01 host bot[12]: KeyError: 1\n",
            1,
            CRASHED,
            "python",
        ),
        (
            "2026-11-23T02:00:00.100Z stderr F thread 'main' panicked at src/main.rs:2:5:\n2026-11-23T02:00:00.200Z stderr F boom\n2026-11-23T02:00:00.200Z stderr F note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            101,
            CRASHED,
            "rust",
        ),
        (
            "2026-11-23T02:00:00Z stderr F panic: boom\n2026-11-23T02:00:00Z stderr F\n2026-11-23T02:00:00Z stderr F goroutine 1 [running]:\n2026-11-23T02:00:00Z stderr F main.main()\n2026-11-23T02:00:00Z stderr F \t/srv/bot/main.go:8 +0x1d\n",
            2,
            CRASHED,
            "go",
        ),
        (
            "02:00:00 bot: Exception in thread \"feed-1\" java.lang.IllegalStateException: x\n02:00:00 bot: \tat com.bot.Feed.run(Feed.java:7)\n02:00:00 bot: \tat java.base/java.lang.Thread.run(Thread.java:840)\n",
            0,
            WORKER,
            "jvm",
        ),
        (
            "2026-11-23 02:00:00 ERROR bot - java.io.IOException: x\n2026-11-23 02:00:00 ERROR bot - \tat com.bot.Feed.run(Feed.java:7)\n2026-11-23 02:00:00 ERROR bot - \tat com.bot.Feed.main(Feed.java:9)\n2026-11-23 02:00:00 INFO bot - goes on\n",
            0,
            HANDLED,
            "jvm",
        ),
        // Time only where the logger was called; the trace follows it bare.
        (
            "2026-11-23 02:00:00,123 ERROR bot Traceback (most recent call last):\n  File \"a.py\", line 1, in feed\nKeyError: 1\n2026-11-23 02:00:00,124 INFO bot goes on\n",
            0,
            HANDLED,
            "python",
        ),
        (
            "{\"level\":\"error\",\"stack\":\"Error: x\\n    at f (/srv/bot/a.js:1:2)\\n    at g (/srv/bot/a.js:3:4)\"}\n",
            0,
            CLEAN,
            "",
        ),
        ("{\"log\":\"Traceback (most recent call last):\\n\"}\n", 1, FAILED, ""),
        (
            "> Traceback (most recent call last):\n>   File \"a.py\", line 1, in f\n> KeyError: 1\n",
            0,
            CLEAN,
            "",
        ),
        (
            "    Traceback (most recent call last):\n      File \"a.py\", line 1, in f\n    KeyError: 1\n",
            0,
            CLEAN,
            "",
        ),
        (
            "2026-11-23 02:00:00 INFO reply: thread 'main' panicked at src/a.rs:1:2:\n2026-11-23 02:00:00 INFO next\n",
            0,
            CLEAN,
            "",
        ),
        ("2026-11-23 02:00:00 INFO the docs say panicked at src/a.rs:1:2:\n", 0, CLEAN, ""),
        (
            "2026-11-23 02:00:00 INFO Exception in thread \"feed\" java.lang.X: is what one would see\n",
            0,
            CLEAN,
            "",
        ),
        (
            "2026-11-23 02:00:00 INFO fatal error: goroutine 1 [running] Segmentation fault (core dumped) *** stack smashing\n",
            0,
            CLEAN,
            "",
        ),
        (
            "we meet\n    at the station at 10:30:12\n    at (12)\n   at home.Now(x)\nand   at noon\n",
            0,
            CLEAN,
            "",
        ),
        ("*** restarting feed ***\n*** Error: none\nfree(): cash 12 USD\nAborted trades: 3\n", 0, CLEAN, ""),
        ("*** glibc ***\nKilled 3 orders\nSegmentation fault tolerance is on\n", 1, FAILED, ""),
    ]);
}

#[test]
fn native_aborts() {
    check(&[
        ("*** stack smashing detected ***: terminated\n", 134, CRASHED, "native"),
        ("*** buffer overflow detected ***: terminated\n", 134, CRASHED, "native"),
        ("malloc(): corrupted top size\n", 134, CRASHED, "native"),
        ("corrupted size vs. prev_size\n", 134, CRASHED, "native"),
        ("free(): double free detected in tcache 2\n", 134, CRASHED, "native"),
        ("munmap_chunk(): invalid pointer\n", 134, CRASHED, "native"),
        (
            "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == initial_top (av) && old_size == 0)\n",
            134,
            CRASHED,
            "native",
        ),
        (
            "bot: malloc.c:2379: sysmalloc: Assertion `(old_top == initial_top (av) && old_size == 0)' failed.\n",
            134,
            CRASHED,
            "native",
        ),
        (
            "*** Error in `./bot': double free or corruption (!prev): 0x0000000000602010 ***\n======= Backtrace: =========\n/lib64/libc.so.6(+0x7c619)[0x7f0f1b6c6619]\n./bot(main+0x2f)[0x40059c]\n",
            134,
            CRASHED,
            "native",
        ),
        (
            "pure virtual method called\nterminate called without an active exception\n",
            134,
            CRASHED,
            "native",
        ),
        ("terminate called recursively\n", 134, CRASHED, "native"),
        ("Segmentation fault\n", 139, CRASHED, "native"),
        ("Segmentation fault (core dumped)", 139, CRASHED, "native"),
        (
            "/srv/bot/run.sh: line 3:  1234 Segmentation fault      (core dumped) ./bot\n",
            139,
            CRASHED,
            "native",
        ),
        ("/srv/bot/run.sh: line 3:  1234 Killed                  ./worker\n", 137, CRASHED, "native"),
        (
            "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x00007f, pid=1, tid=2\n#\n",
            134,
            CRASHED,
            "jvm",
        ),
        ("Terminating due to java.lang.OutOfMemoryError: Java heap space\n", 3, CRASHED, "jvm"),
        (
            "==12==ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak of 8 byte(s) in 1 object(s) allocated from:\n    #0 0x4 in malloc\n\nSUMMARY: AddressSanitizer: 8 byte(s) leaked\n",
            23,
            CRASHED,
            "native",
        ),
    ]);
}

/// What is done to a recorded log, and whether a trace may still be told from a quotation afterwards.
type Change = (&'static str, fn(&[u8]) -> Vec<u8>);

fn by_line(log: &[u8], change: impl Fn(usize, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let lines = log.strip_suffix(b"\n").unwrap_or(log).split(|b| *b == b'\n');
    lines.enumerate().flat_map(|(n, line)| change(n, line)).collect()
}

#[test]
fn what_is_done_to_a_recorded_log_does_not_change_its_outcome() {
    let changes: [Change; 6] = [
        ("carriage returns", |log| by_line(log, |_, line| [line, b"\r\n"].concat())),
        ("colours", |log| by_line(log, |_, line| [b"\x1b[1;31m", line, b"\x1b[0m\n"].concat())),
        ("no line feed at the end", |log| log.strip_suffix(b"\n").unwrap_or(log).to_vec()),
        ("other lines before", |log| {
            [b"2026-11-23 02:00:00,123 INFO bot: \xff\xfe\0 start\nready\n\n", log].concat()
        }),
        ("a log line after", |log| {
            [log, if log.ends_with(b"\n") { b"" } else { b"\n" }, b"2026-11-23 02:00:00,123 INFO bot: end\n"]
                .concat()
        }),
        ("a long line before", |log| [&vec![b'x'; 200_000], &b"\n"[..], log].concat()),
    ];
    let mut wrong = Vec::new();
    for (name, log, status, label) in super::outcomes::recorded() {
        // A progress bar's line, and a panic after half a line, are lines that others have begun.
        for (what, change) in &changes {
            let changed = change(&log);
            let (found, blocks) = outcome(&changed, status, Pace::Burst);
            if found != label {
                wrong.push(format!("{name} with {what}: {found} {blocks:?}, not {label}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_recorded_log_that_is_quoted_is_no_trace() {
    let quotes: [Change; 3] = [
        ("quotation marks", |log| by_line(log, |_, line| [b"> ", line, b"\n"].concat())),
        ("JSON", |log| {
            by_line(log, |_, line| {
                let text = String::from_utf8_lossy(line).into_owned();
                format!("{}\n", serde_json::json!({ "level": "info", "text": text })).into_bytes()
            })
        }),
        ("one JSON line", |log| {
            let text = String::from_utf8_lossy(log).into_owned();
            format!("{}\n", serde_json::json!({ "level": "info", "text": text })).into_bytes()
        }),
    ];
    let mut wrong = Vec::new();
    for (name, log, ..) in super::outcomes::recorded() {
        for (what, change) in &quotes {
            let (found, blocks) = outcome(&change(&log), 0, Pace::LivesOn(20.0));
            if found != CLEAN {
                wrong.push(format!("{name} in {what}: {found} {blocks:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_recorded_log_behind_a_prefix_keeps_its_outcome() {
    let prefixes: [Change; 3] = [
        ("a collector's time", |log| {
            by_line(log, |n, line| {
                [
                    format!("2026-11-23T02:00:{:02}.{:06}Z stderr F ", n / 10 % 60, n * 17).as_bytes(),
                    line,
                    b"\n",
                ]
                .concat()
            })
        }),
        ("a container's name", |log| by_line(log, |_, line| [b"bot-1  | ", line, b"\n"].concat())),
        ("syslog", |log| by_line(log, |_, line| [b"Nov 23 02:00:00 host bot[123]: ", line, b"\n"].concat())),
    ];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, log, status, label) in super::outcomes::recorded() {
        // What is told by one line alone is a quotation as well, behind a prefix; and two prefixes are one too many.
        let single = [
            "native_",
            "rust_nofmt",
            "rust_stack",
            "rust_alloc",
            "rust_abort",
            "rust_hook",
            "node_throw",
            "node_oom",
        ];
        let own = [
            "python_logging",
            "python_json",
            "python_tqdm",
            "java_log4j",
            "java_prefixed",
            "node_caught_",
            "node_uncaught",
        ];
        if single.iter().chain(&own).any(|start| name.starts_with(start)) {
            continue;
        }
        seen += 1;
        for (what, change) in &prefixes {
            let (found, blocks) = outcome(&change(&log), status, Pace::Burst);
            if found != label {
                wrong.push(format!("{name} behind {what}: {found} {blocks:?}, not {label}"));
            }
        }
    }
    assert!(seen > 100);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
