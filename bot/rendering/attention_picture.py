"""A picture of what a layer of the model looks at. matplotlib is an extra: only this needs it."""

import io
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from math import nan
from pathlib import Path
from typing import Any

from bot.dialogue.continuation import Attention
from bot.errors import UnavailableError
from bot.paths import is_there, may_write
from bot.rendering.token_labels import readable
from bot.texts import mark, say

TITLE = mark("Where layer {layer} of {num_layers} looks (mean over its heads)")
_MAX_LABELS = 80  # more of them cannot be read
# matplotlib's own font has no Hangul; what the systems bring
_KOREAN_FONTS = (
    *("Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans KR", "NanumGothic", "Nanum Gothic"),
    *("Apple SD Gothic Neo", "AppleGothic", "Malgun Gothic", "UnDotum", "Baekmuk Dotum"),
)
_OWN_FONT = "DejaVu Sans"
_PAPER, _INK, _FUTURE, _COLOURS = "#ffffff", "#1f2328", "#e6e8eb", "Blues"


def check_drawable(path: Path) -> None:
    """Raise UnavailableError where no picture could be drawn or written to `path`."""
    if not can_draw():
        raise UnavailableError(
            "A picture needs matplotlib, which is not installed: run "
            "`{python} -m pip install matplotlib`.",
            python=sys.executable,
        )
    if path.is_dir() or not is_there(path.absolute().parent):
        raise UnavailableError("{path} is no place for a picture: name a file.", path=path)
    if not may_write(path if is_there(path) else path.absolute().parent):
        raise _unwritable(path, "permission denied")


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def save_picture(attention: Attention | None, path: Path, locale: str) -> None:
    """Draw `attention` as a PNG at `path`; None: the model does not show it.

    Raises UnavailableError.
    """
    if attention is None:
        raise UnavailableError("This model doesn't show what it looks at, so there's no picture.")
    picture = draw_picture(attention, locale)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def draw_picture(attention: Attention, locale: str) -> bytes:
    """A PNG: a row for each token, a column for each that it can look at.

    A dotted line parts the text that was given from what the model added.
    """
    # heavy, and an extra
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.colors import PowerNorm  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    words = _Words(locale)
    num_tokens = len(attention.tokens)
    side = min(14.0, 4.5 + 0.16 * num_tokens)
    figure: Any = Figure(figsize=(side, side), layout="constrained", dpi=130, facecolor=_PAPER)
    axes = figure.add_subplot(facecolor=_FUTURE)
    # most shares are small: their square root tells them apart
    image = axes.imshow(_past(attention.weights), cmap=_COLOURS, norm=PowerNorm(0.5, 0, 1))
    if attention.num_text_tokens < num_tokens:
        for draw_line in (axes.axhline, axes.axvline):
            draw_line(attention.num_text_tokens - 0.5, color=_INK, linewidth=0.8, linestyle=":")
    _label(axes, attention.tokens, words)
    axes.set_title(
        words.say(TITLE, layer=attention.layer, num_layers=attention.num_layers), **words.style
    )
    axes.set_ylabel(words.say(mark("this token …")), **words.style)
    below = [words.say(mark("… looks at this one"))]
    if not all(map(words.has, attention.tokens)):
        hint = mark("No font on this computer has all of these letters: Noto Sans CJK has them.")
        below.append(words.say(hint))
    axes.set_xlabel("\n".join(below), **words.style)
    figure.colorbar(image, ax=axes, shrink=0.6)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib types only a part of it
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()


class _Words:
    """Words as the fonts of this computer can draw them."""

    def __init__(self, locale: str) -> None:
        from matplotlib import font_manager  # noqa: PLC0415 (as above)

        library: Any = font_manager  # matplotlib types only a part of it
        installed = {font.name for font in library.fontManager.ttflist}
        fonts = [_OWN_FONT, *(name for name in _KOREAN_FONTS if name in installed)]
        self._codes = {
            code
            for name in fonts
            for code in library.get_font(library.findfont(name)).get_charmap()
        }
        self._locale = locale
        self.style = {"fontfamily": fonts, "color": _INK, "parse_math": False}

    def say(self, sentence: str, **values: object) -> str:
        """`sentence` in the person's language, or in English where no font has its letters."""
        said = say(sentence, self._locale, **values)
        return said if self.has(said) else sentence.format(**values)

    def has(self, text: str) -> bool:
        """Whether the fonts have every letter of `text`."""
        return all(ord(letter) in self._codes for letter in readable(text))

    def token(self, text: str) -> str:
        """A token as a label; a letter that no font has by its number."""
        return "".join(
            letter if self.has(letter) else f"\\u{{{ord(letter):x}}}" for letter in readable(text)
        )


def _past(weights: Sequence[Sequence[float]]) -> list[list[float]]:
    """`weights` with nothing where a token stands that is yet to come."""
    return [
        [share if column <= row else nan for column, share in enumerate(shares)]
        for row, shares in enumerate(weights)
    ]


def _label(axes: Any, tokens: Sequence[str], words: _Words) -> None:
    places = range(0, len(tokens), -(-len(tokens) // _MAX_LABELS))
    labels = [words.token(tokens[place]) for place in places]
    axes.set_xticks(places, labels, rotation=90, fontsize=7, **words.style)
    axes.set_yticks(places, labels, fontsize=7, **words.style)
    axes.tick_params(length=0)


def _unwritable(path: Path, reason: str) -> UnavailableError:
    return UnavailableError("{path} cannot be written ({reason}).", path=path, reason=reason)
