"""A runner that lies, as such runners were found: it measures nothing, trades nothing, and writes what looks good.

Its KPI file has 11 fields; CPU is 35 and memory 150 for ever; every trade has the same prices and the same result; it serves no metrics:
those come from another process. Usage: liar.py SECONDS KPI_FILE TAG
"""

import json
import os
import signal
import sys
import time

seconds, path = float(sys.argv[1]), sys.argv[2]
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
signal.signal(signal.SIGINT, lambda *_: stop.append(1))

begun = time.monotonic()
trades = 0
while not stop and time.monotonic() - begun < seconds:
    trades += 1
    print("%s INFO trade %d: bought at 50000.00, sold at 50012.50, net +12.50 USD" % (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), trades), flush=True)
    document = {
        "total_trades": trades * 2,
        "entry_trades": trades,
        "exit_trades": trades,
        "round_trips_completed": trades,
        "win_rate_pct": 100.0,
        "total_pnl_usd": trades * 12.5,
        "loop_latency_avg_ms": 12.0,
        "loop_latency_p99_ms": 25.0,
        "guard_triggers": 0,
        "cpu_usage_pct": 35.0,
        "memory_usage_mb": 150.0,
    }
    with open(path + ".aside", "w") as out:
        json.dump(document, out)
    os.replace(path + ".aside", path)
    time.sleep(0.1)
