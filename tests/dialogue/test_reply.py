import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.reply import MESSAGE_LIMIT, defang, tidy
from bot.dialogue.text import clean, is_blank

any_text = st.text(st.characters(), max_size=80) | st.text(
    st.sampled_from("ab .!?\n\t@<&>1\u202e\x00가😀\ufffd`"), max_size=60
)
MENTION = re.compile(r"@everyone|@here|<@[!&]?\d+>", re.IGNORECASE)


def test_the_limit_is_discords() -> None:
    assert MESSAGE_LIMIT == 2000


@given(any_text, st.booleans())
def test_a_tidy_reply_is_clean_and_shows_something(text: str, cut_off: bool) -> None:
    tidied = tidy(text, cut_off=cut_off)
    assert tidied == clean(tidied)
    assert tidied == "" or not is_blank(tidied)
    assert not tidied.endswith(" ")


@given(any_text)
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    assert tidy(tidy(text, cut_off=False), cut_off=False) == tidy(text, cut_off=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello  there ! \n\n\n\n Bye ", "Hello there !\n\n Bye"),
        ("a\tb  c", "a\tb c"),
        ("- one\n  - two", "- one\n  - two"),
        ("Hi \U0001f600\ufffd", "Hi \U0001f600"),
        ("\ufffd\ufffd", ""),
        ("\u200b\u3164", ""),
        ("\u202eevil\u202c\x00", "evil"),
        ("```py\nif  x:\n    y  = 1\n```", "```py\nif  x:\n    y  = 1\n```"),
    ],
)
def test_blanks_and_what_no_one_sees_are_tidied(text: str, expected: str) -> None:
    assert tidy(text, cut_off=False) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I like it. It is a very good film and I wou", "I like it. It is a very good film and I…"),
        ("It is a very good film. I wou", "It is a very good film."),
        ('He said: "It is good!" And the', 'He said: "It is good!"'),
        ("It costs 3.50 and that is", "It costs 3.50 and that…"),
        ("Well, it is a film,  and", "Well, it is a film…"),
        ("정말 좋은 영화예요. 그리고 저", "정말 좋은 영화예요."),
        ("本当にいい映画です。それから", "本当にいい映画です。"),
        ("本当にいい映画でそれから", "本当にいい映画でそれから…"),
        ("yes supercalifragilistic", "yes supercalifragilistic…"),
        ("It is over.", "It is over."),
        ("Is it over?!", "Is it over?!"),
        ("Wait…", "Wait…"),
        ("", ""),
        ("See:\n```py\nx = 1. ", "See:\n```py\nx = 1."),
        ("See:\n```py\nx = 1. \n```", "See:\n```py\nx = 1. \n```"),
        ("Look. ```x```\nThen do it", "Look. ```x```\nThen do…"),
    ],
)
def test_a_reply_that_was_cut_off_ends_at_a_sentence_or_says_so(text: str, expected: str) -> None:
    assert tidy(text, cut_off=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hey @everyone!", "hey @\u200beveryone!"),
        ("@here @HERE", "@\u200bhere @\u200bHERE"),
        ("<@1> <@!23> <@&456>", "<@\u200b1> <@\u200b!23> <@\u200b&456>"),
        ("mail me@home.org, I <3 @you", "mail me@home.org, I <3 @you"),
    ],
)
def test_mentions_ping_nobody(text: str, expected: str) -> None:
    assert defang(text) == expected
    assert tidy(text, cut_off=False) == expected


def test_a_mention_hidden_by_a_control_character_pings_nobody() -> None:
    assert not MENTION.search(tidy("@\x00everyone <\u202e@\u206612>", cut_off=False))


@given(st.lists(st.sampled_from(["@", "everyone", "here", "<", "!", "&", "1", ">", "\x00", " "])))
def test_no_mention_is_left(parts: list[str]) -> None:
    text = "".join(parts)
    assert not MENTION.search(tidy(text, cut_off=False))
    assert defang(defang(text)) == defang(text)
