"""What was said while the bot was away: which of it is answered, and which is passed over."""

import logging
from collections import Counter
from collections.abc import Sequence

from bot.delivery.admission import AdmissionLimits
from bot.delivery.delivery import Delivery
from bot.delivery.ports import InboxStore, Spot
from bot.dialogue.turn import Utterance

logger = logging.getLogger(__name__)


class LookBack:
    """Finds out where to look, and takes in what was missed: each message once."""

    def __init__(self, inbox: InboxStore, delivery: Delivery, limits: AdmissionLimits) -> None:
        self._inbox = inbox
        self._delivery = delivery
        self._limits = limits

    async def spots(self, limit: int) -> list[Spot]:
        """Where the bot was spoken to, those of lately first; raises StoreUnavailableError."""
        return await self._inbox.spoken_in(limit)

    async def take_in(self, missed: Sequence[Utterance]) -> None:
        """Have answered what no earlier run knew, oldest first, as far as the limits go.

        The rest is marked, so that no later look back finds it. Raises StoreUnavailableError, and
        then nothing was taken in.
        """
        known = await self._inbox.known([said.message_id for said in missed])
        new = [said for said in missed if said.message_id not in known]
        room = self._limits.max_queue - self._delivery.num_pending
        kept = within_limits(new, self._limits.max_pending, room)
        passed_over = [said for said in new if said not in kept]
        if passed_over:
            await self._inbox.mark(passed_over)
            logger.info(
                "%s messages that were written while I was away are passed over: more than "
                "MAX_PENDING_PER_USER of a member in a channel, or than MAX_QUEUE in all.",
                len(passed_over),
            )
        for said in kept:
            self._delivery.take_back(said)
        if kept:
            logger.info("%s messages that were written while I was away wait now.", len(kept))


def within_limits(new: Sequence[Utterance], max_pending: int, room: int) -> list[Utterance]:
    """The newest messages: of a member `max_pending` in a channel, `room` of all; oldest first."""
    kept: list[Utterance] = []
    num_kept: Counter[tuple[int, int]] = Counter()
    for said in sorted(new, key=lambda one: one.message_id, reverse=True):
        place = (said.scope.channel_id, said.author_id)
        if num_kept[place] < max_pending and len(kept) < room:
            num_kept[place] += 1
            kept.append(said)
    return kept[::-1]
