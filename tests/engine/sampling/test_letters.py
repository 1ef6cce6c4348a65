"""Whole letters: the table of states against Python's own decoder."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.sampling.letters import WHOLE, WholeLetters
from tests.engine.slow_letters import SlowLetters

CPU = torch.device("cpu")
EVERY_BYTE = [bytes([byte]) for byte in range(256)]
LETTERS = "aé߿ࠀ힟\ud7ff\ue000\ufffc\ufffe\uffff😀\U0010ffff안"


def cut(text: str, rng: random.Random) -> bytes:
    """Some bytes of `text`, wherever they begin and end."""
    spelt = text.encode()
    start = rng.randrange(len(spelt))
    return spelt[start : start + rng.randint(1, 6)]


def some_vocabulary(seed: int) -> list[bytes]:
    """The end of a text, every byte, and pieces that begin and end anywhere in letters."""
    rng = random.Random(seed)
    pieces = [cut("".join(rng.choices(LETTERS + "\ufffd", k=5)), rng) for _ in range(200)]
    return [b"", *EVERY_BYTE, *pieces]


def allowed(letters: WholeLetters, place: int, num_ids: int) -> list[bool]:
    logits = torch.zeros(1, num_ids)
    letters.forbid(logits, [place])
    return [logit == 0 for logit in logits[0].tolist()]


@pytest.mark.parametrize("seed", range(6))
def test_what_may_come_is_what_python_can_go_on_decoding(seed: int) -> None:
    spelling = some_vocabulary(seed)
    letters, slow, rng = WholeLetters(spelling, CPU), SlowLetters(spelling), random.Random(seed)
    for _ in range(6):
        ids, length = list[int](), rng.randint(1, 20)
        while len(ids) < length:
            state, num_left = letters.after(WHOLE, ids), length - len(ids)
            found = allowed(letters, letters.place(state, num_left), len(spelling))
            assert found == [slow.may_come(ids, i, num_left) for i in range(len(spelling))]
            some = [token_id for token_id, may in enumerate(found) if may and spelling[token_id]]
            ids.append(rng.choice(some))
        assert "\ufffd" not in b"".join(spelling[i] for i in ids).decode()


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\ufffd", exclude_categories=["Cs"])))
def test_every_text_may_be_spelt_byte_by_byte(text: str) -> None:
    letters = BYTES
    state, spelt = WHOLE, text.encode()
    for number, byte in enumerate(spelt):
        place = letters.place(state, len(spelt) - number)
        assert letters.leaves(place, {*range(256)} - {byte})
        state = letters.after(state, [byte])
    assert state == WHOLE


BYTES = WholeLetters(EVERY_BYTE, CPU)


def test_a_letter_that_a_vocabulary_cannot_end_is_not_begun() -> None:
    letters = WholeLetters([b"a", b"\xe0", b"\xc3", b"\x80", b""], CPU)  # no A0..BF after E0
    assert allowed(letters, letters.place(WHOLE, 9), 5) == [True, False, True, False, True]
    begun = letters.place(letters.after(WHOLE, [2]), 9)
    assert allowed(letters, begun, 5) == [False, False, False, True, False]
    unending = WholeLetters([b"a", b"\xec", b""], CPU)
    assert allowed(unending, unending.place(WHOLE, 9), 3) == [True, False, True]


def test_a_letter_that_there_is_no_room_to_end_is_ended_all_the_same() -> None:
    letters = WholeLetters([b"\xec", b"\x95", b"\xe0", b""], CPU)
    begun = letters.place(letters.after(WHOLE, [0]), 1)
    assert allowed(letters, begun, 4) == [False, True, False, False]
    unending = letters.place(letters.after(WHOLE, [2]), 1)
    assert allowed(letters, unending, 4) == [False, False, False, True]


def test_every_row_is_ruled_by_its_own_place() -> None:
    letters = WholeLetters(some_vocabulary(3), CPU)
    places = [
        letters.place(letters.after(WHOLE, ids), n)
        for ids in ([], [237], [241, 143])
        for n in (1, 2, 9)
    ]
    together = torch.zeros(len(places), 457)
    letters.forbid(together, places)
    for place, row in zip(places, together, strict=True):
        assert allowed(letters, place, 457) == [logit == 0 for logit in row.tolist()]
        banned = [token_id for token_id, logit in enumerate(row.tolist()) if logit == 0]
        assert not letters.leaves(place, banned)
        assert letters.leaves(place, banned[1:])


def test_what_goes_on_with_no_letter_begins_another() -> None:
    letters = WholeLetters([b"\xec", b"a", b"\x80"], CPU)
    assert letters.after(WHOLE, [0, 1]) == letters.after(WHOLE, [2]) == WHOLE
    assert letters.after(WHOLE, [0, 0]) == letters.after(WHOLE, [0]) != WHOLE
