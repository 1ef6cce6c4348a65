"""What the tests of fetching share."""

from pathlib import Path

from bot.engine.checkpoints.fetch import Fetched, fetch
from bot.engine.checkpoints.hub import Hub
from tests.engine.checkpoints.hub import LoopbackHub

MODEL = "microsoft/DialoGPT-tiny"
COMMIT = "a" * 40
PICKLED = "pytorch_model.bin"


def link(source: Path, target: Path) -> Path:
    """A copy of a repository that a test may change, file by file."""
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).hardlink_to(path)
    return target


def replace_file(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def get(hub: LoopbackHub, models: Path, model: str = MODEL, revision: str | None = None) -> Fetched:
    return fetch(model, revision, models, Hub(hub.url))


def leftovers(models: Path) -> list[str]:
    """Everything under the models folder that is not a lock."""
    return [path.name for path in models.rglob("*") if path.is_file() and path.name != ".lock"]
