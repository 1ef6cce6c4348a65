"""A model that reads instead of speaking.

Importing this module imports torch and transformers (4 s): a program does it when it runs.
"""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import torch
from transformers import LogitsProcessorList

from bot.dialogue.prompt import Tokenizer
from bot.engine.reference.loader import generation_config, load_model
from bot.engine.reference.rules import LetterRule
from bot.engine.tokenizer import load_tokenizer
from evaluation.likelihood import Likelihood


class ModelReader:
    """Implements evaluation.likelihood.Reader; used from one thread."""

    def __init__(self, folder: Path, *, device: str = "auto", dtype: str = "auto") -> None:
        """Load the checkpoint in `folder`. Raises StartError."""
        self._loaded = load_model(folder, device, dtype)
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        self.window = self._loaded.window
        self.revision = self._loaded.commit
        self.device = str(self._loaded.placement.device)
        self.dtype = str(self._loaded.placement.dtype).removeprefix("torch.")

    def read(self, prompt_ids: Sequence[int], wanted_ids: Sequence[int]) -> Likelihood:
        """How likely `wanted_ids` are after `prompt_ids`, one after another.

        Raises ValueError where either is empty or the wanted ids alone fill the window.
        """
        room = self.window - len(wanted_ids)
        if not prompt_ids or not wanted_ids or room < 1:
            raise ValueError(f"{len(prompt_ids)} and {len(wanted_ids)} ids in {self.window}")
        ids = self._tensor([*prompt_ids[-room:], *wanted_ids])
        with torch.inference_mode():
            logits = self._loaded.network(ids).logits[0, -len(wanted_ids) - 1 : -1].float()
        wanted = ids[0, -len(wanted_ids) :]
        logprobs = logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]
        return Likelihood(tuple(logprobs.tolist()), tuple((logits.argmax(-1) == wanted).tolist()))

    def beam_search(
        self, prompt_ids: Sequence[int], *, num_beams: int, max_new_tokens: int
    ) -> list[int]:
        """The likeliest reply that so many beams find, without what ends it."""
        ids = self._tensor(prompt_ids)
        num_new = min(max_new_tokens, self.window - len(prompt_ids))
        rule = LetterRule(self._loaded.letters, len(prompt_ids), num_new)
        found = self._loaded.network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=generation_config(
                max_new_tokens=num_new,
                do_sample=False,
                num_beams=num_beams,
                early_stopping=True,
                eos_token_id=list(self._loaded.end_ids),
                pad_token_id=self._loaded.end_ids[0],
            ),
            logits_processor=LogitsProcessorList([rule]),
        )
        reply = found[0, len(prompt_ids) :].tolist()
        return list(takewhile(lambda token_id: token_id not in self._loaded.end_ids, reply))

    def _tensor(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.tensor([list(ids)]).to(self._loaded.placement.device)
