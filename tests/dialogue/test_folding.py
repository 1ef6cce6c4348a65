"""However a blocked word is written, it is found; and what only looks like one is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.blocked import is_blocked
from bot.dialogue.folding import fold, readings


@pytest.mark.parametrize(
    "text",
    [
        "FUCK",
        "what the fuck?",
        "f u c k",
        "I f u c k u",
        "F U C K  Y O U",
        "f.u.c.k",
        "f-u-c-k you",
        "f_u_c_k",
        "f. u. c. k.",
        "f'u'c'k",
        "fu.ck",
        "sh*it",
        "f😀u😀c😀k",
        "f\nu\nc\nk",
    ],
)
def test_blanks_and_signs_between_letters_are_passed_over(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    "text",
    [
        "sh1t",
        "$h!t",
        "5h1t",
        "5hit!",
        "s h 1 t",
        "b1tch",
        "b!tch",
        "wh0re",
        "s1ut",
        "s|ut",
        "n1gg3r",
        "@sshole",
        "4sshole",
        "a$$hole",
        "fa99ot",
        "8itch",
        "cun7",
    ],
)
def test_signs_and_digits_are_read_as_letters(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    "text", ["fuuuuck", "FFFUUUCCCKKK", "shiiiiit", "asssshole", "f" * 99 + "uck"]
)
def test_repeated_letters_are_one(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    "text",
    [
        "fu\u200bck",
        "f\u200du\u2060c\ufeffk",
        "fu\u00adck",
        "f\u034fuck",
        "fu\u3164ck",
        "f\u0336u\u0336c\u0336k\u0336",
        "fü\u0308ck",
        "çünt",
        "fu\ufe0fck",
    ],
)
def test_invisible_characters_and_marks_are_left_out(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("fuсk", "a Cyrillic letter"),
        ("ѕһіt", "all but one Cyrillic"),
        ("fυck", "a Greek letter"),
        ("ＦＵＣＫ", "full width"),
        ("𝓯𝓾𝓬𝓴", "mathematical script"),
        ("𝖋𝖚𝖈𝖐", "mathematical black letter"),
        ("𝕗𝕦𝕔𝕜", "mathematical double-struck"),
        ("ⓕⓤⓒⓚ", "circles"),
        ("🅵🆄🅲🅺", "boxes"),
        ("🅕🅤🅒🅚", "disks"),
        ("🇫🇺🇨🇰", "flags"),
        ("ꜰᴜᴄᴋ", "small capitals"),
        ("ƒuck", "a florin sign"),
        ("ᶠᵘᶜᵏ", "raised letters"),
        ("CUNΤ", "a Greek capital"),
    ],
)
def test_lookalikes_are_read_as_the_letter_they_look_like(text: str, how: str) -> None:
    assert is_blocked(text), how


@pytest.mark.parametrize(
    "text",
    [
        "class assassin cocktail Scunthorpe Penistone Essex",
        "pass the bass, embarrassing grass",
        "raccoon, cocoon, tycoon",
        "Dick Van Dyke and Moby Dick",
        "snigger, niggle, Niger, Nigeria",
        "cucumber, document, scum, circumstance",
        "therapist, grape, drape",
        "shiitake, Matsushita",
        "Hancock, peacock, cockpit, shuttlecock",
        "spice, despicable, conspicuous",
        "Pakistan, packing",
        "flame retardant",
        "who're you? she'll, he'll",
        "push it, hash it, this hit",
        "a Galaxy A55 at 4:55, 455 km, 5 5 5",
        "S H I P, F A Q, U S A, A B C",
        "c l a s s",
        "it's a maine coon cat, magna cum laude",
        "Fukuoka, Fukui",
        "100% a4 4th 1st mp3 b4 l8r",
    ],
)
def test_ordinary_words_are_no_alarm(text: str) -> None:
    assert not is_blocked(text)


@pytest.mark.parametrize(
    "text",
    [
        "시발",
        "이 시발놈아",
        "아시발",
        "시발ㅋㅋㅋ",
        "병신아",
        "병신은 병신이다",
        "개새끼들이",
        "개병신",
        "ㅅㅣㅂㅏㄹ",
        "ㅅㅣㅂㅏㄹ 진짜",
        "ㅅ ㅣ ㅂ ㅏ ㄹ",
        "시바ㄹ",
        "씨ㅂㅏㄹ",
        "ㅅㅂ",
        "아ㅅㅂ",
        "ㅅㅂㅋㅋ",
        "ㅅ ㅂ",
        "ㅅ.ㅂ",
        "ㅄ",
        "시 발",
        "야 이 개 새 끼 야",
        "시1발",
        "시.발",
        "시~발",
        "병😀신",
        "시\u200b발",
        "씨\u3164발",
        "씨이이발",
        "시바아알",
        "시발시발시발",
        "\u1109\u1175\u1107\u1161\u11af",
        "\uffb5\uffdc\uffb2\uffc2\uffa9",
        "tlqkf",
    ],
)
def test_korean_is_found_however_it_is_set(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    "text",
    [
        "시발점은 서울역이다",
        "시발역에서 만나요",
        "오전 8시발 열차",
        "다시발견했어요",
        "도시 발전",
        "역시 발이 빨라",
        "민수 씨 발 다쳤어요?",
        "새끼손가락을 다쳤어요",
        "새끼 고양이가 귀여워요",
        "우리 개가 새끼를 낳았어요",
        "조직, 조정, 조지 워싱턴",
        "병이 신기하게 나았어요",
        "병원에 신청했어요",
        "없었어요 있습니다",
        "시바견을 키워요",
        "음식을 꼭꼭 씹어요",
        "자지 마세요, 보지 마세요",
        "ㅋㅋㅋ ㅎㅎ ㅠㅠ ㅇㅇ ㄴㄴ ㄱㅅ ㅇㅋ",
        "3개년 계획",
        "미친 듯이 웃었어요",
        "지난해",
    ],
)
def test_ordinary_korean_is_no_alarm(text: str) -> None:
    assert not is_blocked(text)


disguises = st.lists(
    st.sampled_from(["\u200b", "\u2060", "\u0301", "\ufe0f", "\u00ad", ""]), min_size=8, max_size=8
)


@given(
    st.sampled_from(["fuck", "bitch", "asshole", "cunt", "faggot", "kys"]),
    disguises,
    st.integers(1, 6),
    st.booleans(),
)
def test_a_listed_word_is_found_under_many_disguises_at_once(
    word: str, marks: list[str], repeats: int, is_wide: bool
) -> None:
    letters = [chr(ord(char) + 0xFEE0) if is_wide else char for char in word]
    text = "".join(char * repeats + marks[i % 8] for i, char in enumerate(letters))
    assert is_blocked(f"so, {text}?")


@given(st.text(st.characters(), max_size=60) | st.text("ab1!. ㅅㅣㅂㅏㄹ시발이𝓯", max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    assert is_blocked(text) in {True, False}
    assert fold(fold(text)) == fold(text)
    assert len(set(readings(text))) == len(list(readings(text)))


@pytest.mark.parametrize(
    "unit", ["a", "f ", "fu", "1!", "시 ", "개", "이야", "ㅅ", "-a", "씨이", "a\u0301"]
)
def test_a_very_long_reply_is_read_in_time(unit: str) -> None:
    assert not is_blocked(unit * 20_000)
