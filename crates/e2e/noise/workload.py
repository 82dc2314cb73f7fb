"""A Python process at a moderate load: asyncio tasks, dict and list churn, cyclic garbage, a bounded cache that warms up.

Standard library only. Runs for the seconds given as its argument.
"""

import asyncio
import collections
import gc
import json
import random
import sys
import time


class Node:
    """Half of a reference cycle, so that the collector has something to do."""

    __slots__ = ("other", "payload")

    def __init__(self, payload):
        self.other = None
        self.payload = payload


class Cache:
    """A bounded LRU of parsed answers. It warms up with the skew of the keys, then replaces."""

    def __init__(self, limit):
        self.limit = limit
        self.rows = collections.OrderedDict()

    def get(self, key, rng):
        row = self.rows.pop(key, None)
        if row is None:
            row = {"key": key, "levels": [[rng.random(), rng.random()] for _ in range(12)]}
            if len(self.rows) >= self.limit:
                self.rows.popitem(last=False)
        self.rows[key] = row
        return row


async def symbol(number, cache, history, until):
    rng = random.Random(number)
    while time.monotonic() < until:
        await asyncio.sleep(rng.uniform(0.15, 0.45))
        for _ in range(rng.randrange(1, 6)):
            key = int(rng.paretovariate(0.7)) % 200_000
            text = json.dumps(cache.get((number, key), rng))
            history.append(json.loads(text))
        pair = Node(bytearray(rng.randrange(100, 8_000))), Node(None)
        pair[0].other, pair[1].other = pair[1], pair[0]


async def rebuild(cache, until):
    """What a periodic report does: a large short-lived structure."""
    rng = random.Random(0)
    while time.monotonic() < until:
        await asyncio.sleep(rng.uniform(20, 60))
        table = sorted((len(str(row)), str(key)) for key, row in list(cache.rows.items())[-4_000:])
        del table


async def main(seconds):
    until = time.monotonic() + seconds
    cache = Cache(9_000)
    history = collections.deque(maxlen=6_000)
    gc.set_threshold(2_000, 10, 10)
    tasks = [symbol(number, cache, history, until) for number in range(1, 31)]
    await asyncio.gather(rebuild(cache, until), *tasks)


asyncio.run(main(float(sys.argv[1])))
