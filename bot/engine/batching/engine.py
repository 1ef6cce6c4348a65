"""The engine for GPT-2s: many replies at once, in one thread, with kept prefixes.

Importing this module imports torch (1.3 s): `bot.engine.opening` does it in the engine's thread.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Gpt2
from bot.engine.batching.reading import Gpt2Reader, score_steps
from bot.engine.batching.worker import Worker
from bot.engine.checks import EngineLimits, check_passages, check_prompt
from bot.engine.errands import Steps
from bot.engine.prediction import predict_steps
from bot.engine.protocol import (
    Completion,
    EngineLoad,
    GenerationRequest,
    Passage,
    Prediction,
    PredictionRequest,
)
from bot.engine.sampling.logprobs import Logprobs
from bot.engine.scheduler import Job


class LocalEngine:
    """Implements bot.engine.protocol.Engine; used from one event loop.

    All times in a Completion count from the call of `generate`.
    """

    def __init__(
        self,
        loaded: LoadedGpt2,
        model: str,
        thread: Executor,
        limits: EngineLimits,
    ) -> None:
        """`thread` has exactly one worker and belongs to the engine from now on."""
        self.info = loaded.info(model)
        self._num_ids = loaded.network.shape.num_ids
        self._end_ids, self._letters = loaded.end_ids, loaded.letters
        self._thread = thread
        self._worker = Worker(loaded, thread, limits)
        self.pulse = self._worker.pulse
        self._closed = asyncio.Lock()

    def load(self) -> EngineLoad:
        """What is going on now."""
        return self._worker.load()

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` beside others; see Engine.generate."""
        check_prompt(request.prompt_ids, self._num_ids, self.info.window)
        job = Job(request)
        self._worker.submit(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.abandoned.cancel()
            raise

    async def score(self, passages: Sequence[Passage]) -> list[Logprobs]:
        """How likely the passages are; see Engine.score."""
        check_passages(passages, self._num_ids, self.info.window)
        future = self._worker.add_errand(lambda network: score_steps(network, passages))
        return await asyncio.wrap_future(future)

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text; see Engine.predict."""
        check_prompt(request.text_ids, self._num_ids, self.info.window)
        capacity = len(request.text_ids) + request.length

        def begin(network: Gpt2) -> Steps[Prediction]:
            reader = Gpt2Reader(network, self._end_ids, capacity, letters=self._letters)
            return predict_steps(reader, request)

        return await asyncio.wrap_future(self._worker.add_errand(begin))

    def forget(self, num_erasures: int) -> None:
        """Keep nothing of what was read before; see Engine.forget."""
        self._worker.forget(num_erasures)

    async def close(self) -> None:
        """Stop what runs, free the model and end the thread; see Engine.close."""
        self._worker.stop()
        async with self._closed:
            if self._worker.runner is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.free)
            self._thread.shutdown()  # does not block: the thread has nothing left to do
