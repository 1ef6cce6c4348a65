"""Takes the power from invitations and from links without a scheme: they read the same."""

import re

# Marks where a link is broken. Browsers pass over it in the name of a host, so that of a link
# with a scheme the scheme is broken too.
_BREAK = "\u200b"

_INVITATION = re.compile(
    r"""
    (?P<scheme>https?:)?(?P<slashes>(?://)?)
    (?P<host>(?:(?:www|canary|ptb)\.)?
        (?:discord(?:app)?\.com(?=/invite/)|discord\.(?:gg|me|li|io|link)|dsc\.gg|invite\.gg))
    (?=/\S)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Without a path only names that are surely hosts: "like that.So I" lacks a blank, no more.
_ENDINGS = "com|net|org|gg|io|app|dev|xyz|info|link|site|online|shop|club|kr|jp|ru|uk|de|tv"
_HOST = re.compile(
    rf"""
    (?<!\\)```.+?```|(?<![`\\])`[^`]+`(?!`)  # in code nothing is a link
    |https?://\S+                            # a link that says what it is stays
    |(?<![\w@./:-])(?P<host>
        (?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.){{1,6}}
        (?:(?:{_ENDINGS})(?![\w@-])|[^\W\d_]{{2,24}}(?=/[^\s/]))
    )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def break_links(text: str) -> str:
    """`text` with U+200B inside every invitation to a server and every link without a scheme.

    Other links that begin with https:// stay as they are, and so do names of hosts in code.
    """
    return _HOST.sub(_broken_host, _INVITATION.sub(_broken_invitation, text))


def _broken_invitation(found: re.Match[str]) -> str:
    scheme = f"{found['scheme']}{_BREAK}" if found["scheme"] else ""
    return f"{scheme}{found['slashes']}{_broken(found['host'])}"


def _broken_host(found: re.Match[str]) -> str:
    return _broken(found["host"]) if found["host"] else found[0]


def _broken(host: str) -> str:
    """`host` with a break before its last dot: without its ending it is the name of no host."""
    name, dot, ending = host.rpartition(".")
    return f"{name}{_BREAK}{dot}{ending}"
