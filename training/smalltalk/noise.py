"""How members really type: small letters, no full stops, slips, emoji."""

import random
from collections.abc import Collection
from dataclasses import dataclass

_SHORT_FORMS = {
    "I'm": "im", "don't": "dont", "it's": "its", "can't": "cant", "didn't": "didnt",
    "what's": "whats", "What's": "Whats", "that's": "thats", "doesn't": "doesnt",
    "isn't": "isnt", "I've": "ive", "I'll": "ill", "you're": "youre", "how's": "hows",
    "won't": "wont", "haven't": "havent",
}  # fmt: skip
_SLANG = {
    "you": "u", "are": "r", "your": "ur", "because": "cuz", "really": "rly", "please": "pls",
    "I don't know": "idk", "going to": "gonna", "want to": "wanna", "thanks": "thx",
    "tomorrow": "tmr", "people": "ppl", "okay": "ok", "what": "wat", "though": "tho",
}  # fmt: skip
_EMOJI = (
    "😀",
    "😂",
    "🙂",
    "😊",
    "😢",
    "❤️",
    "👍",
    "🎉",
    "😭",
    "🤔",
    "😅",
    ":)",
    ":D",
    ":(",
    "xD",
    "^^",
)
_LAUGHTER = ("lol", "haha", "hehe", "lmao")
_KOREAN_LAUGHTER = ("ㅋㅋ", "ㅋㅋㅋ", "ㅎㅎ", "ㅠㅠ", "!!", "~")
_LEAD_INS = (
    "hey,", "well,", "so,", "ok so", "ok,", "haha,", "btw", "hm,", "oh,", "oh!", "and", "but",
    "hey", "so", "well", "um,", "hi,", "ok!", "by the way,", "ok now", "hello,", "yes,",
    "actually,", "please,",
)  # fmt: skip
_TAGS = (
    "bro", "man", "dude", "Banter", "my friend", "bot", "I guess", "you know", "please", "haha",
    "right now", "tho", "actually", "again", "then", "mate", "buddy", "lol", "pls", "today",
)  # fmt: skip
_NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopqsdfghjklaxcvbnmz", strict=True))


@dataclass(frozen=True, slots=True)
class Manner:
    """How one member types in one dialogue; the numbers are shares."""

    lower: bool
    bare: bool  # leaves marks at the end away
    short_forms: bool
    slang: float
    slips: float
    emoji: float
    chatty: float  # begins with "well," or ends with "my friend"


def draw_manner(rng: random.Random) -> Manner:
    """A member's way of typing; half write everything small, a third leave the marks away."""
    lower = rng.random() < 0.5
    return Manner(
        lower=lower,
        bare=rng.random() < (0.6 if lower else 0.2),
        short_forms=lower and rng.random() < 0.4,
        slang=rng.choice((0.0, 0.0, 0.0, 0.3)) if lower else 0.0,
        slips=rng.choice((0.0, 0.0, 0.05, 0.15)),
        emoji=rng.choice((0.0, 0.0, 0.0, 0.05, 0.3)),
        chatty=rng.choice((0.0, 0.05, 0.3)),
    )


def type_out(text: str, manner: Manner, rng: random.Random, kept: Collection[str]) -> str:
    """`text` as the member would type it; the words in `kept` are typed right."""
    text = _dress(text, manner, rng)
    if manner.short_forms:
        text = _replace(text, _SHORT_FORMS)
    if rng.random() < manner.slang:
        text = _replace(text, dict(rng.sample(sorted(_SLANG.items()), 4)))
    if manner.lower:
        text = text.lower()
    if manner.bare and rng.random() < 0.85:
        text = text.rstrip(".!?")
    elif rng.random() < 0.08:
        text = text.rstrip(".") + rng.choice(("!", "!!", "...", "??" if "?" in text else ""))
    if rng.random() < manner.slips:
        text = _slip(text, rng, kept)
    if rng.random() < manner.emoji:
        text = _decorate(text, rng)
    return text.strip() or "?"


def _dress(text: str, manner: Manner, rng: random.Random) -> str:
    """`text` with a word before or after it that changes nothing."""
    if not text.isascii() or len(text) < 3 or rng.random() > manner.chatty:
        return text
    if rng.random() < 0.6:
        first = text if text.startswith(("I ", "I'")) else text[:1].lower() + text[1:]
        return f"{rng.choice(_LEAD_INS)} {first}"
    body, mark = (text[:-1], text[-1]) if text[-1] in ".!?" else (text, "")
    return f"{body}{rng.choice((',', ''))} {rng.choice(_TAGS)}{mark}"


def _replace(text: str, forms: dict[str, str]) -> str:
    padded = f" {text} "
    for form, short in forms.items():
        for mark in " ,.!?":
            padded = padded.replace(f" {form}{mark}", f" {short}{mark}")
    return padded.strip()


def _slip(text: str, rng: random.Random, kept: Collection[str]) -> str:
    """One letter wrong in a word of four letters or more."""
    words = text.split(" ")
    kept_text = " ".join(kept).lower()
    places = [i for i, w in enumerate(words) if len(w) > 3 and w.isalpha() and w.isascii()]
    places = [i for i in places if words[i].lower() not in kept_text]
    if not places:
        return text
    i = rng.choice(places)
    word, at = words[i], rng.randrange(1, len(words[i]) - 1)
    words[i] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + _NEIGHBOURS.get(word[at], word[at]) + word[at + 1 :],
        )
    )
    return " ".join(words)


def _decorate(text: str, rng: random.Random) -> str:
    if any("가" <= char <= "힣" for char in text):
        return f"{text}{rng.choice(_KOREAN_LAUGHTER)}"
    if rng.random() < 0.25:
        laughter = rng.choice(_LAUGHTER)
        return f"{laughter} {text}" if rng.random() < 0.4 else f"{text} {laughter}"
    return f"{text} {rng.choice(_EMOJI)}"
