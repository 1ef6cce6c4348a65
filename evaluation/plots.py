"""Each metric as a picture: a dot with its interval for every run, and people's figure as a line.

One colour says "measured": which run it is stands beside the dot, so nobody has to tell colours
apart. Each picture is drawn for light and for dark pages.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.bootstrap import Interval
from evaluation.errors import MissingExtraError
from evaluation.metric import Facts


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of a page."""

    name: str
    paper: str
    ink: str
    faint: str
    measured: str
    people: str


LIGHT = Look("light", "#ffffff", "#1f2328", "#d1d9e0", "#0b5cad", "#8a5a00")
DARK = Look("dark", "#14181d", "#e6eaee", "#3a424b", "#6cb6ff", "#e3b341")


def draw(
    facts: Facts,
    figures: Mapping[str, Interval],
    people: tuple[float, float] | None,
    target: float | None,
    look: Look,
) -> bytes:
    """A PNG of the metric's figure by run. Raises MissingExtraError."""
    figure, axes = _new_figure(len(figures), look)
    scale = 100 if facts.unit == "%" else 1
    for place, interval in enumerate(list(figures.values())[::-1]):
        low, high = (scale * limit for limit in (interval.low, interval.high))
        axes.plot([low, high], [place, place], color=look.measured, linewidth=2.2, alpha=0.55)
        axes.plot([scale * interval.value], [place], "o", color=look.measured, markersize=7)
    if people is not None:
        _mark_people(axes, [scale * limit for limit in people], look)
    if target is not None:
        axes.axvline(scale * target, color=look.ink, linewidth=1, linestyle=":")
        _label(axes, scale * target, " target", look.ink, side="left")
    axes.set_yticks(range(len(figures)), list(figures)[::-1])
    axes.set_ylim(-0.6, len(figures) - 0.4)
    axes.locator_params(axis="x", nbins=6)
    axes.set_title(
        f"{facts.title}{f' ({facts.unit})' if facts.unit else ''}", color=look.ink, pad=16
    )
    return _as_png(figure)


def _new_figure(num_runs: int, look: Look) -> tuple[Any, Any]:
    try:
        # an extra: what draws nothing works without it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("Drawing", "matplotlib", extra="plots") from error
    figure: Any = Figure(figsize=(5.2, 1.25 + 0.32 * num_runs), layout="constrained", dpi=160)
    figure.set_facecolor(look.paper)
    axes = figure.add_subplot()
    axes.set_facecolor(look.paper)
    axes.tick_params(colors=look.ink, length=0)
    axes.grid(visible=True, axis="x", color=look.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes


def _mark_people(axes: Any, limits: Sequence[float], look: Look) -> None:
    low, high = limits
    if low == high:
        axes.axvline(low, color=look.people, linewidth=1.4, linestyle="--")
    else:
        axes.axvspan(low, high, color=look.people, alpha=0.3, linewidth=0)
    _label(axes, high, "people ", look.people, side="right")


def _label(axes: Any, x: float, text: str, colour: str, *, side: str) -> None:
    place = axes.get_xaxis_transform()
    axes.text(x, 1.0, text, color=colour, fontsize=8, transform=place, va="bottom", ha=side)


def _as_png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (as above)

    canvas: Any = FigureCanvasAgg(figure)  # matplotlib types only a part of it
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()
