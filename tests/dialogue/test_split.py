from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.dialogue.reply import MIN_LIMIT, split
from bot.dialogue.text import graphemes, is_blank

FAMILY = "👨\u200d👩\u200d👧"
limits = st.integers(MIN_LIMIT, 80)
SIGNS = ["word ", "Yes. ", "\n", "\n\n", " ", "가나", "。", FAMILY, "e\u0301", "🇰🇷", "x"]
prose = st.lists(
    st.sampled_from(SIGNS) | st.characters(categories=["L", "M", "Z", "So"]), max_size=60
).map("".join)
code = st.lists(
    st.sampled_from(
        ["```", "```py\n", "\n```\n", "````", "    x = 1\n", "say it. ", "😀", "`", "\n"]
    ),
    max_size=40,
).map("".join)
any_text = st.text(st.characters(), max_size=200)


def num_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def bare(text: str) -> str:
    """`text` without backticks, the language of its fences, and what shows nothing."""
    return "".join(char for char in text if not is_blank(char)).replace("`", "").replace("py", "")


def clusters_of(text: str) -> list[str]:
    return [cluster for cluster in graphemes(text) if not cluster.isspace()]


@settings(max_examples=300)
@given(prose | code | any_text, limits)
def test_every_piece_fits_and_shows_something(text: str, limit: int) -> None:
    for piece in split(text, limit):
        assert num_units(piece) <= limit
        assert len(piece) <= limit
        assert not is_blank(piece)


@settings(max_examples=300)
@given(prose, limits)
def test_no_character_is_lost_or_cut(text: str, limit: int) -> None:
    shown = "".join(c for c in graphemes(text) if c.isspace() or not is_blank(c))
    if all(num_units(cluster) <= limit for cluster in graphemes(shown)):
        pieces = split(shown, limit)
        assert [c for piece in pieces for c in clusters_of(piece)] == clusters_of(shown)


@settings(max_examples=300)
@given(code, limits)
def test_nothing_that_shows_is_lost_between_fences(text: str, limit: int) -> None:
    assert bare("".join(split(text, limit))) == bare(text)


@given(st.lists(st.text("abc \n", min_size=1, max_size=90), min_size=1, max_size=4), limits)
def test_every_piece_closes_what_it_opens(blocks: list[str], limit: int) -> None:
    text = "".join(f"Look:\n```py\n{block}\n```\n" for block in blocks)
    for piece in split(text, limit):
        assert piece.count("```") % 2 == 0


@given(any_text.map(lambda text: text[: MIN_LIMIT // 2]))
def test_a_text_that_fits_stays_as_it_is(text: str) -> None:
    stripped = text.strip()
    if "```" not in text and "@" not in text and not is_blank(text) and stripped == text:
        assert split(text, MIN_LIMIT) == [text]


@pytest.mark.parametrize("text", ["", " \n", "\u200b" * 5000, "\u0301" * 5000, "\u3164"])
def test_a_text_that_shows_nothing_has_no_pieces(text: str) -> None:
    assert split(text) == []


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no piece fits 31"):
        split("text", MIN_LIMIT - 1)


def test_2000_characters_are_one_piece_and_2001_are_two() -> None:
    assert split("x" * 2000) == ["x" * 2000]
    assert split("x" * 2001) == ["x" * 2000, "x"]


def test_emoji_count_twice() -> None:
    assert [len(piece) for piece in split("😀" * 1500)] == [1000, 500]


@pytest.mark.parametrize(
    ("end", "expected"),
    [("\n\n", "a paragraph"), ("\n", "a line"), (". ", "a sentence."), (" ", "a word")],
)
def test_a_piece_ends_at_the_best_place(end: str, expected: str) -> None:
    worse = {"\n\n": "\n. ", "\n": ". ", ". ": " ", " ": ""}[end]
    text = f"{'x' * 30} {expected.removesuffix('.')}{end}{'y' * 10}{worse}{'z' * 30}"
    assert split(text, 62)[0].endswith(expected)


def test_an_end_in_the_first_half_is_too_early() -> None:
    text = "Hi.\n\n" + "word " * 20
    assert split(text, 50)[0].startswith("Hi.\n\nword")


def test_no_space_text_ends_at_its_own_full_stop() -> None:
    assert split("日" * 20 + "。" + "本" * 20, 32) == ["日" * 20 + "。", "本" * 20]


def test_code_is_closed_and_opened_again_with_its_language() -> None:
    lines = "\n".join(f"x{i} = {i}" for i in range(12))
    pieces = split(f"Look:\n```py\n{lines}\n```\nDone.", 50)
    assert len(pieces) > 2
    assert all(piece.count("```") == 2 for piece in pieces[1:])
    assert all(piece.startswith("```py\n") for piece in pieces[1:])
    assert all("\n```" in piece for piece in pieces[1:])
    assert pieces[-1].endswith("Done.")


def test_code_that_fits_a_piece_of_its_own_is_not_cut() -> None:
    code = "```\n" + "y = 1\n" * 6 + "```"
    assert split("word " * 10 + code, 60) == [("word " * 10).strip(), code]


def test_indentation_survives_a_cut() -> None:
    pieces = split("```py\n" + "    x = 1\n" * 10 + "```", 60)
    lines = [line for piece in pieces for line in piece.splitlines() if "x" in line]
    assert lines == ["    x = 1"] * 10


def test_code_that_was_cut_off_is_closed() -> None:
    assert split("Look:\n```py\nx = 1") == ["Look:\n```py\nx = 1\n```"]


def test_backticks_in_a_sentence_are_left_alone() -> None:
    assert split("What does ``` mean?") == ["What does ``` mean?"]


def test_inline_code_fences_stay_as_they_are() -> None:
    assert split("a ```b``` c ```d``` e") == ["a ```b``` c ```d``` e"]


def test_a_flag_and_a_family_are_never_cut() -> None:
    assert {len(piece) % 2 for piece in split("🇰🇷" * 50, 35)} == {0}
    assert split(FAMILY * 8, 33) == [FAMILY * 4, FAMILY * 4]


@pytest.mark.parametrize("heap", ["a" + "\u0301" * 9000, "👨" + "\u200d👨" * 3000, "`" * 9000])
def test_a_character_longer_than_a_message_is_still_bounded(heap: str) -> None:
    pieces = split(f"Hi {heap} you")
    assert 2 <= len(pieces) <= 10
    assert all(num_units(piece) <= 2000 for piece in pieces)
    assert pieces[-1].endswith("you")


def test_no_piece_pings_anybody() -> None:
    pieces = split("@everyone <@1> " * 300)
    assert len(pieces) > 1
    assert not any("@everyone" in piece or "<@1" in piece for piece in pieces)


def test_the_same_text_is_always_split_the_same_way() -> None:
    text = "A sentence. " * 500
    assert split(text) == split(text)
    assert " ".join(split(text)) == text.strip()
    assert all(after.startswith("A ") for _, after in pairwise(split(text)))
