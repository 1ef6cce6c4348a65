"""Small stand-ins for what a unit test cannot have: a fast engine with a script, a courier."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.delivery.ports import Part, SendError
from bot.dialogue.continuation import Survivors
from bot.dialogue.prompt import Tokenizer
from bot.dialogue.turn import Utterance
from bot.engine.protocol import (
    LAST_LAYER,
    Completion,
    EngineInfo,
    EngineLoad,
    FinishReason,
    GenerationRequest,
    LayerAttention,
    Passage,
    PredictedStep,
    Prediction,
    PredictionRequest,
    Prospect,
)
from bot.errors import ChatError, InvalidSettingError, WithdrawnError
from tests.dialogue.byte_tokenizer import END_OF_TEXT_ID, ByteTokenizer

T = TypeVar("T")

Script = Callable[[GenerationRequest], Sequence[str]]


class InlineTokenizerThread:
    """Runs the work at once, in the caller's thread."""

    def __init__(self) -> None:
        self.tokenizer = ByteTokenizer()

    async def run(self, work: Callable[[Tokenizer], T]) -> T:
        return work(self.tokenizer)

    async def close(self) -> None:
        pass


class ScriptedEngine:
    """Answers with the texts that `script` returns for a request.

    While `gate` is closed every request waits; `asked` holds the requests in order, `predicted`
    those to go on with a text: `goes_on_with` is what it goes on with.
    """

    def __init__(self, script: Script | None = None, *, window: int = 1024) -> None:
        self.script = script or self._numbered
        self.asked: list[GenerationRequest] = []
        self.predicted: list[PredictionRequest] = []
        self.goes_on_with = " and so on"
        self.num_forgotten = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.info = EngineInfo("scripted", "0", "cpu", "float32", window, 0)
        self._changed = asyncio.Condition()

    def _numbered(self, request: GenerationRequest) -> list[str]:
        words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
        count = len(self.asked)
        return [
            f"reply {words[count % 10]} {words[count // 10 % 10]}"
        ] * request.params.num_candidates

    def forget(self, num_erasures: int) -> None:
        self.num_forgotten = num_erasures

    def load(self) -> EngineLoad:
        return EngineLoad(num_waiting=0, num_running=0, tokens_per_second=0.0)

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        self.asked.append(request)
        async with self._changed:
            self._changed.notify_all()
        await self.gate.wait()
        if request.cancellation.cancelled:
            raise WithdrawnError
        return [self._completion(text, request) for text in self.script(request)]

    async def wait_until_predicting(self, times: int) -> None:
        """Return once `times` texts to go on with have come."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.predicted) >= times)

    async def wait_until_asked(self, times: int) -> None:
        """Return once `times` requests have come."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= times)

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        return [(-1.0,) * len(passage.ids) for passage in passages]

    async def predict(self, request: PredictionRequest) -> Prediction:
        self.predicted.append(request)
        async with self._changed:
            self._changed.notify_all()
        await self.gate.wait()
        return prediction(request, self.goes_on_with)

    async def close(self) -> None:
        self.gate.set()

    @staticmethod
    def _completion(text: str, request: GenerationRequest) -> Completion:
        ids = tuple(ByteTokenizer().encode(text))
        return Completion(
            ids=ids,
            logprobs=(-1.0,) * (len(ids) + 1),
            finish_reason=FinishReason.STOP,
            seed=request.params.seed or 0,
            num_prompt_tokens=len(request.prompt_ids),
            end_id=END_OF_TEXT_ID,
        )


def prediction(request: PredictionRequest, text: str) -> Prediction:
    """The beginning of `text`, a byte a token, as if each had been the likelier of two."""
    added = tuple(text.encode()[: request.length])
    other = Prospect(ord("x"), 0.25, allowed=True)
    ids = (*request.text_ids, *added)
    weights = tuple(
        tuple(1 / (row + 1) if column <= row else 0.0 for column in range(len(ids)))
        for row in range(len(ids))
    )
    layer = 2 if request.layer == LAST_LAYER else request.layer
    if layer is not None and layer > 2:
        raise InvalidSettingError(name="layer", low=1, high=2, value=layer)
    steps = [
        PredictedStep(drawn, (drawn, other), Survivors(2, 2, 2))
        for drawn in (Prospect(token_id, 0.5, allowed=True) for token_id in added)
    ]
    return Prediction(
        ids=ids,
        num_text_tokens=len(request.text_ids),
        steps=tuple(steps),
        ended=False,
        seed=request.params.seed or 0,
        attention=None if layer is None else LayerAttention(layer, 2, weights),
    )


class RecordingCourier:
    """Keeps what is sent. `failures` are raised, one a try, before anything is sent.

    Like Discord it answers a repeated nonce with the message that is there already.
    """

    def __init__(self) -> None:
        self.sent: list[Part] = []
        self.tries: list[Part] = []
        self.failures: list[SendError] = []
        self.bugs: list[Exception] = []  # raised by a sentence
        self.in_channel: dict[int, list[int]] = {}
        self.rests: dict[int, float] = {}
        self._by_nonce: dict[str, int] = {}
        self._changed = asyncio.Condition()

    async def send(self, part: Part) -> int:
        self.tries.append(part)
        if self.failures:
            raise self.failures.pop(0)
        if part.nonce in self._by_nonce:
            return self._by_nonce[part.nonce]
        self.sent.append(part)
        sent_id = 900_000 + len(self.sent)
        self._by_nonce[part.nonce] = sent_id
        await self._tell()
        return sent_id

    async def sentence(self, said: Utterance, error: ChatError) -> str:
        if self.bugs:
            raise self.bugs.pop(0)
        return str(error)

    async def sent_parts(self, said: Utterance) -> list[int]:
        return self.in_channel.get(said.message_id, [])

    def rest(self, channel_id: int, seconds: float) -> None:
        self.rests[channel_id] = seconds

    @asynccontextmanager
    async def typing(self, channel_id: int) -> AsyncIterator[None]:
        yield

    async def wait_for(self, num_messages: int) -> None:
        """Return once `num_messages` parts have gone out."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= num_messages)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
