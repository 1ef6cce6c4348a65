"""The loss curve as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Points = Sequence[tuple[int, float]]


def draw_curve(points: Points, path: Path, validation: Points = ()) -> bool:
    """Draw (tokens, loss) as a PNG at `path`; False where matplotlib is not installed."""
    try:
        # an extra: training works without it
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([tokens / 1e6 for tokens, _ in points], [loss for _, loss in points])
    if validation:
        tokens, losses = zip(*validation, strict=True)
        axes.plot([count / 1e6 for count in tokens], losses, label="dialogues that are not learned")
        axes.legend()
    axes.set_xlabel("million tokens")
    axes.set_ylabel("loss of a token that counts")
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.3)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib types only a part of it
    canvas.print_png(str(path))
    return True
