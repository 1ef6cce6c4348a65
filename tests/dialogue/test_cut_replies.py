"""Where a reply ends that its length cut off: both sides of each edge."""

import pytest

from bot.dialogue.reply import split, tidy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Take two eggs\n2.", "1. Take two eggs"),
        (
            "Here is what you need:\n1. Eggs\n2. Milk\n3.",
            "Here is what you need:\n1. Eggs\n2. Milk",
        ),
        ("Take two eggs. Then beat them well.\n2.", "Take two eggs. Then beat them well."),
        ("Take two eggs and beat them.\n- 2.", "Take two eggs and beat them."),
        ("Take two eggs and beat them.\n**2.**", "Take two eggs and beat them."),
        ("Take two eggs and beat them.\n2.1.", "Take two eggs and beat them."),
        ("Take two eggs and beat them. 2.", "Take two eggs and beat them."),
        ("Do this: 1.", "Do this…"),
        ("달걀 두 개를 준비해요.\n나.", "달걀 두 개를 준비해요."),
    ],
)
def test_a_number_that_begins_a_line_or_a_sentence_ends_none(text: str, expected: str) -> None:
    assert tidy(text, cut_off=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I was born in 1999.",
        "There were only 2.",
        "We met there.\nIt was in 1999.",
        "There were\nonly 2.",
        "We live in house 12b.",
        "네.",
        "오늘은 3.",
    ],
)
def test_a_number_at_the_end_of_a_sentence_ends_it(text: str) -> None:
    assert tidy(text, cut_off=True) == text


@pytest.mark.parametrize(
    "title",
    [
        *("Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "Jr.", "Gen.", "Lt.", "DR.", "(Dr."),
        *("e.g.", "i.e.", "vs.", "etc.", "cf.", "approx.", "Inc.", "Ltd.", "a.m.", "U.S."),
    ],
)
def test_a_title_and_an_abbreviation_end_no_sentence(title: str) -> None:
    assert tidy(f"It was late. Then I met {title}", cut_off=True) == "It was late. Then I met…"
    assert tidy(f"So then we all met {title} Smi", cut_off=True) == "So then we all met…"
    assert tidy(f"It was late that day. Then {title} Smi", cut_off=True) == "It was late that day."


@pytest.mark.parametrize(
    "text",
    [
        "We were alone in the first.",
        "It was the best.",
        "I want to rest.",
        "They were in the mist.",
        "He is a good drummer.",
        "Is it so, said the co-op.",
    ],
)
def test_a_word_that_ends_like_a_title_ends_a_sentence(text: str) -> None:
    assert tidy(f"{text} And th", cut_off=True) == text
    assert tidy(text, cut_off=True) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My favourite books are those of J. R. R.", "My favourite books are those of…"),
        ("My favourite books are those of J. R. R. Tol", "My favourite books are those of…"),
        ("My favourite books are those of J.R.R.", "My favourite books are those of…"),
        ("I read a lot. My favourite is J.", "I read a lot. My favourite is…"),
        ("I read it all. It is by C. S. Lewis. He", "I read it all. It is by C. S. Lewis."),
        ("J. R. R.", "J. R. R…"),
        ("You are as tall as I. And th", "You are as tall as I."),
        ("He said it was I.", "He said it was I."),
        ("Well, his name is Isaac I. I.", "Well, his name is Isaac…"),
    ],
)
def test_an_initial_ends_no_sentence(text: str, expected: str) -> None:
    assert tidy(text, cut_off=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("저는 학생입니다. 그리고 지금", "저는 학생입니다."),
        ("오늘 날씨가 좋네요. 우리 같", "오늘 날씨가 좋네요."),
        ("정말 재미있죠? 저도 그", "정말 재미있죠?"),
        ("글쎄요, 어렵네요… 잘 모르", "글쎄요, 어렵네요…"),
        ("정말 좋아요!그래서 저", "정말 좋아요!"),
        ("정말 좋아요.그래서 저", "정말 좋아요."),
        ("今日は雨です。明日", "今日は雨です。"),
        ("そうですか？わた", "そうですか？"),
        ("すごい！わた", "すごい！"),
        ("네. 알겠어요. 다음", "네. 알겠어요."),
    ],
)
def test_sentences_end_in_korean_and_in_japanese_too(text: str, expected: str) -> None:
    assert tidy(text, cut_off=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- apples\n- pears\n- ora", "- apples\n- pears"),
        ("- apples\n- pears\n", "- apples\n- pears"),
        ("apples and pears\n2.\n3.", "apples and pears"),
        ("one\nand then a line that is longer", "one\nand then a line that is…"),
        ("| a | b |\n| c", "| a | b |"),
        ("Ok. And then\nall of the", "Ok. And then"),  # 12 of 23: half
        ("Ok. And then\nall of them", "Ok. And then"),  # 12 of 24
        ("Ok. And then\nall of these", "Ok. And then\nall of…"),  # 12 of 25
    ],
)
def test_without_a_sentence_the_last_whole_line_is_the_end_or_else_a_word(
    text: str, expected: str
) -> None:
    assert tidy(text, cut_off=True) == expected


def test_a_reply_that_the_model_ended_keeps_its_end() -> None:
    for text in ("I like Dr.", "1. Eggs\n2.", "J. R. R."):
        assert tidy(text, cut_off=False) == text


def test_a_long_reply_is_not_split_after_a_title() -> None:
    text = f"{'word ' * 3}end of it. Here comes Mr. Smithereens and more"
    first, *_ = split(text, 44)
    assert first == "word word word end of it."
