"""Which hub is asked, and with which token."""

from pathlib import Path

import pytest

from bot.startup.chosen_hub import chosen_hub
from tests.engine.checkpoints.fetching import MODEL
from tests.engine.checkpoints.hub import LoopbackHub


@pytest.fixture
def env_file(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    path = tmp_path / ".env"
    path.write_text(f"HF_ENDPOINT={hub.url}/\nHF_TOKEN=hf_canary\n")
    return path


def test_hub_and_token_may_stand_in_the_file(
    hub: LoopbackHub, repository: Path, env_file: Path, tmp_path: Path
) -> None:
    hub.add(MODEL, repository)
    chosen = chosen_hub(env_file)
    listing = chosen.list_files(MODEL, "main")
    chosen.download(listing, listing.files["config.json"], tmp_path)
    assert chosen.endpoint == hub.url
    assert hub.authorised == {"api", "resolve"}


def test_the_environment_wins_over_the_file(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
    assert chosen_hub(env_file).endpoint == "http://localhost:1"


def test_without_a_file_it_is_the_public_hub(env_file: Path) -> None:
    env_file.write_text("HF_ENDPOINT=\n")
    assert chosen_hub(env_file).endpoint.startswith("https://")
