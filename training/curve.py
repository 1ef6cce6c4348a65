"""The loss curve as a picture."""

from collections.abc import Sequence
from pathlib import Path


def draw_curve(points: Sequence[tuple[int, float]], path: Path) -> bool:
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
    axes.set_xlabel("million tokens")
    axes.set_ylabel("loss of a token of the bot's turns")
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(path))
    return True
