"""Next-word prediction by transformers' own forward pass, which the engines are compared with."""

from typing import TypeVar

from bot.engine.errands import Steps
from bot.engine.prediction import predict_steps
from bot.engine.protocol import Prediction, PredictionRequest
from bot.engine.reference.loader import LoadedModel
from bot.engine.reference.reading import TransformersReader

T = TypeVar("T")


def finish(steps: Steps[T]) -> T:
    """Take all of `steps` at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            outcome: T = end.value
            return outcome


def by_transformers(loaded: LoadedModel, request: PredictionRequest) -> Prediction:
    """What `loaded` goes on with."""
    return finish(predict_steps(TransformersReader(lambda: loaded), request))
