"""The picture of what a layer looks at."""

import struct
import sys
from pathlib import Path

import pytest

from bot.dialogue.continuation import Attention
from bot.errors import UnavailableError
from bot.rendering.attention_picture import check_drawable, draw_picture, save_picture

TRIANGLE = Attention(1, 2, 1, (" $a$", "\udcea", "고"), ((1, 0, 0), (0.5, 0.5, 0), (0.2, 0.3, 0.5)))


def test_without_matplotlib_one_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UnavailableError, match="-m pip install matplotlib"):
        check_drawable(tmp_path / "x.png")


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    check_drawable(tmp_path / "x.png")
    with pytest.raises(UnavailableError, match="no place for a picture"):
        check_drawable(tmp_path)
    with pytest.raises(UnavailableError, match="cannot be written"):
        save_picture(TRIANGLE, tmp_path / "gone" / "x.png", "en")


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_a_picture_is_drawn_with_letters_that_no_font_may_have(locale: str) -> None:
    pytest.importorskip("matplotlib")
    picture = draw_picture(TRIANGLE, locale)
    assert picture.startswith(b"\x89PNG")
    assert min(struct.unpack(">II", picture[16:24])) > 400
