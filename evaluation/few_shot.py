"""Few-shot gain: how much likelier people's replies become after example exchanges.

The examples are exchanges of the next dialogues of the same file, so they show the manner and
not the answer. Each reply is read after what it answers alone, with 0, 1 and more examples
before it: Brown et al. 2020, arXiv:2005.14165, in the format of dialogues.
"""

from collections.abc import Sequence
from dataclasses import replace

from bot.dialogue.prompt import encode_prompt, encode_turn
from bot.dialogue.turn import Role
from evaluation.item import Item
from evaluation.likelihood import Reader
from evaluation.metric import Better, Facts
from evaluation.perplexity import Perplexity

Exchange = tuple[str, str]


def examples_for(items: Sequence[Item], number: int, num_examples: int) -> list[Exchange]:
    """Exchanges of other dialogues than that of item `number`, the nearest ones after it."""
    found: list[Exchange] = []
    used = {items[number].group}
    for offset in range(1, len(items)):
        if len(found) == num_examples:
            break
        other = items[(number + offset) % len(items)]
        if other.group in used or other.said is None:
            continue
        used.add(other.group)
        found.append((other.said, other.completion))
    return found


def read_with_examples(reader: Reader, item: Item, examples: Sequence[Exchange]) -> Item | None:
    """`item` with the likelihood of its reply; None where it does not fit the window whole."""
    lines = [line for pair in examples for line in zip((Role.USER, Role.BOT), pair, strict=True)]
    prompt_ids = encode_prompt([*lines, (Role.USER, item.said or "")], reader.tokenizer)
    wanted_ids = encode_turn(item.completion, reader.tokenizer)
    if len(prompt_ids) + len(wanted_ids) > reader.window:
        return None
    logprobs = reader.read(prompt_ids, wanted_ids).logprobs
    return replace(item, logprob=sum(logprobs), num_tokens=len(logprobs))


def perplexity_after(num_examples: int) -> Perplexity:
    """Perplexity a token of replies that were read after so many examples."""
    noun = "example" if num_examples == 1 else "examples"
    title = f"Perplexity after {num_examples} {noun}"
    facts = Facts(f"perplexity_{num_examples}_shot", title, Better.LOWER)
    return Perplexity(facts, lambda item: item.num_tokens)
