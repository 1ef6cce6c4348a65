"""The prompt that a given reply is read after."""

from bot.dialogue.context import ContextBudget, build_context
from bot.dialogue.prompt import Tokenizer, after_nothing
from evaluation.item import Item
from evaluation.voices import LIMITS, remembered


def prompt_of(item: Item, tokenizer: Tokenizer) -> list[int]:
    """Token ids of what the bot would see before `item`."""
    if item.said is None:
        return list(after_nothing(tokenizer))
    budget = ContextBudget(LIMITS.num_tokens, LIMITS.num_turns)
    context = build_context(remembered(item.history[:-1]), item.said, budget, tokenizer)
    return list(context.prompt_ids)
