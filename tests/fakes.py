"""Small stand-ins for what a unit test cannot have: a fast engine with a script, a courier."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.dialogue.prompt import Tokenizer
from bot.dialogue.turn import Utterance
from bot.engine.request import (
    Completion,
    EngineInfo,
    EngineLoad,
    FinishReason,
    GenerationRequest,
)
from bot.errors import ChatError, WithdrawnError
from bot.ports import Part, SendError
from tests.dialogue.byte_tokenizer import ByteTokenizer

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

    While `gate` is closed every request waits; `asked` holds the requests in order.
    """

    def __init__(self, script: Script | None = None, *, window: int = 1024) -> None:
        self.script = script or self._numbered
        self.asked: list[GenerationRequest] = []
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

    def forget(self) -> None:
        self.num_forgotten += 1

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

    async def wait_until_asked(self, times: int) -> None:
        """Return once `times` requests have come."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= times)

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
