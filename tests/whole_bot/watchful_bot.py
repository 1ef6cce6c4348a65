"""The bot, which looks at its files every moment: a test does not wait for ten seconds."""

import sys

from bot.__main__ import main
from bot.startup import watch

if __name__ == "__main__":
    watch.LOOK_SECONDS = 0.1
    sys.exit(main(sys.argv[1:]))
