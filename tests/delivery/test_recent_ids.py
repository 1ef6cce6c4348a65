"""The newest of many ids."""

from bot.delivery.recent_ids import RecentIds


def test_the_oldest_id_gives_way_to_the_newest() -> None:
    ids = RecentIds(2)
    for new_id in (1, 2, 2, 3):
        ids.add(new_id)
    assert [one in ids for one in (1, 2, 3)] == [False, True, True]
