import json
from pathlib import Path

import pytest

from bot.dialogue import blocked
from bot.dialogue.blocked import BlockedWords, Entry, is_blocked, load_blocked_words
from bot.dialogue.folding import readings
from bot.errors import WrongSettingsError

DIALOGUES = Path(__file__).parents[3] / "shared" / "data"
OWN_LISTS = sorted((Path(blocked.__file__).parent / "blocked_words").glob("*.txt"))


def listed(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


OWN_LINES = [line for path in OWN_LISTS for line in listed(path)]
OWN_WORDS = [line.strip("*") for line in OWN_LINES if not line.startswith("allow:")]


def test_there_is_a_list_for_each_language() -> None:
    assert [path.stem for path in OWN_LISTS] == ["english", "korean"]
    assert all(len(listed(path)) >= 50 for path in OWN_LISTS)


@pytest.mark.parametrize("path", OWN_LISTS, ids=lambda path: path.stem)
def test_no_line_of_the_own_lists_is_there_twice(path: Path) -> None:
    assert len(set(listed(path))) == len(listed(path))


@pytest.mark.parametrize("word", OWN_WORDS)
def test_every_listed_word_is_blocked(word: str) -> None:
    assert is_blocked(f"You are: {word}!")
    assert is_blocked(word.upper())


@pytest.mark.parametrize("line", [line for line in OWN_LINES if line.startswith("allow:")])
def test_what_a_list_allows_is_no_alarm_and_would_be_one(line: str) -> None:
    text = line.removeprefix("allow:").strip().strip("*")
    assert not is_blocked(text)
    words_alone = load_blocked_words()._blocked
    assert any(words_alone.has_any(reading) for reading in readings(text))


def words_of(folder: Path, text: str | bytes) -> BlockedWords:
    path = folder / "words.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_blocked_words(path)


def test_an_owners_list_is_added_to_the_own_one(tmp_path: Path) -> None:
    words = words_of(tmp_path, "\ufeff# mine\r\nbanana\r\ngreen eggs  # a phrase\r\n\r\n바나나\r\n")
    for text in ("Banana!", "b.a.n.a.n.a", "green, EGGS", "바나나를 먹어", "fuck"):
        assert words.is_blocked(text)
    for text in ("bananas", "greeneggs", "green", "바나나킥", "hello"):
        assert not words.is_blocked(text)
    assert not is_blocked("banana")


def test_a_star_leaves_an_end_open(tmp_path: Path) -> None:
    words = words_of(tmp_path, "ban*\n*nana\n*egg*\n감자*\n")
    for text in ("ban", "bandit", "banana nana", "begged", "감자탕"):
        assert words.is_blocked(text)
    for text in ("urban", "nanas", "왕감", "eg g"):
        assert not words.is_blocked(text)


def test_an_owner_may_allow_what_the_own_list_blocks(tmp_path: Path) -> None:
    words = words_of(tmp_path, "allow: shit\nAllow: *fuck*\nallow: 시발\n")
    for text in ("shit", "sh1t happens", "fucking", "시발"):
        assert not words.is_blocked(text)
    assert words.is_blocked("shitty")
    assert words.is_blocked("no shit, bitch")


def test_words_of_scripts_without_blanks_are_found_anywhere(tmp_path: Path) -> None:
    words = words_of(tmp_path, "香蕉\nдурень\n")
    assert words.is_blocked("我喜欢香蕉吗")
    assert words.is_blocked("Ты дурень!")
    assert not words.is_blocked("дуренька")


def test_a_word_with_digits_is_found_as_it_is(tmp_path: Path) -> None:
    words = words_of(tmp_path, "1488\n")
    assert words.is_blocked("1488!")
    assert not words.is_blocked("in 21488 years")


@pytest.mark.parametrize(
    "line", ["***", "*", "a", "f*ck", "allow:", "allow: *", "block: word", "!!!", "ab" * 51]
)
def test_a_line_of_another_form_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(WrongSettingsError) as caught:
        words_of(tmp_path, f"# mine\nbanana\n{line}\n")
    assert str(caught.value).startswith(f"Line 3 of {tmp_path / 'words.txt'} is not a word")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongSettingsError, match=r"words\.txt is not UTF-8 text"):
        words_of(tmp_path, b"caf\xe9")
    missing = tmp_path / "no.txt"
    with pytest.raises(WrongSettingsError) as caught:
        load_blocked_words(missing)
    assert str(caught.value) == (
        f"BLOCKED_WORDS must be on, off or a file of words; {missing} cannot be read: "
        "No such file or directory."
    )
    for path in (tmp_path, Path("a\0b")):
        with pytest.raises(WrongSettingsError, match="cannot be read"):
            load_blocked_words(path)


def test_a_long_list_is_compiled() -> None:
    letters = "abcdefghij"
    texts = [a + b + c + d for a in letters for b in letters for c in letters for d in letters[:3]]
    words = BlockedWords(Entry(text) for text in [*texts, *("a" + "bc" * n for n in range(1, 49))])
    assert words.is_blocked("so, jjjc it is")
    assert not words.is_blocked("so, jjjd it is")


@pytest.mark.parametrize(
    "name",
    [
        "en_xpersona.valid.jsonl",
        "en_selfdialogue.valid.jsonl",
        "ko_xpersona.valid.jsonl",
        "ko_chatbot_data.valid.jsonl",
    ],
)
def test_what_people_say_is_hardly_ever_blocked(name: str) -> None:
    """At most 5 in 10,000, the words that are rightly blocked included."""
    if not (DIALOGUES / name).exists():
        pytest.skip("the dialogues of people are not part of the project")
    lines = (DIALOGUES / name).read_text(encoding="utf-8").splitlines()
    dialogues = [json.loads(line)["turns"] for line in lines]
    said_by_all = [turn for turns in dialogues for turn in turns]
    said_by_bot = [turn for turns in dialogues for turn in turns[1::2]]
    for texts in (said_by_all, said_by_bot):
        hits = [text for text in texts if is_blocked(text)]
        assert len(texts) > 500
        assert len(hits) / len(texts) <= 0.0005, hits
