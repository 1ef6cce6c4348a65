"""The real bot on the files of release 0.1.0, which are months old when it starts."""

import pytest

from tests.discord_server.state import Message
from tests.fixtures import release_0_1_0 as release
from tests.whole_bot.home import Home

PATH_TO_THE_ROOT = """
    WITH RECURSIVE path(id, parent_id) AS (
        SELECT id, parent_id FROM turn WHERE source_message_id = ?
        UNION ALL SELECT turn.id, turn.parent_id FROM turn JOIN path ON turn.id = path.parent_id
    )
    SELECT turn.source_message_id FROM path JOIN turn ON turn.id = path.id
    WHERE turn.role = 'user' ORDER BY turn.id
"""


@pytest.mark.process
async def test_the_bot_goes_on_from_the_files_of_a_release(home: Home) -> None:
    """Its database, key file and fetched model; what was left in the inbox is too old by now."""
    folder = home.folder / "data"
    release.unpack("keyfile", folder / "banter.db")
    release.unpack_models(folder / "models")
    general = home.server.world.add_channel(home.guild, "old", channel_id=release.GENERAL)
    # The reply of the release stands in the channel, so that a member can reply to it.
    shown = Message(
        id=release.MUSIC.sent_id,
        channel=general,
        author=home.server.bot,
        content=release.MUSIC.reply,
        created_at=release.BEGIN,
    )
    general.messages[shown.id] = shown
    home.env |= {
        "MODEL": release.MODEL,
        "RETENTION_DAYS": "3650",
        "IDLE_MINUTES": "60",
        "MAX_NEW_TOKENS": "16",
    }
    async with await home.start() as bot:
        asked = home.say("Which music?", channel=general, reply_to=shown.id)
        await home.reply_to(asked, general)
        after = home.say("And now?", channel=general)
        await home.reply_to(after, general)
        assert (await bot.terminate()).exit_code == 0
    assert "Traceback" not in bot.stderr
    old = [(one.message_id,) for one in (release.HELLO, release.MUSIC)]
    assert home.rows(PATH_TO_THE_ROOT, after) == [*old, (asked,), (after,)]
    assert home.rows("SELECT message_id FROM inbox WHERE state != 'done'") == []
    assert {one.channel.id for one in home.server.sent} == {release.GENERAL}
    assert (home.folder / "data" / "banter.db.key").read_bytes() == (
        release.FILES / "keyfile.db.key"
    ).read_bytes()
