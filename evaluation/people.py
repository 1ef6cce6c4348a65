"""What people said in the same dialogues, as replies beside those of a model."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from evaluation.item import Item
from evaluation.reading import read_items


def people_items(path: Path) -> Iterator[Item]:
    """The first reference of each reply in the file, after what people said before it.

    The replies of a dialogue have to stand in order, as `generate` writes them.
    """
    spoken: defaultdict[int, list[str]] = defaultdict(list)
    for item in read_items(path):
        if item.said is None or not item.references:
            continue
        history = spoken[item.group]
        history.append(item.said)
        yield Item(item.references[0], tuple(history), group=item.group)
        history.append(item.references[0])
