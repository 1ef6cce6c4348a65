"""A text on the terminal that grows and is replaced, also where it is longer than a line."""

import shutil
import sys

from bot.rendering.columns import width

_UP = "\x1b[{}A"
_CLEAR_BELOW = "\x1b[J"


class LiveLine:
    """The last thing on the terminal; `show` replaces it, `clear` takes it away."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str) -> None:
        """Put `text` in the place of what was shown before."""
        if text.startswith(self._shown):
            sys.stdout.write(text[len(self._shown) :])
        else:
            sys.stdout.write(self._rewind() + text)
        sys.stdout.flush()
        self._shown = text

    def clear(self) -> None:
        """Leave the cursor where the text began."""
        sys.stdout.write(self._rewind())
        self._shown = ""

    def _rewind(self) -> str:
        """What leads the cursor back to where the text begins, and clears it."""
        num_columns = max(1, shutil.get_terminal_size().columns)
        num_rows = sum(max(1, -(-width(line) // num_columns)) for line in self._shown.split("\n"))
        up = _UP.format(num_rows - 1) if num_rows > 1 else ""
        return f"\r{up}{_CLEAR_BELOW}"
