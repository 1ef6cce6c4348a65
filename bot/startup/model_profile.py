"""Finds the profile of a model: what its files say of its kind."""

from collections.abc import Mapping
from pathlib import Path

from bot.dialogue.profiles import BASE, DIALOGPT, EMBEDDED, Profile, chat_profile
from bot.engine.checkpoints.checkpoint import EMBEDDED as EMBEDDED_MODEL
from bot.engine.checkpoints.checkpoint import read_json
from bot.engine.checkpoints.gpt2_config import is_gpt2
from bot.errors import ModelError


def profile_of(model: str, folder: Path) -> Profile:
    """The profile of MODEL, which lies in `folder`; raises ModelError where its config is damaged.

    A GPT-2 whose config speaks of conversation is DialoGPT, or was tuned from it, whether or not
    its template writes its format down; any other chat template makes a chat model.
    """
    if model == EMBEDDED_MODEL:
        return EMBEDDED
    config = read_json(folder / "config.json")
    tasks = config.get("task_specific_params")
    if is_gpt2(config) and isinstance(tasks, dict) and "conversational" in tasks:
        return DIALOGPT
    if has_chat_template(folder):
        return chat_profile(_read_if_sound(folder / "generation_config.json"))
    return BASE


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer in `folder` brings a prompt format of its own."""
    if (folder / "chat_template.jinja").is_file():
        return True
    return bool(_read_if_sound(folder / "tokenizer_config.json").get("chat_template"))


def _read_if_sound(path: Path) -> Mapping[str, object]:
    """A JSON object, empty where there is none: what it would say is then left open."""
    try:
        return read_json(path)
    except ModelError:
        return {}
