"""The rules over the bot's own words, for every row of a batch by its own params.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84). Importing this module imports torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams
from bot.engine.placement.transfer import on_device
from bot.engine.sampling.letters import WHOLE, WholeLetters

# DRY as its author recommends it: p-e-w 2024,
# https://github.com/oobabooga/text-generation-webui/pull/5677
DRY_BASE = 1.75
DRY_ALLOWED_LENGTH = 2  # the shortest match that costs something: `dry_multiplier` itself
DRY_MAX_MATCH = 50  # as there: the penalty of a longer match is beyond float32 sooner or later

Ids = Sequence[int]


class OwnTurns:
    """The bot's own earlier turns of a context, indexed once a request for the rules over them.

    What a reply would go on with to repeat a turn is looked up by the reply's last tokens, so
    that a step costs the same however much was said.
    """

    def __init__(self, turns: Iterable[Ids], params: SamplingParams) -> None:
        """`turns`: each (num_turn_tokens,); no repetition reaches from one into the next."""
        self._num_before = params.no_repeat_own_ngram_size - 1  # -1: the ban is off
        self._completing: dict[tuple[int, ...], set[int]] = defaultdict(set)
        self._positions: dict[tuple[int, ...], list[tuple[Ids, int]]] = defaultdict(list)
        for turn in turns:
            if self._num_before >= 0:
                for end in range(self._num_before, len(turn)):
                    self._completing[tuple(turn[end - self._num_before : end])].add(turn[end])
            if params.dry_multiplier:
                for end in range(DRY_ALLOWED_LENGTH, len(turn)):
                    self._positions[tuple(turn[end - DRY_ALLOWED_LENGTH : end])].append((turn, end))

    def completing(self, ids: Ids) -> Set[int]:
        """The tokens that would complete an n-gram of an earlier turn after the reply's `ids`."""
        if self._num_before < 0 or len(ids) < self._num_before:
            return frozenset()
        return self._completing.get(tuple(ids[len(ids) - self._num_before :]), frozenset())

    def positions(self, last: tuple[int, ...]) -> Sequence[tuple[Ids, int]]:
        """Where the DRY_ALLOWED_LENGTH tokens `last` stand: a turn, and the position after them."""
        return self._positions.get(last, ())


NO_TURNS = OwnTurns((), SamplingParams())


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """What a row's rules depend on: `ids` are the tokens of its reply so far.

    `own` has to be made with the same `params`. `place`: that of WholeLetters, where there are any.
    """

    ids: Ids
    params: SamplingParams
    own: OwnTurns = NO_TURNS
    place: int = WHOLE


def apply_rules(
    logits: Tensor, rows: Sequence[ReplyRow], end_ids: Ids, letters: WholeLetters | None = None
) -> Tensor:
    """Every rule over words, and whole `letters`; a new tensor (num_rows, num_ids).

    Repetition penalty, DRY, n-gram bans and minimum length. The tokens that end a reply are
    neither penalised nor banned, except before `min_new_tokens`: a reply that is still running
    holds none of them. `letters` None: any token may follow any other.
    """
    ruled = logits.clone()
    _penalise(ruled, rows)
    _discourage(ruled, rows, end_ids)
    banned = [
        (number, token_id)
        for number, row in enumerate(rows)
        for token_id in _banned(row, end_ids, logits.shape[1], letters)
    ]
    if banned:
        ruled[_cells(banned, logits.device)] = -torch.inf
    if letters is not None:
        letters.forbid(ruled, [row.place for row in rows])
    return ruled


def _cells(cells: Iterable[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pairs of a row and a token id as an index into the logits; at least one pair."""
    rows, ids = on_device(list(zip(*cells, strict=True)), device)
    return rows, ids


def _penalise(logits: Tensor, rows: Sequence[ReplyRow]) -> None:
    """Make what a row has said less likely, for all rows in one pass.

    CTRL's penalty: Keskar et al. 2019, https://arxiv.org/abs/1909.05858, section 4.1, in the
    form for negative logits that transformers uses.
    """
    penalties = [row.params.repetition_penalty for row in rows]
    said = [
        (number, token_id)
        for number, row in enumerate(rows)
        if penalties[number] != 1
        for token_id in sorted(set(row.ids))
    ]
    if not said:
        return
    cells = _cells(said, logits.device)
    factors = on_device([penalties[number] for number, _ in said], logits.device)
    values = logits[cells]
    logits[cells] = torch.where(values < 0, values * factors, values / factors)


def _discourage(logits: Tensor, rows: Sequence[ReplyRow], end_ids: Ids) -> None:
    """Make what would lengthen a repetition less likely, for all rows in one pass."""
    losses = {
        (number, token_id): loss
        for number, row in enumerate(rows)
        for token_id, loss in dry_losses(row).items()
        if token_id not in end_ids and token_id < logits.shape[1]
    }
    if losses:
        values = on_device(list(losses.values()), logits.device, logits.dtype)
        logits[_cells(losses, logits.device)] -= values


def dry_losses(row: ReplyRow) -> Mapping[int, float]:
    """What DRY takes from the logits of the tokens that would lengthen a repetition.

    multiplier * base ** (match - allowed): `match` is the number of tokens at the end of the reply
    that stand before the same token earlier in the reply, or in a turn of the bot's. Its author's
    sequence breakers are not needed: no match reaches over a turn's beginning.
    """
    multiplier, ids = row.params.dry_multiplier, row.ids
    if not multiplier or len(ids) < DRY_ALLOWED_LENGTH:
        return {}
    last = tuple(ids[-DRY_ALLOWED_LENGTH:])
    earlier = (
        (ids, end)
        for end in range(DRY_ALLOWED_LENGTH, len(ids))
        if ids[end - 1] == last[-1] and tuple(ids[end - DRY_ALLOWED_LENGTH : end]) == last
    )
    matches: dict[int, int] = {}
    for text, end in chain(earlier, row.own.positions(last)):
        matches[text[end]] = max(matches.get(text[end], 0), _match(text, end, ids))
    return {
        token_id: multiplier * DRY_BASE ** (match - DRY_ALLOWED_LENGTH)
        for token_id, match in matches.items()
    }


def _match(text: Ids, end: int, ids: Ids) -> int:
    """How many tokens before `end` in `text` are those at the end of `ids`."""
    most = min(end, len(ids), DRY_MAX_MATCH)
    differing = (n for n in range(most) if text[end - 1 - n] != ids[-1 - n])
    return next(differing, most)


def _banned(
    row: ReplyRow, end_ids: Ids, num_ids: int, letters: WholeLetters | None
) -> Iterable[int]:
    """The widest ban that leaves a token: a word twice is better than none, or than half a letter.

    A tiny vocabulary may have been used up in earlier turns, and few tokens end a letter.
    """
    size = row.params.no_repeat_ngram_size
    early = frozenset(end_ids if len(row.ids) < row.params.min_new_tokens else ())
    twice = early.union(repeated(row.ids, size) if size else ())
    own = {token_id for token_id in row.own.completing(row.ids) if token_id < num_ids}
    for banned in (twice | own.difference(end_ids), twice, early):
        if letters.leaves(row.place, banned) if letters else len(banned) < num_ids:
            return banned
    return ()


def repeated(ids: Ids, size: int) -> list[int]:
    """The tokens that would complete an n-gram of `size` that `ids` already holds."""
    last = list(ids[len(ids) - size + 1 :]) if size > 1 else []
    if len(last) < size - 1:
        return []
    ends = range(size - 1, len(ids))
    return [ids[end] for end in ends if list(ids[end - size + 1 : end]) == last]
