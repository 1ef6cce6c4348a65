"""`python -m evaluation generate MODEL DIALOGUES --out FILE`: what the bot says in dialogues.

The member's turns come from the file. By default the bot's own replies are its memory, as on
Discord; with `--history file` each reply is given after what people said, which is what BLEU
wants. The first line of FILE says how the replies were made. Run again, it goes on where it was
interrupted.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from bot.dialogue.profiles import DIALOGPT, Profile
from bot.dialogue.sampling import BOUNDS, PRESETS, Number, SamplingParams, check
from bot.dialogue.turn import Turn
from bot.errors import InvalidSettingError
from evaluation.errors import InputError
from evaluation.options import at_least
from evaluation.output import Output
from evaluation.reading import RUN, SILENCE, read_dialogues
from evaluation.voices import (
    Guards,
    OpenVoice,
    Rank,
    Ranking,
    Spoken,
    Voice,
    open_voice,
    profile_for,
    remembered,
)

HELP = "let a model answer dialogues"
_SEED_STEP = 1_000_003  # a prime: replies of one run share no seed with those of the next


class Memory(StrEnum):
    """What stands before a reply: the bot's own replies, or what people said in the file."""

    OWN = "own"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a member says in a dialogue of the file, and what a person answered there."""

    history: tuple[str, ...]
    said: str
    answer: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How replies are made."""

    params: SamplingParams
    memory: Memory
    seed: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("model", help="a folder, a hub id that was fetched, or embedded")
    parser.add_argument("dialogues", type=Path, help='objects {"turns": ["…", "…"]}, one a line')
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="goes on there")
    parser.add_argument("--name", help="what tables call this run")
    parser.add_argument("--guards", type=Guards, choices=[*Guards], default=Guards.ON)
    parser.add_argument("--history", type=Memory, choices=[*Memory], default=Memory.OWN)
    add_sampling_arguments(parser)
    parser.add_argument(
        "--rank",
        type=Rank,
        choices=[*Rank],
        default=Rank.MMI,
        help="what orders several candidates: the bot's ranking, or their likelihood alone",
    )
    parser.add_argument("--reverse-model", metavar="MODEL", help="as the setting REVERSE_MODEL")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--limit", type=at_least(0), metavar="N", help="only the first N dialogues")
    parser.add_argument(
        "--parallel",
        type=at_least(1),
        default=1,
        metavar="N",
        help="dialogues at a time; 1 for latencies",
    )
    parser.add_argument(
        "--beams", type=at_least(1), metavar="N", help="beam search, no sampling; guards off"
    )
    parser.add_argument("--revision", help="of a model from a hub")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """What parse_params takes."""
    parser.add_argument("--preset", choices=sorted(PRESETS))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a sampling value: {', '.join(BOUNDS)}",
    )


def run(options: argparse.Namespace) -> int:
    """Answer the dialogues. Raises InputError, and ChatError where the model fails."""
    if options.beams is not None and options.guards is Guards.ON:
        raise InputError("Beam search is done by the model alone: add --guards off.")
    if options.reverse_model is not None and options.guards is Guards.OFF:
        raise InputError("Without guards nothing is ranked: leave --reverse-model or --guards off.")
    profile = profile_for(options.model, options.revision)
    params = parse_params(options.preset, options.set, profile)
    plan = Plan(params, options.history, options.seed)
    dialogues = [exchanges_of(turns) for turns in _read(options.dialogues, options.limit)]
    asyncio.run(_generate(options, plan, dialogues))
    return 0


def parse_params(
    preset: str | None, settings: Sequence[str], profile: Profile = DIALOGPT
) -> SamplingParams:
    """Those of `profile`, under a preset, under `NAME=VALUE`. Raises InputError."""
    values: dict[str, Number] = dict(PRESETS[preset]) if preset else {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            values[name] = check(name, float(value))
        except (ValueError, InvalidSettingError) as error:
            names = ", ".join(f"{n} {bound.low}-{bound.high}" for n, bound in BOUNDS.items())
            raise InputError(
                f"--set {setting} is not NAME=VALUE with one of these: {names}."
            ) from error
    return replace(profile.sampling, **values)  # type: ignore[arg-type]  # checked above


def exchanges_of(turns: Sequence[str]) -> list[Exchange]:
    """What the member says and a person answers, in order; a silence is nothing to answer."""
    return [
        Exchange(tuple(turn for turn in turns[:i] if turn != SILENCE), turns[i], turns[i + 1])
        for i in range(0, len(turns) - 1, 2)
        if turns[i] != SILENCE
    ]


async def answer_dialogue(
    voice: Voice, exchanges: Sequence[Exchange], plan: Plan, number: int
) -> list[Mapping[str, object]]:
    """The rows of one dialogue."""
    rows: list[Mapping[str, object]] = []
    own: list[Turn] = []
    for i, exchange in enumerate(exchanges):
        turns = own if plan.memory is Memory.OWN else remembered(exchange.history)
        seed = (plan.seed * _SEED_STEP + number * 1000 + i) % 2**31
        started_at = time.monotonic()
        spoken = await voice.answer(turns, exchange.said, replace(plan.params, seed=seed))
        seconds = round(time.monotonic() - started_at, 4)
        prompt = [*(turn.text for turn in turns), exchange.said]
        place = {"dialogue": number, "exchange": i, "prompt": prompt}
        rows.append({**place, **_answer(exchange, spoken), "seconds": seconds, "seed": seed})
        own = _with_exchange(own, exchange.said, spoken)
    return rows


async def _generate(
    options: argparse.Namespace, plan: Plan, dialogues: Sequence[Sequence[Exchange]]
) -> None:
    async with _open(options) as opened:
        about = _about(options, plan, opened)
        with Output(options.out, {RUN: about}, [len(one) for one in dialogues]) as output:
            rest = range(output.num_dialogues, len(dialogues))
            total = sum(map(len, dialogues))
            done = total - sum(len(dialogues[number]) for number in rest)
            with tqdm(total=total, initial=done, unit=" replies", disable=None) as bar:
                for start in range(rest.start, rest.stop, options.parallel):
                    batch = rest[start - rest.start :][: options.parallel]
                    made = await asyncio.gather(
                        *(answer_dialogue(opened.voice, dialogues[n], plan, n) for n in batch)
                    )
                    for rows in made:
                        output.write(rows)
                        bar.update(len(rows))
    sys.stdout.write(f"{options.out}: {total:,} replies in {len(dialogues):,} dialogues\n")


def _open(options: argparse.Namespace) -> AbstractAsyncContextManager[OpenVoice]:
    where = {"device": options.device, "dtype": options.dtype}
    if options.beams is None:
        ranking = Ranking(options.rank, options.reverse_model)
        return open_voice(options.model, options.revision, options.guards, **where, ranking=ranking)
    # imports torch and transformers (4 s) here; otherwise the engine does it in its thread
    from evaluation.beams import open_beams  # noqa: PLC0415

    return open_beams(options.model, options.revision, options.beams, **where)


def _answer(exchange: Exchange, spoken: Spoken) -> Mapping[str, object]:
    return {
        "completion": spoken.text,
        "references": [exchange.answer] if exchange.answer.strip() else [],
        "fallback": spoken.is_fallback,
        "faults": spoken.faults,
        "scores": spoken.scores,
        "logprob": spoken.logprob,
        "num_tokens": spoken.num_tokens,
    }


def _with_exchange(own: list[Turn], said: str, spoken: Spoken) -> list[Turn]:
    """The memory after the reply; the fallback sentence never enters it."""
    if spoken.is_fallback:
        return own
    first_id = own[-1].turn_id + 1 if own else 1
    texts = [*(turn.text for turn in own), said, spoken.text]
    question, answer = remembered(texts)[-2:]
    start_id = spoken.context_start_id or first_id
    return [*own, question, replace(answer, context_start_id=start_id)]


def _about(options: argparse.Namespace, plan: Plan, opened: OpenVoice) -> Mapping[str, object]:
    source = options.dialogues
    return {
        "name": options.name or options.out.stem,
        "model": options.model,
        "revision": opened.revision,
        "device": opened.device,
        "dtype": opened.dtype,
        "guards": options.guards.value,
        "history": plan.memory.value,
        "beams": options.beams,
        "rank": options.rank,
        "reverse_model": options.reverse_model,
        "reverse_revision": opened.reverse_revision,
        "context_turns": opened.limits.num_turns,
        "seed": plan.seed,
        "settings": {name: value for name, value in asdict(plan.params).items() if name != "seed"},
        "dialogues": f"{source.name} sha256:{sha256(source.read_bytes()).hexdigest()[:12]}",
        "limit": options.limit,
        "parallel": options.parallel,
    }


def _read(path: Path, limit: int | None) -> Iterator[tuple[str, ...]]:
    return islice(read_dialogues(path), limit)
