"""What runs the bot for good: the systemd unit, the image and the compose files fit the code."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # a few plain values: no stubs for that
from packaging.specifiers import SpecifierSet

from bot.__main__ import COMMANDS, EXIT_BUG, EXIT_INTERRUPTED
from bot.errors import EXIT_RESTART, EXIT_UNAVAILABLE, EXIT_WRONG_SETTINGS
from bot.settings.settings import DATA_FOLDER
from bot.startup.stopping import STOP_SECONDS
from tests.project.documents import code, read, table_with
from tests.project.source_tree import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
UNIT = ROOT / "deploy" / "banter@.service"
PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
LOGINS_A_DAY = 1000  # beyond them Discord resets the token
# CUDA needs the devices, code made at run time and /proc/driver; the lock of a token needs /tmp.
HARMFUL = {
    *("PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "ProcSubset"),
    *("MemoryDenyWriteExecute", "PrivateTmp", "DynamicUser"),
}
SECRETS = (".env", "second/.env", "data/banter.db", "data/banter.db.key", ".git/config")
NOT_OURS = (*SECRETS, ".venv/bin/python", "banter-20261121-041700.db", "main.tar.gz", "tests")


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    parser.read_string(read(UNIT))
    return parser


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments on one line."""
    lines = [line for line in read(ROOT / "Dockerfile").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.partition(" ") for line in joined.splitlines() if line)
    return [(name, rest.strip()) for name, _, rest in pairs]


def given(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def copied() -> list[str]:
    """What the image takes from the repository."""
    return [source for rest in given("COPY") for source in shlex.split(rest)[:-1]]


def compose(name: str) -> dict[str, Any]:
    """The one service of a compose file."""
    services = yaml.safe_load(read(ROOT / name))["services"]
    assert list(services) == ["bot"]
    service: dict[str, Any] = services["bot"]
    return service


def is_sent(path: str) -> bool:
    """Whether .dockerignore leaves `path` to the image: the last pattern that fits decides."""
    above = [path, *map(str, Path(path).parents)]
    sent = True
    for line in read(ROOT / ".dockerignore").splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        anywhere = pattern.removeprefix("**/")
        names = above if anywhere == pattern else [Path(one).name for one in above]
        if any(fnmatch(name, anywhere) for name in names):
            sent = line.startswith("!")
    return sent


# -- systemd -------------------------------------------------------------------------------------


def test_the_unit_starts_the_bot_as_a_user_without_rights() -> None:
    service = unit()["Service"]
    assert service["User"] == "banter"
    assert service["ExecStart"].endswith("/.venv/bin/python -m bot")
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert unit()["Unit"]["AssertPathExists"] == f"{service['WorkingDirectory']}/.env"
    assert service.keys() & HARMFUL == set()


def test_the_unit_starts_again_what_a_new_start_may_mend() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == [str(EXIT_WRONG_SETTINGS)]
    assert 86_400 / int(service["RestartSec"]) < LOGINS_A_DAY
    assert int(service["TimeoutStopSec"]) > STOP_SECONDS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = re.sub(r"/opt/banter/\S*python\b", sys.executable, read(UNIT))
    path = tmp_path / "banter@main.service"
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert "banter@" not in done.stdout + done.stderr


# -- The image -----------------------------------------------------------------------------------


def test_the_image_runs_a_python_that_the_project_supports() -> None:
    (image,) = given("FROM")
    version = re.match(r"python:(3\.\d+)-", image)
    assert version
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version[1]}.0")


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert given("USER") == ["banter"]
    (made,) = [rest for rest in given("RUN") if "useradd" in rest]
    assert "useradd --uid 10001" in made
    assert instructions().index(("USER", "banter")) > instructions().index(("RUN", made))


def test_the_image_takes_what_there_is_and_all_that_the_bot_reads() -> None:
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert {"bot/", "cogs/", "migrations/", "locales/", "deploy/"} <= set(copied())
    assert {PROJECT["readme"], *PROJECT["license-files"], "constraints.txt"} <= set(copied())
    assert [source for source in copied() if not is_sent(source.rstrip("/"))] == []


@pytest.mark.parametrize("path", NOT_OURS)
def test_nothing_secret_goes_to_the_image(path: str) -> None:
    assert not is_sent(path)
    assert not is_sent(f"bot/{path}") or path not in SECRETS[:2]


def test_the_image_installs_the_dependencies_of_the_project() -> None:
    (install,) = [rest for rest in given("RUN") if "tomllib" in rest]
    _, flag, program = shlex.split(install.partition(" > ")[0])
    printed = subprocess.check_output([sys.executable, flag, program], cwd=ROOT, text=True)
    assert printed.splitlines() == PROJECT["dependencies"]
    assert "--constraint constraints.txt" in install


def test_the_image_starts_the_script_and_asks_for_its_health() -> None:
    (start,) = map(json.loads, given("ENTRYPOINT"))
    folder = Path(given("WORKDIR")[0])
    assert (ROOT / Path(start[-1]).relative_to(folder)).is_file()
    (health,) = given("HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert command[:3] == ["python", "-m", "bot"]
    assert command[3] in COMMANDS


# -- Compose -------------------------------------------------------------------------------------


def test_the_compose_file_fits_the_image() -> None:
    service = compose("compose.yaml")
    place = f"{given('WORKDIR')[-1]}/{DATA_FOLDER}"
    assert given("VOLUME") == [place]
    assert service["volumes"] == [f"data:{place}"]
    assert "data" in yaml.safe_load(read(ROOT / "compose.yaml"))["volumes"]
    assert (ROOT / service["build"]["context"] / "Dockerfile").is_file()
    # Compose would put other values in the place of `$NAME`; the bot reads .env as it is.
    assert service["env_file"] == [{"path": ".env", "format": "raw"}]


def test_the_container_has_no_rights_and_time_to_stop() -> None:
    service = compose("compose.yaml")
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert service["restart"] == "unless-stopped"
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS


def test_the_gpu_file_asks_for_a_gpu_and_another_torch() -> None:
    service = compose("compose.gpu.yaml")
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    arguments = [argument.partition("=") for argument in given("ARG")]
    (torch,) = service["build"]["args"].items()
    assert torch[0] in {name for name, _, _ in arguments}
    assert torch[1] not in {default for _, _, default in arguments}
    assert service["image"] != compose("compose.yaml")["image"]


def test_the_example_of_settings_can_be_read_by_docker() -> None:
    """Docker takes everything behind the `=`, a comment too."""
    lines = [line for line in read(ROOT / ".env.example").splitlines() if line.strip()]
    assert [line for line in lines if not line.startswith("#") and re.search(r"\s#", line)] == []


# -- The page for the operator -------------------------------------------------------------------


def test_every_short_command_of_the_page_exists() -> None:
    pattern = r"(?:^|\s)(?:banter main|docker compose run --rm bot) (\w+)"
    named = {name for piece in code(OPERATIONS) for name in re.findall(pattern, piece)}
    assert named >= {"health", "db"}
    assert named <= COMMANDS.keys()


def test_the_page_lists_the_exit_codes_and_what_the_unit_does() -> None:
    told = table_with(read(OPERATIONS), "75")
    codes = (EXIT_UNAVAILABLE, EXIT_BUG, EXIT_RESTART, EXIT_WRONG_SETTINGS, EXIT_INTERRUPTED)
    assert told.keys() == {"0", *map(str, codes)}
    again = {code for code, (_, answer) in told.items() if answer == "yes"}
    assert again == {str(EXIT_UNAVAILABLE), str(EXIT_BUG), str(EXIT_RESTART)}
