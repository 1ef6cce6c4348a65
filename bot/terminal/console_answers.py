"""What the terminal answers to its commands, as text."""

from bot.answering.ports import Draft, Rejected
from bot.dialogue.guards import Fault
from bot.dialogue.sampling import BOUNDS, EffectiveParams
from bot.rendering.columns import aligned
from bot.rendering.settings_table import settings_rows, written
from bot.texts import mark, say

QUIT = "/quit"
COMMANDS = ("/reset", "/settings", "/why", "/help", QUIT)
HELP = mark(
    "/reset  start over\n"
    "/settings  how I choose my words; /settings NAME VALUE changes it\n"
    "/why  how my last reply came about\n"
    "/help  this list\n"
    "/quit  end the conversation, as Ctrl-D does; Ctrl-C stops a reply"
)


def settings_answer(effective: EffectiveParams, locale: str) -> str:
    """Every value in force, where it comes from, and what is allowed."""
    bounds = [f"{written(bound.low)} – {written(bound.high)}" for bound in BOUNDS.values()]
    allowed = [say("allowed", locale), *bounds]
    rows = settings_rows(effective, locale)
    return aligned([(*row, cell) for row, cell in zip(rows, allowed, strict=True)])


def why_answer(draft: Draft, first_text: str, locale: str) -> str:
    """How a reply came about: params, seed, prompt, refused candidates.

    `first_text` is the oldest turn of the prompt.
    """
    values = draft.params.values() | {"seed": draft.seed}
    lines = [
        say("Model: {model}, {ms} ms", locale, model=draft.model, ms=draft.latency_ms),
        say(
            "Prompt: {num_tokens} tokens, from “{text}” on",
            locale,
            num_tokens=draft.num_prompt_tokens,
            text=_short(first_text),
        ),
        say("Reply: {num_tokens} tokens", locale, num_tokens=draft.num_tokens[1]),
        ", ".join(f"{name} {written(value)}" for name, value in values.items()),
    ]
    lines += [_refused(rejected, locale) for rejected in draft.rejected]
    return "\n".join(lines)


def _refused(rejected: Rejected, locale: str) -> str:
    fault = rejected.scores.get("fault")
    # A word that is blocked is not shown here either.
    text = "…" if fault == Fault.BLOCKED_WORD else _short(rejected.text)
    if fault is None:
        return say("Not chosen: “{text}”", locale, text=text)
    return say("Refused ({fault}): “{text}”", locale, fault=fault, text=text)


def _short(text: str, num_characters: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= num_characters else f"{line[:num_characters]}…"
