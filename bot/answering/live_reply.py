"""Shows a reply while it is being made: for a person who watches, as in the terminal."""

import asyncio
from collections.abc import Callable
from functools import partial

from bot.dialogue.guards import IsBlocked
from bot.dialogue.prompt import decode_reply
from bot.dialogue.text import is_garbled
from bot.engine.protocol import TokenizerThread

ShowWords = Callable[[str], None]


class LiveReply:
    """The whole words of a reply so far, as its tokens come; nothing that is blocked or garbled.

    `show` is called in the event loop in which this was made, with a longer text each time. The
    guards judge the whole reply later: what was shown may still be replaced.
    """

    def __init__(
        self, tokenizer: TokenizerThread, show: ShowWords, is_blocked: IsBlocked | None
    ) -> None:
        self._tokenizer = tokenizer
        self._show = show
        self._is_blocked = is_blocked or (lambda _: False)
        self._loop = asyncio.get_running_loop()
        self._ids: list[int] = []
        self._showing: asyncio.Task[None] | None = None
        self._is_closed = False

    def add(self, candidate: int, token_id: int) -> None:
        """Take a token in, from any thread; the first candidate's only."""
        if candidate == 0:
            self._loop.call_soon_threadsafe(self._take, token_id)

    def _take(self, token_id: int) -> None:
        if self._is_closed:
            return
        self._ids.append(token_id)
        if self._showing is None or self._showing.done():
            self._showing = self._loop.create_task(self._show_words())

    async def _show_words(self) -> None:
        num_shown = 0
        while num_shown < len(self._ids):
            num_shown = len(self._ids)
            text = await self._tokenizer.run(partial(decode_reply, tuple(self._ids)))
            words = text.rpartition(" ")[0].strip()  # the last one may still grow
            if words and not is_garbled(words) and not self._is_blocked(words):
                self._show(words)

    async def close(self) -> None:
        """Show no more."""
        self._is_closed = True
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.gather(self._showing, return_exceptions=True)
