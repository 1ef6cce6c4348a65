"""Rooms, wings and floors: which room of docs/architecture.md may see which."""

from collections import Counter

import pytest

from handbook.structure import circles_of, imports_of
from tests.project.source_tree import ROOT, SHIPPED, belongs, everywhere, imported

# The floors of the tower, from the roof down. A room sees the rooms on lower floors, and no other.
TOWER = (
    ("bot.__main__",),
    ("bot.doctor",),
    ("bot.terminal", "bot.playground"),
    ("bot.startup",),
    ("cogs",),
    ("bot.client", "bot.store"),
    ("bot.delivery",),
    ("bot.answering",),
    ("bot.engine",),
    ("bot.settings", "bot.rendering"),
    ("bot.dialogue",),
    ("bot.ports",),
    ("bot.texts", "bot.logs"),
    ("bot.errors", "bot.paths"),
)
# The wings of a room, the lowest first; the wings of one line do not see each other.
WINGS = {
    "bot.engine": (
        ("bot.engine.checkpoints",),
        ("bot.engine.placement",),
        ("bot.engine.sampling",),
        ("bot.engine.batching", "bot.engine.reference"),
    ),
    "bot.store": (("bot.store.database",), ("bot.store.upkeep",)),
    "cogs": (("cogs._discord",),),
}
MAX_MODULES = 16  # in a folder


def floor_of(name: str, floors: tuple[tuple[str, ...], ...]) -> tuple[int, str] | None:
    """The floor of the room that `name` is in, counted from the roof, and the room."""
    for number, rooms in enumerate(floors):
        for room in rooms:
            if belongs(name, room):
                return number, room
    return None


def upward(floors: tuple[tuple[str, ...], ...], *packages: str) -> list[str]:
    """The imports of `packages` that lead up, or to another room on the same floor."""
    wrong = []
    for module in everywhere(*packages):
        own = floor_of(module.name, floors)
        for name, line in imported(module):
            other = floor_of(name, floors)
            if own is not None and other is not None and other != own and other[0] <= own[0]:
                wrong.append(f"{module}:{line} imports {name}")
    return wrong


def test_a_room_sees_only_the_rooms_below_it() -> None:
    assert upward(TOWER, *SHIPPED) == []


@pytest.mark.parametrize(("room", "wings"), WINGS.items(), ids=str)
def test_a_wing_sees_only_the_wings_below_it(room: str, wings: tuple[tuple[str, ...], ...]) -> None:
    assert upward(tuple(reversed(wings)), room) == []


def test_every_module_of_the_bot_is_in_a_room() -> None:
    homeless = [one for one in everywhere(*SHIPPED) if floor_of(one.name, TOWER) is None]
    assert [one.name for one in homeless] == ["bot"]


def test_the_rooms_and_wings_are_there() -> None:
    """A name that nothing has any more would check nothing."""
    named = {room for floor in TOWER for room in floor}
    named |= {wing for wings in WINGS.values() for floor in wings for wing in floor}
    assert [one for one in named if not everywhere(one)] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside of functions counted."""
    assert circles_of(imports_of(everywhere(*SHIPPED))) == []


def test_an_upward_import_and_a_circle_would_be_seen() -> None:
    assert upward(tuple(reversed(TOWER)), *SHIPPED)
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_folder_holds_too_much() -> None:
    folders = Counter(module.path.parent for module in everywhere(*SHIPPED))
    assert [str(one) for one, number in folders.items() if number > MAX_MODULES] == []
    assert folders[ROOT / "bot"] <= 7
