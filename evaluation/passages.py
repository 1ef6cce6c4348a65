"""The prompt that a given reply is read after."""

from bot.dialogue.context import ContextBudget, build_context
from bot.dialogue.prompt import Tokenizer
from evaluation.item import Item
from evaluation.voices import LIMITS, remembered


def prompt_of(item: Item, tokenizer: Tokenizer) -> list[int]:
    """Token ids of what the bot would see before `item`; end-of-text where nothing was said."""
    if item.said is None:
        return [tokenizer.end_of_text_id]
    budget = ContextBudget(LIMITS.num_tokens, LIMITS.num_turns)
    context = build_context(remembered(item.history[:-1]), item.said, budget, tokenizer)
    return list(context.prompt_ids)
