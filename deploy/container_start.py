"""What a container runs: the bot, or with arguments `python -m bot ARGUMENTS` and nothing more.

Docker starts a bot that ended again at once, whatever its exit code was. But wrong settings need
somebody who mends them, and Discord allows 1000 logins a day: so after those the container waits
to be stopped, and after any other failure it waits a moment. Standard library only.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

BOT = (sys.executable, "-m", "bot")
EXIT_WRONG_SETTINGS = 78
RESTART_SECONDS = 90.0  # as in banter@.service
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    """Run the bot; returns its exit code when it may be started again."""
    if arguments:
        os.execv(sys.executable, (*BOT, *arguments))  # noqa: S606 - no shell is wanted
    code, stops = _run()
    for number in STOPS:
        signal.signal(number, lambda *_: sys.exit(code))
    if code == 0 or stops:
        return code
    if code == EXIT_WRONG_SETTINGS:
        sys.stderr.write("Correct the setting, then: docker compose up -d --force-recreate\n")
        while True:
            signal.pause()
    time.sleep(float(os.environ.get("RESTART_SECONDS", RESTART_SECONDS)))
    return code


def _run() -> tuple[int, list[int]]:
    """The bot's exit code, and the signals to stop that came; each is handed on."""
    stops: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        if child is not None:
            child.send_signal(signal.SIGTERM)

    for number in STOPS:
        signal.signal(number, hand_on)
    # In a session of its own: a terminal's signals come to it through us, and once.
    child = subprocess.Popen(BOT, start_new_session=True)  # noqa: S603 - our own program
    if stops:  # before there was anybody to tell
        child.send_signal(signal.SIGTERM)
    return child.wait(), stops


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
