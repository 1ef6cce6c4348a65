"""What people see on Discord and at the terminal is in their language, all of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.terminal.arguments import build_parser
from locales.collect import PACKAGES, ROOT, collect, po_path, read_translations
from tests.cogs.commands_bot import World, commands_world, text_of
from tests.project.source_tree import everywhere

MAX_DESCRIPTION = 100  # characters, of a command, an option or a choice on Discord
# Calls and keyword arguments that show a text to a person as it is.
SHOWING = {"print", "tell", "send", "send_message", "reply", "edit", "edit_original_response"}
SHOWN = {"content", "help", "description", "epilog", "title", "label", "placeholder", "metavar"}
TERMINAL = (
    "bot.__main__",
    "bot.terminal.arguments",
    "bot.terminal.console",
    "bot.terminal.database_actions",
    "bot.playground.playground",
    "bot.doctor",
)
NOT_WORDS = {"banter ", "\n"}


def shown(call: ast.Call) -> Iterator[ast.expr]:
    """What a call shows, and whatever else it shows by these keywords."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if name in SHOWING:
        yield from call.args
    yield from (word.value for word in call.keywords if word.arg in SHOWN)


def untranslated(expression: ast.expr) -> list[str]:
    """The words of a text that is written down where it is shown."""
    parts = expression.values if isinstance(expression, ast.JoinedStr) else [expression]
    words = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
    return [text for text in words if re.search("[A-Za-z]{2}", text) and text not in NOT_WORDS]


def test_nothing_is_shown_without_a_translation() -> None:
    wrong = [
        f"{module}:{call.lineno} {text}"
        for module in everywhere("cogs", *TERMINAL)
        for call in module.nodes(ast.Call)
        if isinstance(call, ast.Call)
        for expression in shown(call)
        for text in untranslated(expression)
        if text not in {"True", "False", "None"}
    ]
    assert not wrong


def test_a_text_that_is_shown_as_it_is_would_be_found() -> None:
    call = ast.parse('await tell(interaction, f"You have {number} turns.")').body[0]
    (found,) = (node for node in ast.walk(call) if isinstance(node, ast.Call))
    assert [text for one in shown(found) for text in untranslated(one)] == ["You have ", " turns."]


def described(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every text of a command, its subcommands, options and choices, and its translations."""
    yield node["description"], node.get("description_localizations") or {}
    for choice in node.get("choices") or ():
        yield choice["name"], choice.get("name_localizations") or {}
    for option in node.get("options") or ():
        yield from described(option)


async def test_discord_gets_every_description_in_korean_and_short_enough(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        korean = read_translations(po_path("ko"))
        texts = [text for command in world.registered().values() for text in described(command)]
    assert len(texts) > 20
    for english, localized in texts:
        assert localized == {"ko": korean[english]}
        assert 0 < len(english) <= MAX_DESCRIPTION
        assert 0 < len(localized["ko"]) <= MAX_DESCRIPTION, localized


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("help", {}),
    ("status", {}),
    ("privacy", {}),
    ("reset", {}),
    ("settings", {}),
    ("settings", {"preset": "creative", "top_k": 5}),
    ("settings", {"preset": "defaults"}),
    ("settings", {"top_k": 5, "apply_to": "server"}),
    ("settings", {"top_k": 5000}),
    ("settings", {"preset": "{name}"}),
    ("mydata export", {}),
    ("mydata erase", {"confirm": "yes"}),
]


@pytest.mark.parametrize(("command", "options"), COMMANDS)
async def test_no_english_is_left_in_a_korean_answer(
    tmp_path: Path, command: str, options: dict[str, Any]
) -> None:
    async with commands_world(tmp_path) as world:
        for actor in (world.alice, world.moderator):
            assert_korean(await answer(world, actor, command, options))


async def answer(world: World, actor: Any, command: str, options: dict[str, Any]) -> str:
    return text_of(await world.use(actor, world.channel, command, locale="ko", **options))


def assert_korean(text: str) -> None:
    """No piece of an English sentence between its places, be it only two words."""
    assert re.search("[가-힣]", text)
    for sentence in collect(ROOT / package for package in PACKAGES):
        for piece in re.split(r"\{\w+\}", sentence):
            words = piece.strip(" .,:;*()`-")
            assert " " not in words or words not in text, sentence


def test_the_command_line_explains_itself_in_korean() -> None:
    parser = build_parser("ko_KR.UTF-8")
    text = parser.format_help()
    assert "이 컴퓨터의 모델로 대화하는 Discord 봇입니다." in text
    assert "모델을 내려받아 변환하고 검증합니다" in text
