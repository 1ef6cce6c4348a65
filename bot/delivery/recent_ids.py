"""The newest of many ids."""

from collections import OrderedDict


class RecentIds:
    """Remembers the last `capacity` ids that were added."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, known_id: object) -> bool:
        return known_id in self._ids

    def add(self, new_id: int) -> None:
        """Remember `new_id`, and forget the oldest where there are too many."""
        self._ids[new_id] = None
        while len(self._ids) > self._capacity:
            self._ids.popitem(last=False)
