"""How late the event loop is while the model draws replies, beside an idle bot.

All rooms of the bot stand in one process, with a real engine and a real database; only Discord is
left out. A task asks to be woken every 5 ms and notes how much later it was: by so much every
event, heartbeat and answer to a command is late, too.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.delivery.delivery import Delivery
from bot.delivery.ports import Part
from bot.dialogue.turn import Scope, Utterance
from bot.errors import ChatError
from bot.settings.settings import Settings
from bot.startup.app import compose
from bot.startup.foundation import open_foundation

PERIOD_SECONDS = 0.005
TARGET_P99_MS = 50.0
QUESTION = "what do you think of this weather, and what will it be tomorrow?"


class Listener:
    """A Courier that counts what it is given; `done` is set when all of it has come."""

    def __init__(self, num_expected: int) -> None:
        self._num_missing = num_expected
        self.num_sentences = 0
        self.done = asyncio.Event()

    async def send(self, part: Part) -> int:
        """Take a part; every reply here has one."""
        self._count()
        return part.reply_to_id + 1_000_000

    async def sentence(self, said: Utterance, error: ChatError) -> str:
        """The sentence of an error, which is sent in place of a reply."""
        self.num_sentences += 1
        return str(error)

    async def sent_parts(self, said: Utterance) -> list[int]:
        """Nothing was sent before."""
        return []

    def rest(self, channel_id: int, seconds: float) -> None:
        """Nobody asks for it."""

    @asynccontextmanager
    async def typing(self, channel_id: int) -> AsyncIterator[None]:
        """Nobody sees it."""
        yield

    def _count(self) -> None:
        self._num_missing -= 1
        if self._num_missing == 0:
            self.done.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both rows; 1 when the busy one is over the target at its 99th percentile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop_lag", description=__doc__)
    parser.add_argument("--model", type=Path, help="a folder (default: a random GPT-2)")
    parser.add_argument("--replies", type=int, default=20)
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    parser.add_argument("--idle-seconds", type=float, default=5.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="banter-lag-") as name:
        model = options.model or make_random_model(Path(name) / "model")
        settings = Settings(
            model=str(model.resolve()),
            database_url=f"sqlite+aiosqlite:///{name}/banter.db",
            max_queue=max(64, options.replies),
            max_new_tokens=options.new_tokens,
            num_threads=options.threads,
        )
        return asyncio.run(measure(settings, options.replies, options.idle_seconds))


async def measure(settings: Settings, num_replies: int, idle_seconds: float) -> int:
    """Measure an idle and a busy bot and print what was seen."""
    async with open_foundation(settings) as foundation:
        info = foundation.engine.info
        delivery = compose(foundation, origin="console").delivery
        listener = Listener(num_replies)
        await delivery.start(listener)
        idle = await lags_during(asyncio.sleep(idle_seconds))
        started_at = time.perf_counter()
        busy = await lags_during(be_asked(delivery, listener, num_replies))
        seconds = time.perf_counter() - started_at
        await delivery.stop(5.0)
    print(f"{info.num_parameters / 1e6:.0f} million parameters, {info.dtype} on {info.device}")
    print(f"{num_replies} replies in {seconds:.1f} s, {listener.num_sentences} of them sentences")
    print("event loop late by (ms)      p50      p99      max        n")
    print(row("idle", idle))
    print(row(f"{num_replies} replies are drawn", busy))
    return int(percentile(busy, 99) > TARGET_P99_MS)


async def be_asked(delivery: Delivery, listener: Listener, num_replies: int) -> None:
    """Take in messages of different members, each in a channel of its own, and answer them all."""
    for number in range(1, num_replies + 1):
        said = Utterance(
            message_id=number,
            scope=Scope(number),
            author_id=number,
            text=QUESTION,
            created_at=datetime.now(UTC),
            guild_id=1,
        )
        delivery.accept(said)
    await listener.done.wait()


async def lags_during(work: Coroutine[Any, Any, None]) -> list[float]:
    """How late the loop woke us, in ms, again and again while `work` ran."""
    task = asyncio.create_task(work)
    lags = []
    while not task.done():
        due = time.perf_counter() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        lags.append(1000 * (time.perf_counter() - due))
    await task
    return lags


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` of a hundred of `values` lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def row(name: str, lags: Sequence[float]) -> str:
    """One line of the table."""
    p50, p99 = percentile(lags, 50), percentile(lags, 99)
    return f"{name:<24} {p50:>8.2f} {p99:>8.2f} {max(lags):>8.2f} {len(lags):>8}"


def make_random_model(folder: Path) -> Path:
    """A model in the shape of DialoGPT-small, with half of its layers, that has learnt nothing."""
    # heavy: only where no model is named
    import torch  # noqa: PLC0415
    from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415

    end_id = write_vocabulary(folder)
    torch.manual_seed(0)
    config = GPT2Config(n_layer=6, bos_token_id=end_id, eos_token_id=end_id, initializer_range=0.1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def write_vocabulary(folder: Path, size: int = 50257) -> int:
    """The files of a GPT-2 tokenizer whose tokens are bytes and made-up words; its end's id."""
    # heavy: only where no model is named
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415

    folder.mkdir(parents=True)
    letters = sorted(ByteLevel.alphabet())
    words = [f"Ġword{number}" for number in range(size - 1 - len(letters))]
    ids = {token: number for number, token in enumerate([*letters, *words, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return size - 1


if __name__ == "__main__":
    sys.exit(main())
