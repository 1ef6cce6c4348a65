"""`python -m bot` as a person meets it: in a process of its own, in an empty folder."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.errors import SeveralWrongSettingsError, WrongSettingsError
from bot.settings.settings import VARIABLES
from bot.terminal.arguments import build_parser
from bot.texts import explain

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "discord", "sqlalchemy", "pydantic", "dotenv", "aiohttp")
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.canarycanarycanarycanarycanary12"


def run(
    folder: Path, *arguments: str, flags: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """`python -m bot ARGUMENTS` in `folder`, with no setting but `variables`."""
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, *flags, "-m", "bot", *arguments],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def serve_with(folder: Path, body: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m bot` where the composition root only does `body`."""
    program = (
        "import sys, bot.startup.app\n"
        "from bot.__main__ import main\n"
        "from bot.errors import *\n"
        f"async def serve(settings): {body}\n"
        "bot.startup.app.serve = serve\n"
        "sys.exit(main([]))\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "DISCORD_TOKEN": TOKEN}
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """What the person reads of a start that failed: nothing but sentences."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_help_is_there_at_once_and_loads_nothing_heavy(tmp_path: Path) -> None:
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        done = run(tmp_path, "--help")
        took.append(time.perf_counter() - begun)
        assert done.returncode == 0
    assert {"playground", "chat", "next", "doctor", "fetch", "db", "--version"} <= set(
        done.stdout.split()
    )
    # What counts is measured by benchmarks.startup: here two busy cores run other tests too.
    assert min(took) < 1.0
    imports = run(tmp_path, "--help", flags=("-X", "importtime")).stderr
    assert "bot.errors" in imports
    assert not re.findall(rf"\| +({'|'.join(HEAVY)})\b", imports)


@pytest.mark.parametrize(
    "command", ["playground", "chat", "next", "doctor", "health", "fetch", "db"]
)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m bot {command}")


def test_the_version_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert done.returncode == 0
    assert re.fullmatch(r"banter (\d+\.\d+\.\d+|\(not installed\))\n", done.stdout)


def test_an_unknown_command_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = run(tmp_path, "fecth")
    assert done.returncode == 2
    assert done.stderr.endswith("\nerror: There's no command fecth: did you mean fetch?\n")


MISTAKES = [
    (["zzz"], "There's no command zzz: the commands are playground, chat, next, doctor, "),
    (["db"], "Missing: ACTION."),
    (["db", "chekc"], "There's no command chekc: did you mean check?"),
    (["health", "--odd"], "Not understood: --odd."),
    (["next", "x", "--top-k", "many"], "--top-k must be a whole number, not “many”."),
    (["next", "x", "--top-p", "much"], "--top-p must be a number, not “much”."),
    (["chat", "--once"], "--once needs a value."),
    (["doctor", "--channel"], "--channel needs a value."),
    (["next", "x", "--t"], "--t could be any of these: --table, --temperature, --top-k, --top-p."),
    (["--version=3"], "--version takes no value, but “3” was given."),
    (["doctor", "--channel", "x"], "--channel: “x” is not the id or the link of a channel."),
]
OF_ARGPARSE = re.compile(
    "usage:|positional|arguments|options|show this|error|expected|invalid|choose|required|"
    "unrecognized|ambiguous|ignored"
)


@pytest.mark.parametrize(("line", "sentence"), MISTAKES)
def test_what_a_line_lacks_is_one_sentence_in_either_language(
    line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser("en").parse_args(line)
    assert f"\nerror: {sentence}" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        build_parser("ko").parse_args(line)
    told = capsys.readouterr().err
    assert told.startswith("사용법: ")
    assert re.search("\n오류: .*[가-힣]", told)
    assert not OF_ARGPARSE.search(told)


@pytest.mark.parametrize("line", [[], ["chat"], ["next"], ["doctor"], ["db"], ["db", "backup"]])
def test_the_help_is_in_one_language(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        build_parser("ko").parse_args([*line, "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("사용법: python -m bot")
    assert not OF_ARGPARSE.search(shown)
    with pytest.raises(SystemExit, match="0"):
        build_parser("en").parse_args([*line, "--help"])
    assert not re.search("[가-힣]", capsys.readouterr().out)


def test_the_health_of_a_folder_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert complaint(run(tmp_path, "health"), 1) == "No bot has run in this folder yet."
    (tmp_path / "data").mkdir()
    assert "its log says why" in complaint(run(tmp_path, "health"), 1)


def test_without_a_token_and_a_model_the_playground_says_what_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path, MODEL="nowhere/")
    assert done.returncode == 69
    assert done.stdout.startswith("DISCORD_TOKEN is not set, so this is the playground")
    assert done.stderr.startswith("MODEL is nowhere/, but there is no such folder: name one")


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    sentence = complaint(run(tmp_path, DISCORD_TOKEN=TOKEN, TEMPERATURE="9"), 78)
    assert sentence == "TEMPERATURE must be a number from 0.1 to 2.0, not “9”."


def test_several_wrong_settings_are_a_line_each(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DISCORD_TOKEN={TOKEN}\nTEMPRATURE=1\nTOP_K=many\n")
    sentences = complaint(run(tmp_path, HISTORY="chanel"), 78).splitlines()
    assert sentences == [
        ".env sets TEMPRATURE, which is not a setting: did you mean TEMPERATURE?",
        "HISTORY must be one of channel, member, not “chanel”.",
        "TOP_K must be a whole number from 0 to 200, not “many”.",
    ]


def test_a_refused_token_is_not_repeated(tmp_path: Path) -> None:
    assert "canary" not in complaint(run(tmp_path, DISCORD_TOKEN=f"Bot {TOKEN}"), 78)


def test_a_wrong_setting_stops_the_other_commands_too(tmp_path: Path) -> None:
    sentence = complaint(run(tmp_path, "db", "check", DATABASE_URL="mysql://h/n"), 78)
    assert sentence.startswith("DATABASE_URL must be sqlite+aiosqlite:///")


def test_nothing_is_left_behind_by_a_start_that_failed(tmp_path: Path) -> None:
    run(tmp_path, MODEL="nowhere/")
    run(tmp_path, "chat", "--once", "hello", MODEL="nowhere/")
    assert list(tmp_path.iterdir()) == []


def test_the_exit_code_is_that_of_the_composition_root(tmp_path: Path) -> None:
    done = serve_with(tmp_path, "return 75")
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "")


def test_something_missing_is_one_sentence_and_69(tmp_path: Path) -> None:
    done = serve_with(tmp_path, "raise ModelError('There is no model in {here}.', here='a/b')")
    assert complaint(done, 69) == "There is no model in a/b."


def test_ctrl_c_says_nothing(tmp_path: Path) -> None:
    assert complaint(serve_with(tmp_path, "raise KeyboardInterrupt"), 130) == ""


def test_a_bug_is_logged_without_the_token(tmp_path: Path) -> None:
    done = serve_with(tmp_path, f"raise RuntimeError('odd: {TOKEN}')", LOG_FORMAT="json")
    assert done.returncode == 70
    (line,) = done.stderr.splitlines()
    logged = json.loads(line)
    assert logged["level"] == "ERROR"
    assert "RuntimeError: odd: [redacted]" in logged["traceback"]
    assert "canary" not in done.stderr


def test_a_file_with_the_token_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("TOP_K=10\n")
    env_file.chmod(0o644)
    assert "chmod 600 .env" in serve_with(tmp_path, "return 0").stderr


def test_fetching_what_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    sentence = complaint(run(tmp_path, "fetch", "/etc"), 69)
    assert sentence.startswith("/etc is not the name of a model on a hub")


def test_the_database_is_made_checked_and_copied(tmp_path: Path) -> None:
    made = run(tmp_path, "db", "upgrade")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "The database now has the schema of this version.\n"
    copied = run(tmp_path, "db", "backup")
    assert (copied.returncode, copied.stderr) == (0, "")
    (copy,) = (tmp_path / "data").glob("banter-*.db")
    assert f"The copy is {copy.relative_to(tmp_path)}:" in copied.stdout
    released = run(tmp_path, "db", "release")
    assert (released.returncode, released.stderr) == (0, "")
    assert released.stdout == "No application has this database: any bot may use it.\n"
    assert run(tmp_path, "db", "check", DATABASE_URL=f"sqlite:///{copy}").returncode == 0
    assert complaint(run(tmp_path, "db", "backup", str(copy)), 69).startswith(str(copy))


def test_several_mistakes_are_told_in_the_language_of_the_terminal() -> None:
    mistakes = [WrongSettingsError("{name} is odd.", name=name) for name in ("A", "B")]
    assert explain(SeveralWrongSettingsError(mistakes), "en") == "A is odd.\nB is odd."
    assert explain(mistakes[0], "en") == "A is odd."


@pytest.mark.parametrize("locale", ["en", "ko"])
def test_the_grammar_is_the_same_in_every_language(locale: str) -> None:
    options = build_parser(locale).parse_args(["fetch", "a/b", "--revision", "main"])
    assert (options.command, options.model, options.revision) == ("fetch", "a/b", "main")
    assert build_parser(locale).parse_args([]).command == "run"
