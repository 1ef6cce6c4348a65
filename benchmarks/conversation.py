"""What is gained by keeping what the network has read of a conversation.

First: dialogues of the embedded model, whose window is stretched, through the contexts that the
bot builds; how many tokens of each prompt are read, of all that it holds. Then: how long the
first token of a later turn takes after a long prompt, with what was kept of it and without.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from benchmarks.serving.sentences import SENTENCES
from benchmarks.serving.shapes import SHAPES, make_model, make_stretched, shape_of
from bot.dialogue.context import Context, ContextBudget, build_context, fit_window
from bot.dialogue.prompt import decode_reply
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Scope, Turn
from bot.engine.checkpoints.checkpoint import EMBEDDED, resolve_model
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Completion, Engine, FinishReason, GenerationRequest, TokenizerThread

TARGET_SAVED = 0.73  # at the first of the budgets
TARGET_RATIO = 8.0
MAX_NEW_TOKENS = 32
BUDGETS = "256/16,256/8,256/64,1024/16,1024/64"
WINDOW = 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens of the prompts of some dialogues, and how many of them had to be read."""

    num_prompts: int
    num_tokens: int
    num_read: int

    @property
    def saved(self) -> float:
        """The part that was not read again."""
        return 1 - self.num_read / self.num_tokens


@dataclass(frozen=True, slots=True)
class Firsts:
    """Seconds to the first token of the same turn, with what was kept and without."""

    kept: list[float]
    again: list[float]

    @property
    def ratio(self) -> float:
        """How many times as fast, the median over the pairs."""
        pairs = zip(self.again, self.kept, strict=True)
        return statistics.median(again / kept for again, kept in pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; 1 when a target is missed."""
    options = _parser().parse_args(arguments)
    # the threads that a second torch thread had would slow down those of the engine
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="banter-conversation-") as name:
        return asyncio.run(_measure(options, Path(name)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversation", description=__doc__)
    parser.add_argument("--dialogues", type=int, default=4, help="that go on side by side")
    parser.add_argument("--replies", type=int, default=20, help="of the bot in each")
    parser.add_argument("--budgets", default=BUDGETS, help=f"tokens/turns (default: {BUDGETS})")
    parser.add_argument("--shape", default="small", help=f"{'|'.join(SHAPES)}, or a model's folder")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompt-tokens", type=int, default=900)
    parser.add_argument("--said-tokens", type=int, default=20, help="of the later turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser


async def _measure(options: argparse.Namespace, scratch: Path) -> int:
    budgets = [_budget(text) for text in options.budgets.split(",")]
    embedded = resolve_model(EMBEDDED, None, scratch)
    folder = make_stretched(embedded, scratch / "stretched", WINDOW)
    print(f"{options.dialogues} dialogues of {options.replies} replies each")
    print(f"{'tokens':>8}{'turns':>7}{'a prompt':>10}{'read of it':>12}{'saved':>8}")
    readings = []
    for budget in budgets:
        readings.append(await _read(folder, budget, options))
        print(_row(budget, readings[-1]))
    firsts = await measure_firsts(options, scratch)
    kept, again = (1000 * statistics.median(times) for times in (firsts.kept, firsts.again))
    print(
        f"\nfirst token after {options.prompt_tokens} tokens, {options.shape}: {kept:.0f} ms with "
        f"what was kept, {again:.0f} ms read again, {firsts.ratio:.1f} times as fast"
    )
    missed = readings[0].saved < TARGET_SAVED or firsts.ratio < TARGET_RATIO
    print(
        f"targets: {TARGET_SAVED:.0%} saved at {options.budgets.split(',')[0]}, "
        f"{TARGET_RATIO:.0f} times as fast: {'MISSED' if missed else 'met'}"
    )
    return int(missed)


def _budget(text: str) -> ContextBudget:
    num_tokens, _, num_turns = text.partition("/")
    return ContextBudget(int(num_tokens), int(num_turns))


def _row(budget: ContextBudget, reading: Reading) -> str:
    a_prompt = reading.num_tokens / reading.num_prompts
    read = reading.num_read / reading.num_prompts
    return (
        f"{budget.num_tokens:>8}{budget.num_turns:>7}{a_prompt:>10.0f}{read:>12.0f}"
        f"{reading.saved:>8.0%}"
    )


async def _read(folder: Path, budget: ContextBudget, options: argparse.Namespace) -> Reading:
    """Let the dialogues go on side by side in a fresh engine."""
    async with AsyncExitStack() as stack:
        engine = await open_engine(
            folder, model=EMBEDDED, device="cpu", dtype="float32", num_threads=options.threads
        )
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        num_tokens, _ = fit_window(engine.info.window, MAX_NEW_TOKENS, budget.num_tokens)
        fitting = ContextBudget(num_tokens, budget.num_turns)
        dialogues = [Dialogue(engine, tokenizer, fitting, n) for n in range(options.dialogues)]
        made = await asyncio.gather(*(one.go_on(options.replies) for one in dialogues))
    completions = [completion for dialogue in made for completion in dialogue]
    return Reading(
        num_prompts=len(completions),
        num_tokens=sum(one.num_prompt_tokens for one in completions),
        num_read=sum(one.num_prompt_tokens - one.num_cached_tokens for one in completions),
    )


class Dialogue:
    """A person who talks with the bot, as `bot.answering` lets them."""

    def __init__(
        self, engine: Engine, tokenizer: TokenizerThread, budget: ContextBudget, seed: int
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._budget = budget
        self._scope = Scope(seed)
        self._dice = random.Random(seed)
        self._turns: list[Turn] = []

    async def go_on(self, num_replies: int) -> list[Completion]:
        """Say something, hear the reply, and so on."""
        return [await self._exchange() for _ in range(num_replies)]

    async def _exchange(self) -> Completion:
        said = self._dice.choice(SENTENCES)
        path = self._turns[-2 * self._budget.num_turns - 2 :]
        context = await self._tokenizer.run(partial(build_context, path, said, self._budget))
        (completion,) = await self._engine.generate(
            GenerationRequest(
                prompt_ids=context.prompt_ids,
                params=SamplingParams(
                    max_new_tokens=MAX_NEW_TOKENS, seed=self._dice.randrange(2**31)
                ),
                own_ids=context.own_ids,
                sequence_key=f"{self._scope.channel_id}/0",
                group_key=1,
                user_id=self._scope.channel_id,
            )
        )
        text = await self._tokenizer.run(partial(decode_reply, completion.ids))
        cut_off = completion.finish_reason is FinishReason.LENGTH
        self._remember(said, tidy(text, cut_off=cut_off) or "hm", context)
        return completion

    def _remember(self, said: str, reply: str, context: Context) -> None:
        for role, text in ((Role.USER, said), (Role.BOT, reply)):
            turn_id = len(self._turns) + 1
            self._turns.append(
                Turn(
                    turn_id=turn_id,
                    scope=self._scope,
                    parent_id=turn_id - 1 or None,
                    role=role,
                    text=text,
                    author_id=None if role is Role.BOT else self._scope.channel_id,
                    epoch=0,
                    created_at=datetime.now(UTC),
                    context_start_id=context.start_id if role is Role.BOT else None,
                )
            )


async def measure_firsts(options: argparse.Namespace, scratch: Path) -> Firsts:
    """The same turn after a dialogue that is known and after one that is not, in turns."""
    folder = Path(options.shape)
    if options.shape in SHAPES:
        folder = make_model(scratch / options.shape, SHAPES[options.shape])
    shape = shape_of(folder)
    num_prompt = min(options.prompt_tokens, shape.window - options.said_tokens - 2 * 8)
    engine = await open_engine(
        folder, model="", device="auto", dtype=options.dtype, num_threads=options.threads
    )
    dice, end_id, firsts = random.Random(0), shape.num_ids - 1, Firsts([], [])

    def words(number: int) -> tuple[int, ...]:
        return (*dice.choices(range(end_id), k=number - 1), end_id)

    try:
        for number in range(options.repeats):
            before = words(num_prompt)
            reply = await _ask(engine, f"kept {number}", before)
            later = (*before, *reply.ids, end_id, *words(options.said_tokens))
            kept = await _ask(engine, f"kept {number}", later)
            again = await _ask(engine, f"again {number}", words(len(later)))
            firsts.kept.append(kept.first_token_seconds)
            firsts.again.append(again.first_token_seconds)
    finally:
        await engine.close()
    return firsts


async def _ask(engine: Engine, key: str, prompt_ids: tuple[int, ...]) -> Completion:
    params = SamplingParams(max_new_tokens=8, seed=0)
    request = GenerationRequest(prompt_ids=prompt_ids, params=params, sequence_key=key)
    (completion,) = await engine.generate(request)
    return completion


if __name__ == "__main__":
    sys.exit(main())
