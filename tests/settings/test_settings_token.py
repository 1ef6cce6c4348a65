"""What is taken for a token, and what is told of anything else."""

import base64

import pytest

from tests.discord_server.platform import token_of
from tests.settings.test_settings import complaint, load

TOKEN = token_of(123456789012345678)


@pytest.mark.parametrize(
    "token",
    ["Bot canary.token", "canary token", "canary…token", "canary", "mfa.canary", TOKEN[:50]],
)
def test_what_cannot_be_a_token_is_refused_without_repeating_it(token: str) -> None:
    sentence = complaint(DISCORD_TOKEN=token)
    assert sentence.startswith("DISCORD_TOKEN is not a token")
    assert "canary" not in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0123456789abcdef" * 4, "the Public Key of your application"),
        ("123456789012345678", "but an id, as the Application ID"),
        ("canary-canary_canary-canary_cana", "looks like the Client Secret of the page OAuth2"),
    ],
)
def test_what_was_copied_in_place_of_the_token_is_named(text: str, words: str) -> None:
    sentence = complaint(DISCORD_TOKEN=text)
    assert sentence.startswith("DISCORD_TOKEN is not a token")
    assert words in sentence
    assert "press Reset Token on the page Bot" in sentence
    assert text not in sentence


@pytest.mark.parametrize("bot_id", [12345678901234567, 123456789012345678, 1234567890123456789])
@pytest.mark.parametrize("num_signed", [27, 38, 68])
def test_tokens_of_every_age_are_taken(bot_id: int, num_signed: int) -> None:
    owner = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    token = f"{owner}.Gh-_Kl.{'aZ0_-' * 20:.{num_signed}}"
    assert load(DISCORD_TOKEN=token).discord_token is not None
