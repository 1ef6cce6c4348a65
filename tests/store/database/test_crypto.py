"""Sealing texts, and knowing the right key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store.database.crypto import OFF, Cipher, KeyRecord, matching_cipher, new_lock

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
KEY = bytes(range(32))


@given(WORDS)
def test_a_sealed_text_opens_to_itself(text: str) -> None:
    for cipher in (Cipher(KEY), Cipher(None)):
        assert cipher.open(cipher.seal(text)) == text


@given(WORDS.filter(lambda text: len(text) > 3))
def test_a_sealed_text_shows_nothing_and_never_twice_the_same(text: str) -> None:
    sealed = Cipher(KEY).seal(text)
    assert text.encode() not in sealed
    assert sealed != Cipher(KEY).seal(text)


def test_empty_text_is_empty_bytes() -> None:
    assert Cipher(KEY).seal("") == Cipher(None).seal("") == b""


def test_without_a_key_the_bytes_are_the_text() -> None:
    assert Cipher(None).seal("grüß") == "grüß".encode()


def test_half_an_emoji_does_not_stop_the_storing() -> None:
    for cipher in (Cipher(KEY), Cipher(None)):
        assert cipher.open(cipher.seal("a\ud83d b\x00")) == "a? b\x00"


@pytest.mark.parametrize("place", [0, 11, 12, -1])
def test_a_damaged_text_reads_as_gone(place: int, caplog: pytest.LogCaptureFixture) -> None:
    sealed = bytearray(Cipher(KEY).seal("a secret word"))
    sealed[place] ^= 1
    assert Cipher(KEY).open(bytes(sealed)) == ""
    assert Cipher(KEY).open(bytes(sealed[:5])) == ""
    assert "damaged" in caplog.text
    assert "secret word" not in caplog.text


def test_only_the_right_key_matches_its_record() -> None:
    cipher, record = new_lock("correct horse")
    stored = KeyRecord.parse(str(record))
    again = matching_cipher("correct horse", stored)
    assert again is not None
    assert again.open(cipher.seal("hello")) == "hello"
    assert matching_cipher("battery staple", stored) is None
    assert matching_cipher(OFF, stored) is None


def test_a_database_in_clear_matches_only_off() -> None:
    _, record = new_lock(OFF)
    stored = KeyRecord.parse(str(record))
    assert stored.is_off
    assert matching_cipher(OFF, stored) is not None
    assert matching_cipher("any", stored) is None


def test_the_same_secret_makes_another_key_in_every_database() -> None:
    (one, record), (two, other) = new_lock("secret"), new_lock("secret")
    assert record != other
    assert two.open(one.seal("hello")) == ""
