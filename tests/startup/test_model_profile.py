"""Which profile a model gets by what its files say."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.profiles import BASE, CHAT, DIALOGPT, EMBEDDED, Profile, chat_profile
from bot.dialogue.sampling import BOUNDS, SamplingParams
from bot.engine.opening import open_tokenizer
from bot.errors import ModelError
from bot.settings.settings import Settings
from bot.startup.building import build_conversation
from bot.startup.foundation import open_foundation
from bot.startup.model_profile import has_chat_template, profile_of
from bot.store.history import SqlHistory
from bot.store.sampling import SqlSampling
from tests.tiny_models import DIALOGPT_TINY, make_chat_model, make_dialogpt_shaped, make_tiny_gpt2

CAREFUL = {"temperature": 0.6, "top_p": 0.85, "top_k": 20, "repetition_penalty": 1.05}


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_chat_model(tmp_path_factory.mktemp("chat") / "model")
    change(folder / "generation_config.json", do_sample=True, **CAREFUL)
    return folder


def change(path: Path, **values: object) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | values))


def test_dialogpt_is_known_by_its_config_even_where_a_template_writes_its_format_down(
    tmp_path: Path,
) -> None:
    folder = make_dialogpt_shaped(tmp_path, shape=DIALOGPT_TINY)
    assert profile_of("microsoft/DialoGPT-medium", folder) is DIALOGPT
    template = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
    change(folder / "tokenizer_config.json", chat_template=template)
    assert profile_of("microsoft/DialoGPT-medium", folder) is DIALOGPT


def test_a_gpt2_that_says_nothing_of_dialogues_is_a_base_model(tmp_path: Path) -> None:
    folder = make_tiny_gpt2(tmp_path / "gpt2")
    assert profile_of("gpt2", folder) is BASE
    change(folder / "config.json", task_specific_params={"text-generation": {"max_length": 50}})
    assert profile_of("gpt2", folder) is BASE
    change(folder / "config.json", task_specific_params={"conversational": {"max_length": 1000}})
    assert profile_of("gpt2", folder) is DIALOGPT


def test_the_embedded_model_has_a_profile_of_its_own(tmp_path: Path) -> None:
    assert profile_of("embedded", tmp_path) is EMBEDDED


def test_a_chat_template_makes_a_chat_model_with_its_own_sampling(chat_model: Path) -> None:
    profile = profile_of("a/chat", chat_model)
    assert (profile.name, profile.budget) == ("chat", CHAT.budget)
    own = {name: getattr(profile.sampling, name) for name in CAREFUL}
    assert own == CAREFUL
    assert profile.sampling.no_repeat_own_ngram_size == 0
    assert profile.sampling.max_new_tokens == 256


async def test_the_files_say_of_a_template_what_the_tokenizer_says(tmp_path: Path) -> None:
    in_config = make_chat_model(tmp_path / "in_config")
    jinja = in_config / "chat_template.jinja"
    template = jinja.read_text()
    jinja.unlink()
    change(in_config / "tokenizer_config.json", chat_template=template)
    in_file, without = make_chat_model(tmp_path / "in_file"), make_tiny_gpt2(tmp_path / "without")
    assert (in_file / "chat_template.jinja").is_file()
    for folder, has_one in ((in_config, True), (in_file, True), (without, False)):
        tokenizer = await open_tokenizer(folder)
        assert await tokenizer.run(lambda known: known.has_chat_template) is has_one
        await tokenizer.close()
        assert has_chat_template(folder) is has_one


def test_a_damaged_generation_config_leaves_all_open_and_a_damaged_config_is_told(
    tmp_path: Path,
) -> None:
    folder = make_chat_model(tmp_path)
    (folder / "generation_config.json").write_text("{")
    assert profile_of("a/chat", folder) == CHAT
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError):
        profile_of("a/chat", folder)


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ({}, {}),
        ({"do_sample": False}, {}),
        ({"eos_token_id": 3, "max_length": 20}, {}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        # what transformers would sample with where the file leaves it out
        (
            {"do_sample": True, "top_k": 64, "top_p": 0.95},
            {"temperature": 1.0, "top_k": 64, "top_p": 0.95, "repetition_penalty": 1.0},
        ),
        ({"temperature": 0.0}, {"temperature": 0.1}),
        (
            {"temperature": 9, "top_k": 1000, "top_p": 0.0},
            {"temperature": 2.0, "top_k": 200, "top_p": 0.05},
        ),
        (
            {"top_k": -1, "min_p": 0.05, "repetition_penalty": 0.5},
            {"top_k": 0, "min_p": 0.05, "repetition_penalty": 1.0},
        ),
        ({"top_k": 20.0, "max_new_tokens": 2048, "seed": 5}, {"top_k": 20}),
        ({"temperature": None, "top_p": "0.9", "top_k": True, "min_p": float("nan")}, {}),
    ],
)
def test_a_models_own_values_count_within_our_bounds(
    generation: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert chat_profile(generation).sampling.values() == CHAT.sampling.values() | expected
    assert chat_profile(generation).budget == CHAT.budget


@pytest.mark.parametrize("profile", [DIALOGPT, BASE, EMBEDDED, CHAT])
def test_a_profile_is_within_the_bounds_of_the_settings(profile: Profile) -> None:
    Settings(
        context_tokens=profile.budget.num_tokens,
        context_turns=profile.budget.num_turns,
        **profile.sampling.values(),
    )
    assert profile.sampling.values().keys() == BOUNDS.keys() - {"seed"}


async def test_a_bot_with_a_chat_model_draws_as_its_files_say_and_the_log_says_so(
    chat_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        model=str(chat_model),
        device="cpu",
        dtype="float32",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/banter.db",
        history_key="off",
        top_k=30,
    )
    caplog.set_level("INFO")
    async with open_foundation(settings) as foundation:
        database = foundation.database
        conversation = build_conversation(
            foundation, SqlHistory(database, origin="discord"), SqlSampling(database)
        )
        defaults = conversation.defaults
    expected = dict(CAREFUL, top_k=30, max_new_tokens=256, no_repeat_own_ngram_size=0)
    assert {name: getattr(defaults.params, name) for name in expected} == expected
    assert (defaults.profile, defaults.chosen) == ("chat", frozenset({"top_k"}))
    (told,) = [line for line in caplog.messages if "the profile chat" in line]
    assert "temperature 0.6, top_k 30, top_p 0.85" in told
    assert "contexts of 32 turns and 1024 tokens" in told


def test_dialogpts_profile_is_what_sampling_params_are_by_themselves() -> None:
    assert DIALOGPT.sampling == BASE.sampling == SamplingParams()
