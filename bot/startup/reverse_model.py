"""Finds the model of REVERSE_MODEL and checks that it reads what the main model writes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.dialogue.prompt import Tokenizer, encode_turn
from bot.engine.checkpoints.checkpoint import inspect_checkpoint, is_hub_id, resolve_model
from bot.engine.opening import open_tokenizer
from bot.engine.protocol import TokenizerThread
from bot.errors import ModelError, StartError, WrongSettingsError
from bot.settings.settings import MODELS_FOLDER, Settings
from bot.startup.model_folder import model_folder
from bot.texts import FALLBACK_LANGUAGE, explain, mark

_MODEL = re.compile(r"(?<![A-Z_])MODEL(?![A-Z_])")

# Two vocabularies that were made apart cut some of this differently.
_PROBES = (
    "Hello there! I'm fine, thanks; how have you been since yesterday evening?",
    "the quick brown fox jumps over the lazy dog, 1234567890 times, doesn't it?",
    'THE QUICK BROWN FOX... "quoted" (and) [more]: $5.99 = 100% @home #tag & co_op ~ ^',
    "안녕하세요, 오늘 날씨가 정말 좋네요. Größe, café, señor, 你好, привет 😀",
    "".join(map(chr, range(32, 127))),
)


def find_reverse_model(settings: Settings) -> Path | None:
    """The folder that REVERSE_MODEL means, None where it is not set; it is never fetched here.

    Raises ModelError where it is not there or is no model, WrongSettingsError where it is MODEL
    once more.
    """
    reverse_model = settings.reverse_model
    if reverse_model is None:
        return None
    try:
        folder = resolve_model(reverse_model, None, MODELS_FOLDER)
    except ModelError as error:
        sentence = mark(
            "REVERSE_MODEL is {model}, but there is no such folder: name one that is there, or "
            "leave REVERSE_MODEL empty."
        )
        if is_hub_id(reverse_model):
            sentence = mark(
                "REVERSE_MODEL is {model}, but it is not on this machine: name a folder, or fetch "
                "it with `python -m bot fetch {model}`."
            )
        raise ModelError(sentence, model=reverse_model) from error
    if reverse_model == settings.model or _is_main_model(folder, settings):
        raise WrongSettingsError(
            "REVERSE_MODEL and MODEL are both {model}: a reverse model is another one, which was "
            "trained on turns in reverse order. Leave REVERSE_MODEL empty to do without.",
            model=reverse_model,
        )
    with naming_reverse_model():
        inspect_checkpoint(folder)
    return folder


@contextmanager
def naming_reverse_model() -> Iterator[None]:
    """Let what is raised of a model name REVERSE_MODEL, where its sentence names MODEL."""
    try:
        yield
    except (ModelError, WrongSettingsError) as error:
        sentence = mark("{fault} To do without a reverse model, leave REVERSE_MODEL empty.")
        raise type(error)(sentence, fault=_SaidOfReverseModel(error)) from error


@dataclass(frozen=True, slots=True)
class _SaidOfReverseModel:
    """Implements bot.texts.Told: what is wrong with MODEL, said of REVERSE_MODEL."""

    error: StartError

    def __str__(self) -> str:
        return self.told(FALLBACK_LANGUAGE)

    def told(self, locale: str) -> str:
        """Settings are named alike in every language."""
        return _MODEL.sub("REVERSE_MODEL", explain(self.error, locale))


async def check_same_vocabulary(
    folder: Path, reverse_model: str, tokenizer: TokenizerThread
) -> None:
    """Raise WrongSettingsError where the model in `folder` has other tokens than `tokenizer`.

    Raises ModelError where its tokenizer cannot be used.
    """
    with naming_reverse_model():
        reverse_tokenizer = await open_tokenizer(folder)
    try:
        is_same = await reverse_tokenizer.run(_ids) == await tokenizer.run(_ids)
    finally:
        await reverse_tokenizer.close()
    if not is_same:
        raise WrongSettingsError(
            "REVERSE_MODEL {model} has another vocabulary than MODEL: take a reverse model that "
            "was trained with the same tokenizer, or leave REVERSE_MODEL empty.",
            model=reverse_model,
        )


def _ids(tokenizer: Tokenizer) -> list[list[int]]:
    """How a vocabulary cuts the probes: files that are written otherwise may hold the same."""
    return [encode_turn(probe, tokenizer) for probe in _PROBES]


def _is_main_model(folder: Path, settings: Settings) -> bool:
    try:
        return folder == model_folder(settings)
    except ModelError:
        return False  # a model that is still to be fetched has no folder yet
