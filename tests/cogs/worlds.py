"""A simulated Discord around a client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import simcord


@asynccontextmanager
async def world_of(client: discord.Client) -> AsyncIterator[simcord.Env]:
    """Run `client` in a world of its own; what it raised and nobody looked at fails the test.

    Not `simcord.run`: that leaves a context variable behind, which a fixture cannot reset.
    """
    env = simcord.Env(client)
    await env.start()
    try:
        yield env
    finally:
        await env.shutdown()

    env._raise_errors_since(env._errors_acknowledged)
