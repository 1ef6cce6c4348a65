"""`python -m bot doctor` as a process of its own, against a local Discord."""

from pathlib import Path

import pytest

from bot.terminal.arguments import build_parser
from tests.discord_server.bot_process import BotProcess
from tests.discord_server.server import serving

pytestmark = pytest.mark.process


async def test_a_healthy_bot_and_a_channel(tmp_path: Path) -> None:
    async with serving() as server:
        general = server.add_channel(server.add_guild("Home"), "general")
        link = f"https://discord.com/channels/{general.guild and general.guild.id}/{general.id}"
        async with await BotProcess.start(
            server,
            folder=tmp_path,
            env={"MODEL": "embedded", "DEVICE": "cpu", "TMPDIR": str(tmp_path)},
            arguments=("-m", "bot", "doctor", "--channel", link),
        ) as doctor:
            ended = await doctor.ended()
        assert (ended.exit_code, doctor.stderr) == (0, "")
        assert "#general in Home: the bot may do everything it has to there" in doctor.stdout
        assert doctor.stdout.endswith("The bot can run. Warnings: 2.\n")
        assert server.token not in doctor.stdout
        assert not (tmp_path / "data").exists()


async def test_a_wrong_token_and_a_wrong_setting(tmp_path: Path) -> None:
    async with serving() as server:
        async with await BotProcess.start(
            server,
            folder=tmp_path,
            env={
                "DISCORD_TOKEN": f"{server.token}x",
                "TOP_K": "x",
                "MODEL": "no/",
                "DEVICE": "cpu",
            },
            arguments=("-m", "bot", "doctor"),
        ) as doctor:
            ended = await doctor.ended()
        assert (ended.exit_code, doctor.stderr) == (78, "")
        assert doctor.stdout.count("fault ") == 3
        assert doctor.stdout.endswith("Faults: 3; each of these lines says what to do.\n")


@pytest.mark.parametrize(
    "written",
    [
        "123",
        "<#123>",
        "https://discord.com/channels/45/123",
        "https://discord.com/channels/@me/123/9",
    ],
)
def test_a_channel_is_named_by_its_id_or_its_link(written: str) -> None:
    options = build_parser("en").parse_args(["doctor", "--channel", "7", written])
    assert options.channel == [7, 123]


@pytest.mark.parametrize("written", ["general", "#general", "12a", "https://discord.com/12"])
def test_what_names_no_channel_is_refused(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser("en").parse_args(["doctor", "--channel", written])
    assert f"“{written}” is not the id or the link" in capsys.readouterr().err
