"""A route: method, path, and the function that answers."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.discord_server.exchange import Answer, Call


@dataclass(frozen=True, slots=True)
class Route:
    """One of Discord's routes; the path is spelled as in its OpenAPI document."""

    method: str
    path: str
    answer: Callable[[Call], Answer]
