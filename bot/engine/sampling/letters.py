"""Keeps replies whole letters: which tokens may come next where tokens stand for bytes.

A byte-level vocabulary cuts Hangul and emoji anywhere, and a model that does not know them well
begins letters that it does not end. Importing this module imports torch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from bot.engine.placement.transfer import on_device

WHOLE = 0  # the state after a whole letter, and before the first one
_NOWHERE = 255  # no state: the token may not come

# The bytes that may come, and the state after them: well-formed UTF-8 (The Unicode Standard,
# table 3-7) without U+FFFD, EF BF BD, which stands for what could not be read.
_Bytes = range
_ONE, _TWO, _THREE = 1, 2, 3  # so many bytes of 80..BF are left, whichever
_E0, _ED, _EF, _EF_BF, _F0, _F4 = range(4, 10)
_RULES: Mapping[int, Sequence[tuple[_Bytes, int]]] = {
    WHOLE: (
        (range(0x80), WHOLE),
        (range(0xC2, 0xE0), _ONE),
        (range(0xE0, 0xE1), _E0),
        (range(0xE1, 0xED), _TWO),
        (range(0xED, 0xEE), _ED),
        (range(0xEE, 0xEF), _TWO),
        (range(0xEF, 0xF0), _EF),
        (range(0xF0, 0xF1), _F0),
        (range(0xF1, 0xF4), _THREE),
        (range(0xF4, 0xF5), _F4),
    ),
    _ONE: ((range(0x80, 0xC0), WHOLE),),
    _TWO: ((range(0x80, 0xC0), _ONE),),
    _THREE: ((range(0x80, 0xC0), _TWO),),
    _E0: ((range(0xA0, 0xC0), _ONE),),
    _ED: ((range(0x80, 0xA0), _ONE),),
    _EF: ((range(0x80, 0xBF), _ONE), (range(0xBF, 0xC0), _EF_BF)),
    _EF_BF: ((range(0x80, 0xBD), WHOLE), (range(0xBE, 0xC0), WHOLE)),
    _F0: ((range(0x90, 0xC0), _TWO),),
    _F4: ((range(0x80, 0x90), _TWO),),
}
_NEXT = {
    (state, byte): after
    for state, rules in _RULES.items()
    for bytes_, after in rules
    for byte in bytes_
}
NUM_STATES = len(_RULES)
_MOST_BYTES = 4  # of a letter


class WholeLetters:
    """Which tokens may come after a text, made once for a vocabulary.

    A text is in a state: WHOLE, or in the middle of a letter. With `num_left`, how many tokens may
    still come, the next one included, it stands at a `place`: no letter is begun that could not be
    ended. Tokens that spell nothing, such as the one that ends a reply, come after whole letters.
    """

    def __init__(self, spelling: Sequence[bytes], device: torch.device) -> None:
        """`spelling`: what each id adds to a text."""
        self._after = _transitions(spelling)
        # of every state and id: (NUM_STATES, num_ids)
        after = torch.stack([torch.frombuffer(row, dtype=torch.uint8) for row in self._after])
        ends = list(_ends(after))
        # of each place: shape (_MOST_BYTES * NUM_STATES, num_ids)
        forbidden = ~torch.cat([one[after.int()] for one in ends])
        self._ends: list[list[bool]] = [one.tolist() for one in ends]
        self._num_forbidden: list[int] = forbidden.sum(dim=1).tolist()
        self._places = [self._places_of(state) for state in range(NUM_STATES)]
        self._forbidden = forbidden.to(device)

    def after(self, state: int, ids: Iterable[int]) -> int:
        """The state after `ids` in `state`; what goes on with no letter begins another."""
        for token_id in ids:
            found = (self._after[state][token_id], self._after[WHOLE][token_id], WHOLE)
            state = next(one for one in found if one != _NOWHERE)
        return state

    def place(self, state: int, num_left: int) -> int:
        """Where a text in `state` stands with at most `num_left` tokens to come, at least one."""
        return self._places[state][min(num_left, _MOST_BYTES) - 1]

    def leaves(self, place: int, banned: Iterable[int]) -> bool:
        """Whether a token may come at `place` that is not among `banned`, which has no doubles."""
        room, state = divmod(place, NUM_STATES)
        ends, after = self._ends[room], self._after[state]
        num_banned = sum(ends[after[token_id]] for token_id in banned)
        return self._num_forbidden[place] + num_banned < len(after)

    def _places_of(self, state: int) -> list[int]:
        """By room. A letter that a text came with may end later than that, or never."""
        num_ids, places = (
            len(self._after[state]),
            range(state, len(self._num_forbidden), NUM_STATES),
        )
        free = [place for place in places if self._num_forbidden[place] < num_ids]
        return [
            next((other for other in free if other >= place), place - state + WHOLE)
            for place in places
        ]

    def forbid(self, logits: Tensor, places: Sequence[int]) -> None:
        """Forbid in each row of `logits` (num_rows, num_ids) what may not come at its place."""
        first, *others = set(places)
        chosen = on_device(places, logits.device) if others else first  # a lone row is not copied
        logits.masked_fill_(self._forbidden[chosen][..., : logits.shape[1]], -torch.inf)


def whole_letters(spelling: Sequence[bytes] | None, device: torch.device) -> WholeLetters | None:
    """Those of a vocabulary; None where none of its tokens is a part of a letter."""
    return None if spelling is None else WholeLetters(spelling, device)


def _transitions(spelling: Sequence[bytes]) -> list[bytearray]:
    """By state and id, the state after the token: each (num_ids,)."""
    found = [bytearray([_NOWHERE]) * len(spelling) for _ in range(NUM_STATES)]
    for token_id, spelt in enumerate(spelling):
        if _is_whole(spelt):
            found[WHOLE][token_id] = WHOLE
        else:
            for state in range(NUM_STATES):
                found[state][token_id] = _after_bytes(state, spelt)
    return found


def _is_whole(spelt: bytes) -> bool:
    """Whether nothing but whole letters is in it: true of most tokens, and quickly found."""
    try:
        return "\ufffd" not in spelt.decode()
    except UnicodeDecodeError:
        return False


def _after_bytes(state: int, spelt: bytes) -> int:
    for byte in spelt:
        state = _NEXT.get((state, byte), _NOWHERE)
    return state


def _ends(after: Tensor) -> Iterator[Tensor]:
    """With 1, 2, … tokens left: in which states the next may leave a text, each (256,).

    The last holds for more of them, too. Some vocabularies lack bytes that a letter needs.
    """
    ends = torch.zeros(_NOWHERE + 1, dtype=torch.bool)
    ends[WHOLE] = True
    for _ in range(_MOST_BYTES):
        yield ends.clone()
        ends[:NUM_STATES] |= ends[after.int()].any(dim=1)
