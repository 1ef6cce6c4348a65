"""The words of a text that mean something, without their endings, in English and in Korean.

"I have exams" and "You have an exam" are the same here, and so are "피곤해요" and "피곤하시군요".
Rules instead of a dictionary: two words may be taken for one, seldom one word for two.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence


def _listed(text: str) -> list[str]:
    return text.split()


# As bot.dialogue.rouge.words writes them: "don't" is "dont".
_GRAMMAR = frozenset(
    _listed("""
    i me my mine myself im ive ill id we us our ours weve well wed you your yours yourself youre
    youve youll youd he him his hes she it its her hers shes they them their theirs theyre theyve
    a an the this that these those thats there theres here and or but if so as than because of at
    by for from in into on onto to with about up out over
    am is are was were be been being do does did done doing have has had having can could will
    would shall should may might must get gets got
    not no dont doesnt didnt isnt arent wasnt werent cant cannot couldnt wont wouldnt shouldnt
    havent hasnt hadnt
    """)
)
# What a sentence can do without, and what another's sentence is taken up with.
_FILLERS = frozenset(
    _listed("""
    oh ah aw um uh hm hmm eh wow hey haha lol yes yeah yep yup nope nah ok okay right sure alright
    then now just really very quite too also either again still even only actually usually
    much lot lots indeed certainly definitely probably maybe perhaps please thanks
    see know mean think thought guess say says said saying hear heard understand believe suppose
    sounds seems
    """)
)
_KOREAN_GRAMMAR = _listed("""
    나 난 내 너 넌 네 저 전 제 우리 저희 너희 당신 그 이 그것 이것 그거 이거 거 것 게
    응 어 네 예 아니 아 오 음 와 우와 그래 그렇 그럼 그리고 근데 그런데 그래서
    정말 진짜 참 아주 너무 무척 매우 좀 조금 막 또 다시 있
""")

# The longest first; a letter alone is the end of a syllable.
_KOREAN_ENDINGS = _listed("""
    으로 에서 에게 한테 까지 부터 처럼 보다 하고 이랑 이나 라고 다고 이야 예요 에요 이다
    은 는 이 가 을 를 에 께 로 랑 와 과 도 만 의 야
    습니다 ㅂ니다 는군요 는구나 군요 구나 네요 거든요 는데요 지요 세요 어요 아요 여요 는데 은데 니까
    거든 려고 는다 ㄴ다 군 네 지 죠 다 어 아 여 요 고 며 면 서 게 겠 었 았 셨 시 신 실 으
    했 하 해 한 할 함 합
""")
_CODAS = str.maketrans("ㄴㄹㅂㅆ", "\u11ab\u11af\u11b8\u11bb")
_LOST_CODA = re.compile("[\u11ab\u11af\u11b8\u11bb]\\Z")  # 가다 갔, 힘들다 힘드
_ENDING = re.compile(
    "(?:"
    + "|".join(
        sorted(
            (unicodedata.normalize("NFD", one.translate(_CODAS)) for one in _KOREAN_ENDINGS),
            key=len,
            reverse=True,
        )
    )
    + r")\Z"
)
# Before -어 vowels melt together: 보아 봐, 배우어 배워, 마시어 마셔, 되어 돼.
_OPEN_VOWELS = str.maketrans("\u116a\u116f\u1167\u116b", "\u1169\u116e\u1175\u116c")
_LOST_VOWEL = re.compile("[\u1161\u1162\u1165\u1173]\\Z")  # 아프다 아파, 하다 해
_MIN_STEM = 2  # letters: a syllable
_QUESTION_WORD = re.compile(
    "what|which|who|whom|whose|where|when|why|how"
    "|뭐|뭘|무엇|무슨|어디|누구|누가|언제|왜|어떻게|어때|어떤|어느|몇|얼마|며칠"
)
_LATIN = re.compile("[a-z]+")


def content_words(words: Sequence[str]) -> list[str]:
    """What of `words`, which are those of bot.dialogue.rouge.words, means something, as stems."""
    return [stem for stem in map(_stem, words) if stem]


def question_words(words: Sequence[str]) -> set[str]:
    """What `words` ask for."""
    return {found.group() for word in words if (found := _QUESTION_WORD.match(word))}


def _stem(word: str) -> str:
    """`word` without its ending; empty where it means nothing by itself."""
    if word in _GRAMMAR or word in _FILLERS:
        return ""
    if _LATIN.fullmatch(word):
        return _english_stem(word)
    if "가" <= word[-1] <= "힣":
        stem = _korean_stem(word)
        return "" if stem in _KOREAN_GRAMMAR_STEMS else stem
    return word


def _english_stem(word: str) -> str:
    for ending, rest, least in (("ies", "y", 5), ("ing", "", 6), ("ed", "", 5), ("s", "", 4)):
        if len(word) >= least and word.endswith(ending) and not word.endswith("ss"):
            word = word.removesuffix(ending) + rest
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]  # stopped, running
    return word.removesuffix("e") if len(word) > 3 else word


def _korean_stem(word: str) -> str:
    letters = unicodedata.normalize("NFD", word)
    while len(shorter := _ENDING.sub("", letters)) >= _MIN_STEM and shorter != letters:
        letters = shorter
    letters = _LOST_CODA.sub("", letters)
    opened = letters[:-1] + letters[-1].translate(_OPEN_VOWELS)
    return _LOST_VOWEL.sub("", opened)


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_korean_stem, words))


_KOREAN_GRAMMAR_STEMS = _stems(_KOREAN_GRAMMAR)
