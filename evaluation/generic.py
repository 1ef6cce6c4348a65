"""Generic rate: replies that would fit under anything, because they are nothing but stock phrases.

The dull answers that neural dialogue models fall into (Li et al. 2016, arXiv:1510.03055,
section 1), as a list of our own, English and Korean. "I don't know, ask my sister" is not one.
"""

import re

from bot.dialogue.rouge import words
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share

_PHRASES = """
i dont know | i do not know | idk | i dunno | i have no idea | no idea | im not sure | i am not sure
i dont think so | i think so | i guess | i guess so | i suppose | i hope so | maybe | probably
im not sure what you mean | i dont know what you mean | i dont understand | what do you mean
i dont know what youre talking about | what are you talking about | i see | i see what you mean
i know | i know right | me too | me neither | same | same here | so do i | i agree | you too
thats good | thats great | thats nice | thats cool | thats awesome | thats a good one | thats true
that is good | that is great | that is nice | that is cool | that is awesome | that is true
thats a good idea | thats a good point | thats a good question | good point | good idea | nice one
good for you | im sorry | i am sorry | sorry | im sorry to hear that | sorry to hear that
thank you | thanks | thank you so much | thank you very much | youre welcome | no problem
yes | yeah | yep | no | nope | ok | okay | sure | of course | right | cool | nice | great | good
lol | haha | hahaha | oh | wow | hmm | well | really | why | what | how | interesting
im good | i am good | im fine | i am fine | im doing well | i am doing well | how are you
you are right | youre right | it is what it is | of course i do | yes i do | no i dont | i do | i am
im just kidding | just kidding | i was just kidding | i like it | i love it | i love you
모르겠어요 | 모르겠습니다 | 잘 모르겠어요 | 잘 모르겠네요 | 글쎄요 | 그래요 | 그렇군요 | 그렇네요
네 | 예 | 아니요 | 응 | 좋아요 | 좋네요 | 맞아요 | 감사합니다 | 고마워요 | 죄송해요 | 죄송합니다
저도요 | 저도 그래요 | 그럴 수도 있죠 | 그럴 수 있어요 | 그럴 거예요 | 아 그렇군요 | 정말요
"""
_STOCK = sorted(
    (" ".join(words(phrase)) for phrase in re.split(r"[|\n]", _PHRASES.strip())),
    key=len,
    reverse=True,
)
# From the start, phrase by phrase; the longest ones are tried first.
_ONLY_STOCK = re.compile(f"(?:(?:{'|'.join(map(re.escape, _STOCK))})(?: |$))+")


def generic() -> Share:
    """Share of the replies that consist of stock phrases alone."""
    return Share(Facts("generic", "Generic", Better.LOWER, "%", 1), _is_generic)


def _is_generic(item: Item) -> tuple[float, float]:
    return _ONLY_STOCK.fullmatch(" ".join(words(item.completion))) is not None, 1
