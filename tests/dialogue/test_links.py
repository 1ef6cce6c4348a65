import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.links import break_links
from bot.dialogue.reply import split, tidy

LIVE_INVITATION = re.compile(
    r"discord(?:app)?\.com/invite/\w|discord\.gg/\w|dsc\.gg/\w", re.IGNORECASE
)
LIVE_SCHEME = re.compile(r"https?://", re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "discord.gg/abc",
        "Join us: DISCORD.GG/abc!",
        "https://discord.gg/abc",
        "http://www.discord.gg/abc",
        "<https://discord.gg/abc>",
        "[a game](https://discord.gg/abc)",
        "discord.com/invite/abc",
        "https://discord.com/invite/abc?event=1",
        "https://canary.discord.com/invite/abc",
        "discordapp.com/invite/abc",
        "//discord.gg/abc",
        "xdiscord.gg/abc",
        "https://dsc.gg/abc",
        "https://discord.me/abc",
        "`discord.gg/abc`",
        "```\ndiscord.gg/abc\n```",
    ],
)
def test_an_invitation_leads_nowhere_and_reads_the_same(text: str) -> None:
    broken = break_links(text)
    assert not LIVE_INVITATION.search(broken)
    assert not LIVE_SCHEME.search(broken)
    assert broken != text
    assert broken.replace("\u200b", "") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com/x", "example\u200b.com/x"),
        ("see example.com.", "see example\u200b.com."),
        ("www.Example.ORG", "www.Example\u200b.ORG"),
        ("(shop.example.co.kr)", "(shop.example.co\u200b.kr)"),
        ("t.co/abc and bit.ly/xyz", "t\u200b.co/abc and bit\u200b.ly/xyz"),
        ("한국.com 어때요", "한국\u200b.com 어때요"),
        ("**example.com**", "**example\u200b.com**"),
        ("discord.gg", "discord\u200b.gg"),
    ],
)
def test_a_link_without_a_scheme_is_broken_before_its_last_dot(text: str, expected: str) -> None:
    assert break_links(text) == expected
    assert tidy(text, cut_off=False) == expected
    assert split(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/x",
        "https://example.com/?to=other.com/x",
        "https://discord.com/developers/docs",
        "me@home.org or first.info@home.com",
        "I like that.So do you.",
        "e.g. this, i.e. that, 3.5/5, and/or, a.m./p.m.",
        "Wait... what?!",
        "run `curl example.com/x` and `ping example.com`",
        "```\ncurl example.com\n```",
        "v1.2.3 and main.py",
        "",
    ],
)
def test_other_links_names_in_code_and_sentences_stay(text: str) -> None:
    assert break_links(text) == text


def test_a_backtick_that_opens_no_code_hides_no_link() -> None:
    for text in ("it`s example.com", "\\`example.com\\`", "```example.com"):
        assert "example\u200b.com" in break_links(text)


parts = st.sampled_from(
    [
        "https:",
        "//",
        "discord",
        ".",
        "gg",
        "com",
        "/",
        "invite/",
        "a",
        "`",
        "```",
        " ",
        "\n",
        "@",
        "-",
    ]
)


@given(st.lists(parts, max_size=24).map("".join))
def test_no_invitation_is_left_and_breaking_twice_changes_nothing(text: str) -> None:
    broken = break_links(text)
    assert not LIVE_INVITATION.search(broken)
    assert broken.replace("\u200b", "") == text
    assert break_links(broken) == broken


@pytest.mark.parametrize("unit", ["a.", "a-", "`", "`a", "```", "https:", "a", "discord.", ". "])
def test_a_very_long_text_is_searched_in_time(unit: str) -> None:
    text = unit * 20_000
    assert break_links(text).replace("\u200b", "") == text
