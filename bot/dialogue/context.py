"""The newest whole turns that fit the token window, so cut that the prefix lasts many turns.

Cutting to fit on every turn would change the first token on every turn, and with it everything
that the engine keeps of the prompt. A context that outgrows its budget is therefore cut to two
thirds of it, and grows from the same first turn until it outgrows it again.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from bot.dialogue.prompt import Line, Tokenizer, encode_prompt
from bot.dialogue.text import graphemes, is_blank
from bot.dialogue.turn import Role, Turn

_EXCHANGE_AND_UTTERANCE = 3  # turns


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """The most that a prompt holds, the utterance included. Raises ValueError below 1."""

    num_tokens: int
    num_turns: int

    def __post_init__(self) -> None:
        if self.num_tokens < 1 or self.num_turns < 1:
            raise ValueError(f"a context budget below 1: {self}")

    def cut(self) -> "ContextBudget":
        """What a context is cut to that outgrew this: two thirds, an exchange at the least."""
        least = min(_EXCHANGE_AND_UTTERANCE, self.num_turns)
        return ContextBudget(max(1, self.num_tokens * 2 // 3), max(least, self.num_turns * 2 // 3))

    def shorter(self) -> "ContextBudget":
        """Half of the tokens, and the last exchange with the utterance."""
        num_turns = min(_EXCHANGE_AND_UTTERANCE, self.num_turns)
        return ContextBudget(max(1, self.num_tokens // 2), num_turns)


@dataclass(frozen=True, slots=True)
class Context:
    """What the model sees of a conversation.

    `turns`: what is remembered of it, oldest first, without the utterance.
    `prompt_ids`: shape (num_prompt_tokens,), the utterance at its end.
    `start_id`: the oldest turn, None when the prompt begins with the utterance.
    `num_said_tokens`: of the whole utterance, without end-of-text, however much of it fits.
    `own_ids`: the bot's turns among `turns`, each (num_turn_tokens,).
    `tokenizer`: the name of the vocabulary that all of these tokens are of.
    """

    turns: tuple[Turn, ...]
    prompt_ids: tuple[int, ...]
    start_id: int | None
    num_said_tokens: int
    own_ids: tuple[tuple[int, ...], ...]
    tokenizer: str


def fit_window(window: int, max_new_tokens: int, context_tokens: int) -> tuple[int, int]:
    """(tokens for the prompt, tokens for the reply) that fit `window` together.

    The reply gets at most half of the window. Raises ValueError for a window below 2 or a
    share below 1.
    """
    if window < 2 or max_new_tokens < 1 or context_tokens < 1:
        raise ValueError(f"no room: {window=}, {max_new_tokens=}, {context_tokens=}")
    num_new = min(max_new_tokens, window // 2)
    return min(context_tokens, window - num_new), num_new


def build_context(
    turns: Sequence[Turn], said: str, budget: ContextBudget, tokenizer: Tokenizer
) -> Context:
    """The context in which `said` is answered.

    `turns` is the path from the root to the newest turn, as far as the caller read it; blank
    ones are skipped. Whole turns only; an utterance that is longer than the budget by itself
    keeps its end, cut at a word.
    """
    kept = _without_orphan(_since_last_start(turns), tokenizer)
    prompt_ids = _fitting(kept, said, budget, tokenizer)
    if prompt_ids is None:
        kept = _newest_that_fit(kept, said, budget.cut(), tokenizer)
        prompt_ids = encode_prompt(_lines(kept, said), tokenizer)
    if len(prompt_ids) > budget.num_tokens:
        kept, prompt_ids = [], _end_of_utterance(said, budget.num_tokens, tokenizer)
    return Context(
        turns=tuple(kept),
        prompt_ids=tuple(prompt_ids),
        start_id=kept[0].turn_id if kept else None,
        num_said_tokens=len(tokenizer.encode(said)),
        own_ids=tuple(tuple(tokenizer.encode(turn.text)) for turn in kept if turn.role is Role.BOT),
        tokenizer=tokenizer.name,
    )


def _since_last_start(turns: Sequence[Turn]) -> list[Turn]:
    """The turns that still count: from the start of the newest answer's own context.

    A child's id is greater than its parent's, so a start that is blank by now, or older than
    what the caller read, gives way to the next turn on the path.
    """
    newest = next((turn for turn in reversed(turns) if turn.role is Role.BOT), None)
    start_id = 0 if newest is None else _start_of(newest)
    return [turn for turn in turns if turn.turn_id >= start_id and not is_blank(turn.text)]


def _start_of(answer: Turn) -> int:
    """The oldest turn that `answer` was made from; without one it was given to its question."""
    known = (answer.context_start_id, answer.parent_id, answer.turn_id)
    return next(turn_id for turn_id in known if turn_id is not None)


def _without_orphan(turns: list[Turn], tokenizer: Tokenizer) -> list[Turn]:
    """`turns` without answers at the start whose question is not in the context."""
    starts = _possible_starts(turns, tokenizer)
    return turns[starts[0] :] if starts else []


def _possible_starts(turns: Sequence[Turn], tokenizer: Tokenizer) -> list[int]:
    """The numbers of the turns that a context may begin with: the questions and the newest turn.

    Without its question an answer says little, and DialoGPT tells the speakers apart only by
    taking turns. The newest one stays, since it is what the member answers; chat templates
    refuse a dialogue that begins with the bot, so there it goes too.
    """
    newest = None if tokenizer.has_chat_template or not turns else turns[-1]
    return [i for i, turn in enumerate(turns) if turn.role is Role.USER or turn is newest]


def _fitting(
    turns: Sequence[Turn], said: str, budget: ContextBudget, tokenizer: Tokenizer
) -> list[int] | None:
    """The prompt, or None where it is over the budget."""
    if len(turns) + 1 > budget.num_turns:
        return None
    # The rendered whole is measured: a chat template adds more than the sum of its turns.
    prompt_ids = encode_prompt(_lines(turns, said), tokenizer)
    return prompt_ids if len(prompt_ids) <= budget.num_tokens else None


def _newest_that_fit(
    turns: list[Turn], said: str, budget: ContextBudget, tokenizer: Tokenizer
) -> list[Turn]:
    """As many of the newest turns as fit beside `said`; none where `said` fills the budget."""

    def fits(start: int) -> bool:
        return _fitting(turns[start:], said, budget, tokenizer) is not None

    starts = _possible_starts(turns, tokenizer)
    # By halves, so that few wholes are rendered: fewer turns are never longer.
    found = bisect_left(starts, x=True, key=fits)
    return turns[starts[found] :] if found < len(starts) else []


def _end_of_utterance(said: str, num_tokens: int, tokenizer: Tokenizer) -> list[int]:
    """The prompt of as much of the end of `said` as fits, never cut inside a character."""
    clusters = graphemes(said)

    def prompt_from(start: int) -> list[int]:
        return encode_prompt([(Role.USER, "".join(clusters[start:]))], tokenizer)

    def first_that_fits(starts: Sequence[int]) -> list[int]:
        first = bisect_left(starts, x=True, key=lambda i: len(prompt_from(i)) <= num_tokens)
        # A word that is cut may be more tokens than the whole word: the search is checked.
        prompts = (prompt_from(start) for start in starts[first:])
        return next((ids for ids in prompts if len(ids) <= num_tokens), [])

    from_word = first_that_fits(_word_starts(clusters))
    # A text without spaces has its next word too late, or nowhere.
    if len(from_word) >= num_tokens / 2:
        return from_word
    from_character = first_that_fits(range(len(clusters)))
    # Where nothing of the text fits, what remains is what ends a turn and opens the reply.
    return from_character or prompt_from(len(clusters))[-num_tokens:]


def _word_starts(clusters: Sequence[str]) -> list[int]:
    return [
        i
        for i in range(1, len(clusters))
        if clusters[i - 1].isspace() and not clusters[i].isspace()
    ]


def _lines(turns: Sequence[Turn], said: str) -> list[Line]:
    return [*((turn.role, turn.text) for turn in turns), (Role.USER, said)]
