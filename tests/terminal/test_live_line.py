"""The text on the terminal that grows: what a terminal would show of it."""

import os
import re

import pytest

from bot.terminal.live_line import LiveLine

COLUMNS = 10


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bot.terminal.live_line.shutil.get_terminal_size", lambda: os.terminal_size((COLUMNS, 5))
    )


def screen(written: str) -> list[str]:
    """What a terminal of COLUMNS shows of narrow letters: a slow, obvious one."""
    rows, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\d*[AJ]|[\s\S]", written):
        if piece.endswith("A") and piece.startswith("\x1b"):
            row -= int(piece[2:-1])
        elif piece == "\x1b[J":
            rows[row:] = [rows[row][:column]]
        elif piece == "\r":
            column = 0
        else:
            if piece == "\n" or column == COLUMNS:
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            if piece != "\n":
                rows[row] = f"{rows[row][:column]:{column}}{piece}{rows[row][column + 1 :]}"
                column += 1
    return rows


def test_the_screen_of_this_test_knows_what_a_terminal_does() -> None:
    assert screen("0123456789ab\r\x1b[1AX\x1b[J") == ["X"]


@pytest.mark.parametrize("first", ["…", "short", "0123456789", "longer than one line", "a\nb"])
@pytest.mark.parametrize("second", ["", "other", "another text of three whole lines"])
def test_a_text_takes_the_place_of_the_one_before(
    capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    line = LiveLine()
    line.show(first)
    line.show(second)
    expected = screen(second)
    assert screen(capsys.readouterr().out) == expected


def test_a_text_that_grows_is_not_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    line = LiveLine()
    line.show("Once")
    line.show("Once upon")
    assert capsys.readouterr().out == "Once upon"


def test_nothing_is_left_after_clearing(capsys: pytest.CaptureFixture[str]) -> None:
    line = LiveLine()
    line.show("longer than one line")
    line.clear()
    assert screen(capsys.readouterr().out) == [""]
