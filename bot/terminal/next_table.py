"""What `python -m bot next` shows, as plain text."""

from bot.dialogue.continuation import Continuation, ContinuationStep, Likely
from bot.dialogue.text import clean
from bot.rendering.columns import aligned, width
from bot.rendering.token_labels import cut, readable
from bot.texts import say

_MAX_TOKEN_COLUMNS = 16


def text_of(continuation: Continuation) -> str:
    """The whole text as a terminal may show it; a letter of which only a part was made is left out.

    A terminal would obey the control characters in what a model wrote.
    """
    return clean(continuation.text.rstrip("\ufffd"))


def table_of(continuation: Continuation, locale: str, num_columns: int) -> str:
    """A line for each step: what was drawn, what survived, and the likeliest tokens.

    As many of the likeliest as fit into `num_columns` of the screen, one at least.
    """
    steps = continuation.steps
    with_min_p = any(step.survivors.min_p != step.survivors.top_p for step in steps)
    fixed = [
        _fixed_cells(number, step, with_min_p=with_min_p) for number, step in enumerate(steps, 1)
    ]
    likeliest = [[cells for token in step.likeliest for cells in _cells(token)] for step in steps]
    head = [say("step", locale), say("drawn", locale), "p", "top-k", "top-p"]
    head += ["min-p"] if with_min_p else []
    for num_shown in range(len(likeliest[0]) // 2, 0, -1):
        rows = [[*row, *more[: 2 * num_shown]] for row, more in zip(fixed, likeliest, strict=True)]
        named = [cell for place in range(num_shown) for cell in (f"{place + 1}.", "p")]
        tokens = {1, *range(len(head), len(rows[0]), 2)}  # the other columns hold numbers
        table = aligned([[*head, *named], *rows], right={*range(len(rows[0]))} - tokens)
        if num_shown == 1 or max(map(width, table.split("\n"))) <= num_columns:
            break
    return "\n".join([table, "", *_legend(continuation, locale)])


def _fixed_cells(number: int, step: ContinuationStep, *, with_min_p: bool) -> list[str]:
    left = step.survivors
    numbers = [left.top_k, left.top_p, *([left.min_p] if with_min_p else [])]
    return [str(number), *_cells(step.drawn), *map(str, numbers)]


def _cells(token: Likely) -> tuple[str, str]:
    share = "<0.1%" if token.probability < 0.001 else f"{token.probability:.1%}"
    return cut(
        readable(token.text), _MAX_TOKEN_COLUMNS
    ), f"{share} " if token.allowed else f"({share})"


def _legend(continuation: Continuation, locale: str) -> list[str]:
    lines = [
        say(
            "p: the model's own probability. top-k, top-p: how many tokens were left to draw from.",
            locale,
        )
    ]
    shown = (token for step in continuation.steps for token in step.likeliest)
    if not all(token.allowed for token in shown):
        lines.append(
            say("In brackets: tokens that the rules forbid there, such as a repeated pair.", locale)
        )
    if continuation.ended:
        lines.append(say("The last token is the one that ends a text.", locale))
    lines.append(
        say("The same again, with the same options: --seed {seed}", locale, seed=continuation.seed)
    )
    return lines
