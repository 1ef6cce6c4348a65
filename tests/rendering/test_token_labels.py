"""What a person sees of a token, whatever it holds."""

import pytest

from bot.rendering.columns import width
from bot.rendering.token_labels import cut, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", "␣the"),
        ("\udceb\udca8", r"\xeb\xa8"),
        ("\n\t\\", r"\n\t\\"),
        ("\x1b[2J\x85", r"\x1b[2J\x85"),
        ("e\u0301\u200d", r"e\u{301}\u{200d}"),
        ("고양이 🐈", "고양이␣🐈"),
    ],
)
def test_a_token_can_be_read_whatever_it_is(text: str, shown: str) -> None:
    assert readable(text) == shown


@pytest.mark.parametrize("text", ["abcdef", "고양이들", "a고b양"])
@pytest.mark.parametrize("num_columns", range(1, 9))
def test_a_label_that_is_cut_fits_and_shows_that_it_is(text: str, num_columns: int) -> None:
    shown = cut(text, num_columns)
    assert width(shown) <= num_columns
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
    assert (shown == text) == (width(text) <= num_columns)
