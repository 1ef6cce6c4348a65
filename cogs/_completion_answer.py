"""How a text that the model went on with reads on Discord."""

from collections.abc import Callable, Sequence

from discord.utils import escape_markdown

from bot.answering.text_completion import CompletedText
from bot.dialogue.continuation import ContinuationStep, Likely
from bot.dialogue.reply import MESSAGE_LIMIT, defang
from bot.dialogue.text import clean, is_blank
from bot.rendering.columns import aligned
from bot.rendering.token_labels import cut, readable
from bot.texts import say

_NUM_OTHERS = 2  # likely tokens beside the one that was drawn: more would not fit a phone
_TOKEN_COLUMNS = 13  # as long as <|endoftext|>
_MIN_GIVEN = 300  # characters of the member's text that stay, however long the model's part is


def completed_answer(
    given: str, completed: CompletedText, notes: Sequence[str], locale: str
) -> str:
    """The member's text, then the model's in bold, how its first words came about, and notes.

    The table goes where the text needs its place, then the beginning of the member's text and
    the end of the model's.
    """
    below = "".join(f"\n-# {note}" for note in (*_facts(completed, locale), *notes))
    table = _table(completed.first_steps, locale)
    text = _text(given, completed.continuation.added, MESSAGE_LIMIT)
    if _size(text + table + below) <= MESSAGE_LIMIT:
        return text + table + below
    return _text(given, completed.continuation.added, MESSAGE_LIMIT - _size(below)) + below


def _text(given: str, added: str, room: int) -> str:
    """Both parts in `room` characters; only the model's is bold."""
    added = added.rstrip("\ufffd")  # a letter of which only a part was made
    start = added[: len(added) - len(added.lstrip())]
    between = "\n" if "\n" in start else " " if start else ""
    words = clean(added)
    if is_blank(words):
        return _fitting(given, room, _without_first)
    least = min(_MIN_GIVEN, _size(_shown(given)))
    bold = _fitting(words, room - least - len(between) - len("****"), _without_last)
    mine = f"{between}**{bold}**"
    return _fitting(given, room - _size(mine), _without_first) + mine


def _shown(text: str) -> str:
    """`text` as it is, whatever marks it holds: without a ping, and every link can be seen."""
    return escape_markdown(defang(text))


def _fitting(text: str, room: int, shorten: Callable[[str, int], str]) -> str:
    shown, num_kept = _shown(text), len(text)
    while _size(shown) > room and num_kept > 0:
        num_kept -= max(1, (_size(shown) - room) // 2)  # a letter is shown as two at most
        shown = _shown(shorten(text, max(num_kept, 0)))
    return shown


def _without_first(text: str, num_kept: int) -> str:
    return f"…{text[len(text) - num_kept :]}"


def _without_last(text: str, num_kept: int) -> str:
    return f"{text[:num_kept]}…"


def _table(steps: Sequence[ContinuationStep], locale: str) -> str:
    """A line for each of `steps`: the token that was drawn, and others that were likely."""
    rows = []
    for number, step in enumerate(steps, 1):
        others = [
            f"{_token(token)} {_share(token)}"
            for token in step.likeliest
            if token.allowed and token.token_id != step.drawn.token_id
        ]
        listed = " · ".join(others[:_NUM_OTHERS])
        rows.append((str(number), _token(step.drawn), _share(step.drawn), listed))
    if not rows:
        return ""
    title = say(
        "How it began: the word piece drawn, its probability, and what else was likely", locale
    )
    # a backtick would end the block
    return f"\n-# {title}\n```\n{aligned(rows).replace('`', 'ˋ')}\n```".rstrip("\n")


def _token(token: Likely) -> str:
    return cut(readable(token.text), _TOKEN_COLUMNS)


def _share(token: Likely) -> str:
    return "<1%" if token.probability < 0.01 else f"{token.probability:.0%}"


def _facts(completed: CompletedText, locale: str) -> list[str]:
    continuation = completed.continuation
    facts = [
        say(
            "The bold part is mine ({num_tokens} word pieces); with the seed {seed} I write it "
            "again.",
            locale,
            num_tokens=len(continuation.steps) - continuation.ended,
            seed=continuation.seed,
        )
    ]
    if continuation.ended:
        facts.append(say("I ended the text there myself.", locale))
    return facts


def _size(text: str) -> int:
    """UTF-16 units, as Discord's clients count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
