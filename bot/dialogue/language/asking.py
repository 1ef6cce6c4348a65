"""Who asks for something, who asks to be repeated and who answers, in English and in Korean."""

import re

_MAX_TEXT = 4000  # code points that are looked at
_FIRST = (
    r"(?:(?:oh|hey|hi|hello|there|so|and|but|ok|okay|well|now|then|please|pls|just|um|hmm?)\b\W*)*"
)
_SUBJECT = r"(?:i|you|we|they|he|she|it|there|this|that|these|those|the|my|your|any\w*|some\w*)\b"
_YES_OR_NO = re.compile(
    rf"{_FIRST}(?:(?:is|are|was|were|does|did|can|could|would|should)(?:n['’]?t)?\s+\w"
    rf"|(?:do|have|has|had|am|will|may|might|must)(?:n['’]?t)?\s+{_SUBJECT})",
    re.IGNORECASE,
)
# Not "What a day" and "When I was young".
_OPEN = re.compile(
    rf"{_FIRST}(?:(?:what|who|where|when|why|how|which|whose)(?:['’]?s|['’]re)?\s+"
    r"(?!(?:i|you|we|they|he|she|it|a|an)\b)\w"
    r"|(?:tell|give|show) me\b|let me know\b"
    r"|(?:name|list|explain|describe|translate|spell|guess)\b)",
    re.IGNORECASE,
)
_KOREAN = re.compile(
    r"뭐|뭘|뭔|무엇|무슨|어디|어딜|누구|누가|언제|왜|어떻게|어때|어떤|어느|몇|얼마|며칠"
    r"|(?:니|냐|나요|까요?|[은는던]가요?)[\s.~…]*\Z"
    r"|(?:말|알려|가르쳐|설명|추천|소개|번역|골라)\s*해?\s*(?:줘|주세요|줄래|주실래|봐|달라)"
)
_REPEAT = re.compile(
    rf"{_FIRST}(?:(?:can|could|will|would) you\s+)?(?:please\s+)?(?:repeat|say|echo|copy|recite)\b"
    r"|.{0,80}\brepeat after me\b"
    r"|.*(?:따라\s*(?:해|하|말|읽)|반복\s*해|그대로\s*말|다시\s*(?:한\s*번\s*)?말|라고\s*(?:말\s*)?해)",
    re.IGNORECASE | re.DOTALL,
)
_CHOICE = re.compile(r"\bor\b|아니면|또는|혹은", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?:yes|yeah|yep|yup|no|nope|nah|sure|of course|응|어|네|넵|예|아니요?|아뇨|그럼요?|맞아요?)"
    r"(?!\w)\W*",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[^.!…。！,;:\n]+")
_FIRST_SENTENCE = re.compile(r"[^.!?…。！？\n]*[.!?…。！？]?")


def asks(text: str) -> bool:
    """Whether `text` asks for something: a question, with its sign or without, or a request."""
    seen = text[:_MAX_TEXT].strip()
    if "?" in seen or "？" in seen:
        return True
    clauses = [clause.strip() for clause in _CLAUSE.findall(seen)]
    return any(
        pattern.match(clause) for clause in clauses for pattern in (_OPEN, _YES_OR_NO)
    ) or any(map(_KOREAN.search, clauses))


def asks_whether(text: str) -> bool:
    """Whether `text` begins with a question that yes or no answers; in English only."""
    return _YES_OR_NO.match(text.strip()) is not None


def asks_to_repeat(text: str) -> bool:
    """Whether `text` asks for words that were said, its own or earlier ones."""
    return _REPEAT.match(text[:_MAX_TEXT].strip()) is not None


def offers_choice(text: str) -> bool:
    """Whether `text` names things of which one is to be chosen."""
    return _CHOICE.search(text) is not None


def says_yes_or_no(text: str) -> bool:
    """Whether `text` begins with yes or no and then says something, and does not ask it."""
    answer = _ANSWER.match(text.strip())
    return answer is not None and states(text.strip()[answer.end() :])


def states(text: str) -> bool:
    """Whether the first sentence of `text` says something and does not ask it."""
    first = _FIRST_SENTENCE.match(text.strip())
    return first is not None and first.group().strip() != "" and not asks(first.group())
