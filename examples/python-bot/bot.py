#!/usr/bin/env python3
"""A small paper-trading bot with names of its own, to show that Assay validates any runner.

Two feeds, "north" and "south", quote the same random walk; the gap between them wanders and comes back. The bot buys the cheap side
and sells the dear one on paper when the gap pays its costs, and closes by take profit, stop loss, age, or when the gap has turned.
Nothing here knows of Assay: the metrics, the result file and the log are the bot's own, and profile.toml says what they mean.

Standard library only. SIGTERM and SIGINT end it in order.
"""

import argparse
import http.server
import json
import os
import random
import signal
import sys
import threading
import time

EDGES_MS = [0.1, 0.5, 1, 2, 5, 10, 20, 50, 80, 100, 200, 500, 1000]
TICK_S = 0.02
COST_CENTS = 14
MAX_OPEN = 4


class Log:
    """`12:00:01.123 E| feed: text`; the level is one letter."""

    def __init__(self):
        self.errors = 0

    def write(self, level, who, text):
        if level in "EX":
            self.errors += 1
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + ".%03d" % (now % 1 * 1000)
        print("%s %s| %s: %s" % (stamp, level, who, text), file=sys.stderr, flush=True)


class Timings:
    """A histogram in milliseconds."""

    def __init__(self):
        self.counts = [0] * (len(EDGES_MS) + 1)
        self.total = 0.0

    def add(self, ms):
        self.total += ms
        for i, edge in enumerate(EDGES_MS):
            if ms <= edge:
                self.counts[i] += 1
                return
        self.counts[-1] += 1

    def number(self):
        return sum(self.counts)

    def quantile(self, q):
        """Linear inside its bucket, None without observations."""
        number = self.number()
        if number == 0:
            return None
        rank, below, low = q * number, 0, 0.0
        for count, edge in zip(self.counts, EDGES_MS):
            if count and below + count >= rank:
                return low + (edge - low) * (rank - below) / count
            below, low = below + count, edge
        return EDGES_MS[-1]


def cpu_seconds():
    """CPU time of this process and of the children it has waited for."""
    return sum(os.times()[:4])


def status_kib(field):
    """A figure of /proc/self/status in KiB, None where there is none."""
    try:
        with open("/proc/self/status") as lines:
            for line in lines:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


class Bot:
    def __init__(self, session, seed, log):
        self.session, self.log = session, log
        self.rng = random.Random(seed)
        self.started = time.time()
        self.mid, self.gap = 100_000.0, 0.0
        self.open = []
        self.opened = self.won = self.lost = 0
        self.closed = {"tp": 0, "sl": 0, "age": 0, "flip": 0, "quit": 0}
        self.net_cents = self.gross_cents = self.won_cents = self.lost_cents = 0
        self.peak_cents = self.worst_cents = 0
        self.full = self.panics = self.ticks = 0
        self.timings = Timings()
        self.cpu_last, self.cpu_pct = (time.monotonic(), cpu_seconds()), 0.0

    def tick(self):
        begun = time.perf_counter()
        self.mid += self.rng.gauss(0, 4)
        self.gap += -0.08 * self.gap + self.rng.gauss(0, 13)
        for deal in list(self.open):
            self.look(deal)
        if abs(self.gap) > 36 and self.rng.random() < 0.5:
            self.enter()
        self.ticks += 1
        self.timings.add((time.perf_counter() - begun) * 1000)

    def enter(self):
        if len(self.open) >= MAX_OPEN:
            self.full += 1
            self.log.write("W", "risk", "the book is full, %d deals open" % len(self.open))
            return
        self.open.append({"side": 1 if self.gap > 0 else -1, "gap": self.gap, "tick": self.ticks})
        self.opened += 1

    def look(self, deal):
        gained = deal["side"] * (deal["gap"] - self.gap)
        if deal["side"] * self.gap < -8:
            self.close(deal, "flip")
        elif gained >= 58:
            self.close(deal, "tp")
        elif gained <= -22:
            self.close(deal, "sl")
        elif self.ticks - deal["tick"] >= 14:
            self.close(deal, "age")

    def close(self, deal, why):
        self.open.remove(deal)
        gross = round(deal["side"] * (deal["gap"] - self.gap))
        net = gross - COST_CENTS
        self.closed[why] += 1
        self.gross_cents += gross
        self.net_cents += net
        if net > 0:
            self.won, self.won_cents = self.won + 1, self.won_cents + net
        else:
            self.lost, self.lost_cents = self.lost + 1, self.lost_cents + net
        self.peak_cents = max(self.peak_cents, self.net_cents)
        self.worst_cents = max(self.worst_cents, self.peak_cents - self.net_cents)

    def measure(self):
        """The CPU share since the last call."""
        now, used = time.monotonic(), cpu_seconds()
        then, before = self.cpu_last
        if now > then:
            self.cpu_pct = (used - before) / (now - then) * 100
        self.cpu_last = (now, used)

    def hit_ratio(self):
        decided = self.won + self.lost
        return self.won / decided if decided else None

    def page(self):
        """The metrics page, text format 0.0.4."""
        out = []

        def series(name, kind, rows):
            out.append("# TYPE %s %s" % (name, kind))
            out.extend("%s%s %s" % (name, labels, value) for labels, value in rows)

        series("pybot_info", "gauge", [('{session="%s"}' % self.session, 1)])
        series("pybot_started_unixtime", "gauge", [("", self.started)])
        series("pybot_ticks_total", "counter", [("", self.ticks)])
        series("pybot_feed_up", "gauge", [('{feed="north"}', 1), ('{feed="south"}', 1)])
        series("pybot_pnl_cents", "gauge", [("", self.net_cents)])
        series("pybot_below_peak_cents", "gauge", [("", self.peak_cents - self.net_cents)])
        if self.hit_ratio() is not None:
            series("pybot_hit_ratio", "gauge", [("", self.hit_ratio())])
        closed = sum(self.closed.values())
        series("pybot_deals_total", "counter", [('{side="open"}', self.opened), ('{side="close"}', closed)])
        series("pybot_closed_total", "counter", [('{why="%s"}' % why, n) for why, n in self.closed.items()])
        series("pybot_open_deals", "gauge", [("", len(self.open))])
        series("pybot_full_total", "counter", [("", self.full)])
        series("pybot_panic_total", "counter", [("", self.panics)])
        series("pybot_cpu_seconds_total", "counter", [("", cpu_seconds())])
        series("pybot_cpu_share", "gauge", [("", self.cpu_pct / 100)])
        rss = status_kib("VmRSS")
        if rss is not None:
            series("pybot_rss_bytes", "gauge", [("", rss * 1024)])
        out.append("# TYPE pybot_tick_ms histogram")
        below = 0
        for count, edge in zip(self.timings.counts, EDGES_MS + ["+Inf"]):
            below += count
            out.append('pybot_tick_ms_bucket{le="%s"} %d' % (edge, below))
        out.append("pybot_tick_ms_sum %s" % self.timings.total)
        out.append("pybot_tick_ms_count %d" % below)
        return "\n".join(out) + "\n"

    def result(self, final):
        """The result file. What cannot be computed is null, with the reason beside it."""
        number = self.timings.number()
        pnl = {"net_cents": self.net_cents, "gross_cents": self.gross_cents, "worst_fall_cents": self.worst_cents}
        for name, total, n in [("avg_win", self.won_cents, self.won), ("avg_loss", self.lost_cents, self.lost)]:
            pnl[name + "_cents"] = total / n if n else None
            if not n:
                pnl[name + "_cents_reason"] = "undefined: no such deal yet"
        deals = {"opened": self.opened, "closed": sum(self.closed.values()), "still_open": len(self.open)}
        deals["all"] = deals["opened"] + deals["closed"]
        deals.update({"won": self.won, "lost": self.lost, "hit_ratio": self.hit_ratio(), "by_reason": self.closed})
        if deals["hit_ratio"] is None:
            deals["hit_ratio_reason"] = "undefined: nothing is closed yet"
        tick_ms = {
            "mean": self.timings.total / number if number else None,
            "p95": self.timings.quantile(0.95),
            "p99": self.timings.quantile(0.99),
        }
        for name in [name for name, value in tick_ms.items() if value is None]:
            tick_ms[name + "_reason"] = "undefined: no tick yet"
        peak = status_kib("VmHWM")
        return {
            "session": self.session,
            "final": final,
            "up_s": time.time() - self.started,
            "deals": deals,
            "pnl": pnl,
            "risk": {"full": self.full, "panics": self.panics},
            "tick_ms": tick_ms,
            "process": {"cpu_s": cpu_seconds(), "peak_kib": peak, "error_lines": self.log.errors},
        }


def write_result(path, document):
    """Aside and renamed, so that nobody reads half of it."""
    aside = path + ".new"
    with open(aside, "w") as out:
        json.dump(document, out)
    os.replace(aside, path)


def serve(bot, lock, address):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with lock:
                body = bot.page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    host, port = address.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    options = argparse.ArgumentParser(description="A paper-trading bot on a random walk.")
    options.add_argument("--seconds", type=float, required=True, help="how long to trade")
    options.add_argument("--out", required=True, help="the result file")
    options.add_argument("--listen", required=True, help="host:port of /metrics")
    options.add_argument("--session", required=True, help="a name of this run")
    options.add_argument("--seed", type=int, default=None, help="the same seed walks the same walk")
    options.add_argument("--linger", type=float, default=2.5, help="seconds that /metrics stays after the end")
    asked = options.parse_args()

    log, lock, stop = Log(), threading.Lock(), threading.Event()
    bot = Bot(asked.session, asked.seed, log)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(bot, lock, asked.listen)
    log.write("I", "main", "session %s trades for %g s" % (asked.session, asked.seconds))

    begun = time.monotonic()
    next_tick, next_second = begun, begun
    while not stop.is_set() and time.monotonic() - begun < asked.seconds:
        with lock:
            bot.tick()
        now = time.monotonic()
        if now >= next_second:
            next_second = now + 1.0
            with lock:
                bot.measure()
                document = bot.result(final=False)
            write_result(asked.out, document)
        next_tick = max(next_tick + TICK_S, now)
        stop.wait(max(0.0, next_tick - time.monotonic()))

    with lock:
        for deal in list(bot.open):
            bot.close(deal, "quit")
        bot.measure()
    log.write("I", "main", "closed everything, net %d cents" % bot.net_cents)
    write_result(asked.out, bot.result(final=True))
    time.sleep(asked.linger)
    return 0


if __name__ == "__main__":
    sys.exit(main())
