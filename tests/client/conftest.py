"""The bot on a simulated Discord, as the tests of the cogs have it."""

from tests.cogs.conftest import database, engine, overrides, settings, stage
from tests.discord_server.conftest import server

__all__ = ["database", "engine", "overrides", "server", "settings", "stage"]
