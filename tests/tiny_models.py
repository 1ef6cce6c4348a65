"""Real models small enough for a test: made in place from random numbers, never downloaded."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

T = TypeVar("T")
END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|start|>"
END_OF_TURN = "<|end|>"
SENTENCES = (
    "hello there, how are you today?",
    "i am fine, thank you. and you?",
    "what is your name? my name is not important.",
    "do you like music? yes, i like music very much.",
    "good night, sleep well. see you tomorrow!",
    "안녕하세요. 오늘은 날씨가 좋네요.",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a GPT-2."""

    layers: int
    heads: int
    width: int
    window: int
    vocabulary: int


DIALOGPT_SMALL = Shape(layers=12, heads=12, width=768, window=1024, vocabulary=50257)
DIALOGPT_TINY = Shape(layers=2, heads=2, width=32, window=64, vocabulary=50257)


def make_tiny_gpt2(folder: Path, *, window: int = 256, width: int = 32, seed: int = 0) -> Path:
    """A GPT-2 of two layers with a byte-level vocabulary of its own, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer([END_OF_TEXT], 400)
    end_id = _id_of(tokenizer, END_OF_TEXT)
    network = _gpt2(Shape(2, 2, width, window, tokenizer.get_vocab_size()), end_id, seed)
    network.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder, eos_token=END_OF_TEXT)
    return folder


def make_chat_model(folder: Path, *, window: int = 256, seed: int = 0) -> Path:
    """A Llama of two layers with a chat template and two tokens that end its text."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer([END_OF_TEXT, START_OF_TURN, END_OF_TURN], 420)
    end_ids = [_id_of(tokenizer, token) for token in (END_OF_TURN, END_OF_TEXT)]
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=window,
        bos_token_id=end_ids[1],
        eos_token_id=end_ids,
    )
    network = _seeded(seed, lambda: LlamaForCausalLM(config))
    network.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder, eos_token=END_OF_TURN, chat_template=CHAT_TEMPLATE)
    return folder


def make_dialogpt_shaped(folder: Path, *, shape: Shape = DIALOGPT_SMALL, seed: int = 0) -> Path:
    """A repository as DialoGPT's: half-precision weights in an old pickle file, nothing else.

    The pickle has the format that torch wrote before 1.6, the causal masks that GPT-2 kept as
    buffers, and the output layer once more beside the embedding it shares.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        dialogpt_weights(shape, seed=seed),
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=False,
    )
    (folder / "config.json").write_text(json.dumps(_dialogpt_config(shape)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": shape.window}))
    _write_gpt2_vocabulary(folder, shape.vocabulary)
    return folder


def dialogpt_weights(shape: Shape, *, seed: int = 0) -> "OrderedDict[str, torch.Tensor]":
    """Random weights under the names that GPT-2 checkpoints had in 2019."""
    width, generator = shape.width, torch.Generator().manual_seed(seed)

    def random(*size: int) -> torch.Tensor:
        return (torch.randn(*size, generator=generator) * 0.02).half()

    embedding = random(shape.vocabulary, width)
    weights = OrderedDict(
        {
            "transformer.wte.weight": embedding,
            "transformer.wpe.weight": random(shape.window, width),
        }
    )
    for layer in range(shape.layers):
        prefix = f"transformer.h.{layer}"
        mask = torch.tril(torch.ones(shape.window, shape.window)).half()
        weights[f"{prefix}.attn.bias"] = mask.view(1, 1, shape.window, shape.window)
        weights[f"{prefix}.attn.masked_bias"] = torch.tensor(-1e4).half()
        for name, size in (
            ("attn.c_attn", (width, 3 * width)),
            ("attn.c_proj", (width, width)),
            ("mlp.c_fc", (width, 4 * width)),
            ("mlp.c_proj", (4 * width, width)),
        ):
            weights[f"{prefix}.{name}.weight"] = random(*size)
            weights[f"{prefix}.{name}.bias"] = random(size[1])
        for name in ("ln_1", "ln_2"):
            weights[f"{prefix}.{name}.weight"] = 1 + random(width)
            weights[f"{prefix}.{name}.bias"] = random(width)
    weights["transformer.ln_f.weight"] = 1 + random(width)
    weights["transformer.ln_f.bias"] = random(width)
    weights["lm_head.weight"] = embedding.clone()
    return weights


def _dialogpt_config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "bos_token_id": shape.vocabulary - 1,
        "eos_token_id": shape.vocabulary - 1,
        "n_ctx": shape.window,
        "n_positions": shape.window,
        "n_embd": shape.width,
        "n_head": shape.heads,
        "n_layer": shape.layers,
        "vocab_size": shape.vocabulary,
        "task_specific_params": {"conversational": {"max_length": 1000}},
    }


def _write_gpt2_vocabulary(folder: Path, size: int) -> None:
    """The two files of GPT-2's tokenizer; the end-of-text token has the last id."""
    trained = json.loads(_train_tokenizer([], 400).to_str())["model"]
    vocabulary = dict(trained["vocab"])
    for token_id in range(len(vocabulary), size - 1):
        vocabulary[f"unused{token_id}"] = token_id
    vocabulary[END_OF_TEXT] = size - 1
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in trained["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


def _gpt2(shape: Shape, end_id: int, seed: int) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=shape.vocabulary,
        n_positions=shape.window,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        bos_token_id=end_id,
        eos_token_id=end_id,
        initializer_range=0.3,  # peaked enough that two seeds and two prompts differ
    )
    return _seeded(seed, lambda: GPT2LMHeadModel(config))


def _id_of(tokenizer: Tokenizer, token: str) -> int:
    return int(tokenizer.get_vocab()[token])


def _seeded(seed: int, build: Callable[[], T]) -> T:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _train_tokenizer(special_tokens: list[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _save_tokenizer(tokenizer: Tokenizer, folder: Path, **special: str) -> None:
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=tokenizer, **special
    )
    wrapped.save_pretrained(folder)
