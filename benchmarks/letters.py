"""Whether what people are shown is whole letters: replies, and the drafts that a terminal shows.

The embedded voice answers lines that people write, in English and Korean, in talks of 25. A model
of DialoGPT's shape that has learnt nothing answers Korean ones; thousands of its tokens are parts
of letters, so that nearly every reply would hold broken ones.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.serving.lines import ENGLISH, KOREAN
from benchmarks.serving.shapes import SHAPES, make_model
from bot.answering.reply_maker import ReplyMaker
from bot.dialogue.guards import Fault
from bot.dialogue.profiles import DIALOGPT
from bot.dialogue.profiles import EMBEDDED as EMBEDDED_PROFILE
from bot.dialogue.text import is_garbled
from bot.dialogue.turn import Scope, Utterance
from bot.engine.checkpoints.checkpoint import EMBEDDED, resolve_model
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Cancellation
from bot.errors import NoFitReplyError
from bot.settings.settings import Settings
from evaluation.voices import remembered

TALK_LINES = 25
AT_ONCE = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was counted; 1 where a broken letter was shown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.letters", description=__doc__)
    parser.add_argument("--replies", type=int, default=1000, help="of the embedded voice")
    parser.add_argument("--random", type=int, default=300, help="of the model without sense")
    parser.add_argument("--shape", default="small", choices=SHAPES, help="of that model")
    options = parser.parse_args(arguments)
    counts = [asyncio.run(_embedded(options.replies))]
    with tempfile.TemporaryDirectory(prefix="banter-letters-") as name:
        folder = make_model(Path(name) / "random", SHAPES[options.shape])
        _write_parts_of_letters(folder)
        counts.append(asyncio.run(_without_sense(folder, options.random)))
    return int(any(count["shown broken"] for count in counts))


async def _embedded(num_replies: int) -> Counter[str]:
    settings, folder = Settings(model=EMBEDDED), resolve_model(EMBEDDED, None, Path())
    count = Counter[str]()
    for lines in (ENGLISH, KOREAN):
        count.update(await _talk(folder, settings, lines, num_replies // 2))
    return _told("the embedded voice", count)


async def _without_sense(folder: Path, num_replies: int) -> Counter[str]:
    count = await _talk(folder, Settings(model=str(folder)), KOREAN, num_replies)
    return _told("DialoGPT's shape, random weights, Korean prompts", count)


def _told(name: str, count: Counter[str]) -> Counter[str]:
    print(f"{name}: {', '.join(f'{value:,} {what}' for what, value in count.items())}")
    return count


async def _talk(
    folder: Path, settings: Settings, lines: Sequence[str], num_replies: int
) -> Counter[str]:
    """What came of `num_replies`, in talks that are held side by side."""
    count = Counter[str]()
    async with AsyncExitStack() as stack:
        engine = await open_engine(folder, model="", device="cpu", dtype="float32")
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        budget = settings.budget(EMBEDDED_PROFILE if settings.model == EMBEDDED else DIALOGPT)
        maker = ReplyMaker(
            engine=engine, tokenizer=tokenizer, budget=budget, deadline_seconds=math.inf
        )
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as talks:
            for number, start in enumerate(range(0, num_replies, TALK_LINES)):
                dice = random.Random(number)
                said = dice.sample(lines, min(TALK_LINES, num_replies - start))
                talks.create_task(_hold(maker, settings, said, count, places))
    return count


async def _hold(
    maker: ReplyMaker,
    settings: Settings,
    lines: Sequence[str],
    count: Counter[str],
    places: asyncio.Semaphore,
) -> None:
    texts: list[str] = []

    def show(draft: str) -> None:
        count.update({"drafts": 1, "shown broken": int(is_garbled(draft))})

    async with places:
        for line in lines:
            said = Utterance(0, Scope(id(texts)), 0, line, datetime.now(UTC))
            turns = remembered(texts)
            try:
                answer = await maker.answer(said, turns, settings.sampling, Cancellation(), show)
            except NoFitReplyError:
                count.update({"without a fit reply": 1})
                continue
            faults = [one.scores.get("fault") for one in answer.rejected]
            refused = faults.count(Fault.GARBLED)
            broken = int(is_garbled(answer.text))
            count.update({"replies": 1, "refused as garbled": refused, "shown broken": broken})
            texts += [line, answer.text]


def _write_parts_of_letters(folder: Path) -> None:
    """Let words of the vocabulary in `folder` be up to five bytes of Korean and emoji."""
    # heavy: the library of the tokenizers
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415

    byte_level = ByteLevel(add_prefix_space=False, use_regex=False)
    [(letters, _)] = byte_level.pre_tokenize_str(" 😀".join(KOREAN))
    path = folder / "vocab.json"
    ids = json.loads(path.read_text(encoding="utf-8"))
    cuts = (letters[start : start + size] for size in range(2, 6) for start in range(len(letters)))
    parts = [part for part in dict.fromkeys(cuts) if part not in ids]
    renamed = dict(zip((word for word in ids if "word" in word), parts, strict=False))
    written = {renamed.get(token, token): number for token, number in ids.items()}
    path.write_text(json.dumps(written), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
