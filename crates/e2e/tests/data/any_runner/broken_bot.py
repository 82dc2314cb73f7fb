"""The bot of examples/python-bot with one thing broken: broken_bot.py BOT DEFECT [the bot's own arguments]."""

import importlib.util
import sys
import threading

spec = importlib.util.spec_from_file_location("bot", sys.argv[1])
bot = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bot)
defect = sys.argv[2]
sys.argv[1:] = sys.argv[3:]
main_run = any(word.endswith(".main") for word in sys.argv)

if defect == "crash" and main_run:
    tick = bot.Bot.tick

    def crash(self):
        tick(self)
        if self.ticks == 150:
            raise RuntimeError("the feed sent a price of 0")

    bot.Bot.tick = crash
elif defect == "cpu-lie":
    bot.cpu_seconds = lambda: 0.9 * (bot.time.time() - started)
    started = bot.time.time()
elif defect == "errors":
    tick = bot.Bot.tick

    def grumble(self):
        tick(self)
        if self.ticks % 25 == 0:
            print("12:00:00.000 E| feed: order %d is refused" % self.ticks, file=sys.stderr, flush=True)

    bot.Bot.tick = grumble
elif defect == "hang" and main_run:
    tick = bot.Bot.tick

    def hang(self):
        if self.ticks < 150:
            tick(self)

    bot.Bot.tick = hang

sys.exit(bot.main())
