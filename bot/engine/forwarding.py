"""An engine that hands everything on to another one: what changes a part of it derives from it."""

from collections.abc import Sequence

from bot.engine.protocol import (
    Completion,
    Engine,
    EngineInfo,
    EngineLoad,
    GenerationRequest,
    Passage,
    Prediction,
    PredictionRequest,
)


class ForwardingEngine:
    """Implements bot.engine.protocol.Engine, whose methods say what each of these is for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        """See Engine.info."""
        return self._engine.info

    def load(self) -> EngineLoad:
        """See Engine.load."""
        return self._engine.load()

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """See Engine.generate."""
        return await self._engine.generate(request)

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """See Engine.score."""
        return await self._engine.score(passages)

    async def predict(self, request: PredictionRequest) -> Prediction:
        """See Engine.predict."""
        return await self._engine.predict(request)

    def forget(self, num_erasures: int) -> None:
        """See Engine.forget."""
        self._engine.forget(num_erasures)

    async def close(self) -> None:
        """See Engine.close."""
        await self._engine.close()
