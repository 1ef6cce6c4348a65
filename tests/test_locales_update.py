"""`make locales`: which sentences are found, and that a second run changes nothing."""

from pathlib import Path

from babel.messages.catalog import Catalog

from bot.errors import ChatError
from locales.update import collect, read, save, sentences_of

FILE = """
class OddError(ChatError):
    sentence = "It is odd."

class OtherError(ChatError):
    sentence: str = "It is {name}."
    number = "not a sentence"

NAMES = (mark("a mark"), unmarked("no mark"))
raise ModelError("One long "
    "sentence with {place}.", place="x")
say("Said.", locale)
"""


def test_sentences_are_found_in_calls_and_in_error_classes(tmp_path: Path) -> None:
    path = tmp_path / "file.py"
    path.write_text(FILE)
    assert set(sentences_of(path)) == {
        "It is odd.",
        "It is {name}.",
        "a mark",
        "One long sentence with {place}.",
        "Said.",
    }


def test_every_error_that_the_bot_tells_is_collected() -> None:
    found = {message.id for message in collect()}
    pending = [ChatError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith(("bot.", "cogs.")):
            assert kind.sentence in found


def test_a_translation_survives_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ko" / "LC_MESSAGES" / "banter.po"
    catalog = read(path, "ko")
    catalog.add("Hello.", "안녕하세요.")
    save(catalog, path)
    written = path.read_bytes()
    again = read(path, "ko")
    template = Catalog(creation_date=again.creation_date)
    template.add("Hello.")
    template.add("New.")
    again.update(template, no_fuzzy_matching=True)
    assert again["Hello."].string == "안녕하세요."
    assert not again["New."].string
    save(read(path, "ko"), path)
    assert path.read_bytes() == written
    assert path.with_suffix(".mo").exists()
