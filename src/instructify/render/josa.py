"""Korean particles (josa) in the form that the word before them asks for.

The form depends on how the word ends when it is read aloud: in a vowel, in ㄹ, or in another consonant. Where
the reading cannot be told, both forms are written, as in 을(를).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from instructify.errors import nearest

Forms = tuple[str, str, str, str]
"""A particle after a vowel, after ㄹ, after another consonant, and after what cannot be told."""
VOWEL, RIEUL, CONSONANT, UNKNOWN = range(4)

PAIRS = (
    "은/는 이/가 을/를 과/와 아/야 이여/여 이다/다 이라/라 이라고/라고 이라는/라는 이라도/라도 이라서/라서 "
    "이라면/라면 이란/란 이랑/랑 이나/나 이며/며 이고/고 이든/든 "
    "이야/야 이니/니 이면/면 이지/지 이죠/죠 이에요/예요 이었/였"
)
"""Particles and forms of 이다 (to be), as they stand after a consonant and after a vowel."""


def _spellings(pairs: str) -> dict[str, Forms]:
    """Return the forms of every particle by each of its spellings; the first to have a spelling keeps it."""
    table = dict.fromkeys(("으로", "로", "(으)로", "으로/로"), ("로", "로", "으로", "(으)로"))
    for pair in pairs.split():
        after, bare = pair.split("/")
        both = f"({after[0]}){bare}" if after[1:] == bare else f"{after}({bare})"
        for spelling in (after, bare, both, pair):
            table.setdefault(spelling, (bare, after, after, both))
    return table


PARTICLES: Mapping[str, Forms] = _spellings(PAIRS)

TAIL = 64
"""How many characters at a word's end are looked at."""
HANGUL, SYLLABLES, CODAS = 0xAC00, 11_172, 28
BY_CODA = tuple(VOWEL if coda == 0 else RIEUL if coda == 8 else CONSONANT for coda in range(CODAS))


def josa(word: str, particle: str) -> str:
    """Return the word, without white space at its end, with the particle in the form that follows it.

    `particle` is any spelling in PARTICLES: 을, 를, 을(를) and 을/를 ask for the same.

    Raises:
        ValueError: there is no such particle.

    >>> josa("서울", "으로"), josa("1,000", "을"), josa("KBS", "은"), josa("「토지」", "이라")
    ('서울로', '1,000을', 'KBS는', '「토지」라')
    >>> josa("λ", "과")
    'λ과(와)'
    """
    forms = PARTICLES.get(particle)
    if forms is None:
        guess = nearest(particle, PARTICLES)
        raise ValueError(f"no particle {particle!r}" + (f"; did you mean {guess}?" if guess else ""))
    word = word.rstrip()
    place = ord(word[-1]) - HANGUL if word else -1
    return word + forms[BY_CODA[place % CODAS] if 0 <= place < SYLLABLES else last_sound(word)]


def last_sound(word: str) -> int:
    """Return how a word ends when it is read aloud: VOWEL, RIEUL, CONSONANT or UNKNOWN.

    Hangul may come in composed or decomposed form. Remarks in brackets, quotation marks and other punctuation
    at the end are passed over.
    """
    tail = unicodedata.normalize("NFC", word[-TAIL:])
    read = _without_marks(tail, REMARKS) or _without_marks(tail, {})
    if not read:
        return UNKNOWN
    last = read[-1]
    if last in SYMBOLS:
        return SYMBOLS[last]
    if "ㄱ" <= last <= "ㅣ":  # letters of Hangul, by their names: 기역 ... 리을 ... 히읗, 아 ... 이
        return RIEUL if last == "ㄹ" else VOWEL if last >= "ㅏ" else CONSONANT
    if 0 <= ord(last) - HANGUL < SYLLABLES:
        return _by_syllable(last)
    if not last.isascii():
        return UNKNOWN
    return _number(read) if last.isdigit() else _latin(read)


def _by_syllable(syllable: str) -> int:
    return BY_CODA[(ord(syllable) - HANGUL) % CODAS]


REMARKS = {")": "(", "]": "[", "}": "{"}
"""Brackets around what is said beside the word and not read: 서울(Seoul)은 is read 서울은."""
SYMBOLS = {
    **dict.fromkeys("%℃℉°$€£+&", VOWEL),
    **dict.fromkeys("㎚㎛㎜㎝㎞㎟㎠㎡㎢㎣㎤㎥㎦ℓ㎕㎖㎗㎘㏄㏊㎅㎆㎇㎐㎑㎒㎓㎸㎾㎿㎈㎉㎧㎱㎲㎳", VOWEL),
    **dict.fromkeys("₩㎍㎎㎏", CONSONANT),
    **dict.fromkeys("㎩㎪㎫㏈㏖", RIEUL),
}
"""Symbols by their usual reading: 퍼센트, 도, 달러, 유로, 파운드, 플러스, 앤드; 원; units as in UNITS."""
CURRENCIES = ("$", "€", "£", "₩")
"""Symbols that stand before a number and are read after it."""


def _without_marks(word: str, remarks: Mapping[str, str]) -> str:
    """Return the word as far as it is read: without punctuation and remarks at its end."""
    end = len(word)
    while end:
        last = word[end - 1]
        opening = word.rfind(remarks[last], 0, end) if last in remarks else -1
        if opening >= 0:
            end = opening
        elif last in SYMBOLS or (unicodedata.category(last)[0] not in "PZC" and last not in "<>~^`"):
            break
        else:
            end -= 1
    return word[:end]


DIGITS, TENS = "영일이삼사오육칠팔구", "십백천"
MYRIADS = "만억조경해자양구간정재극사기타의수"
"""The last syllables of the names of 10^4, 10^8 ... 10^68: 만, 억, 조, 경 ... 항하사 ... 무량대수."""
READ_ALIKE = "245"
"""Digits that end in a vowel both in Sino-Korean (이, 사, 오) and in English (투, 포, 파이브)."""
_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?\Z")


def _number(word: str) -> int:
    """Return the last sound of a number in Sino-Korean: of its last digit, or of its last unit, as in 천."""
    found = _NUMBER.search(word)
    assert found is not None  # noqa: S101  (the word ends in a digit)
    number, before = found[0], word[: found.start()]
    if before[-1:] in CURRENCIES:
        return SYMBOLS[before[-1]]
    if re.search(r"[0-9]/\Z", before):
        return UNKNOWN  # a date is read forwards, a fraction backwards
    if len(number) == 1 and re.search(r"[A-Za-z]\Z", before):
        return VOWEL if number in READ_ALIKE else UNKNOWN  # MP3 is read in English, but F3 may not be
    whole, point, _ = number.replace(",", "").partition(".")
    zeros = len(whole) - len(whole.rstrip("0"))
    if point or zeros in (0, len(whole)):
        return _by_syllable(DIGITS[int(number[-1])])
    if zeros < 4:
        return _by_syllable(TENS[zeros - 1])
    return _by_syllable(MYRIADS[zeros // 4 - 1]) if zeros // 4 <= len(MYRIADS) else UNKNOWN


LETTERS = {"l": RIEUL, "r": RIEUL, "m": CONSONANT, "n": CONSONANT}
"""Letters whose Korean names do not end in a vowel: 엘, 알, 엠, 엔."""
UNITS = {
    **dict.fromkeys("nm μm µm mm cm km ml mL dl dL kl kL ha KB MB GB TB".split(), VOWEL),
    **dict.fromkeys("Hz kHz MHz GHz kW MW kV cal kcal".split(), VOWEL),
    **dict.fromkeys("μg µg mg kg kt".split(), CONSONANT),
    **dict.fromkeys("mol px dB Pa hPa kPa MPa kJ MJ".split(), RIEUL),
}
"""Units as they are read: 미터, 리터, 헥타르, 바이트, 헤르츠, 와트, 볼트, 칼로리; 그램, 톤; 몰, 픽셀, 데시벨,
파스칼, 줄."""
NUMBERED = {
    **dict.fromkeys("m l L W V in".split(), VOWEL),
    **dict.fromkeys("g t".split(), CONSONANT),
    **dict.fromkeys("J mi".split(), RIEUL),
}
"""Units that are something else where no number stands before them; in is 인치, mi 마일."""
WHOLE = UNITS | dict.fromkeys("Mr Dr Jr Sr".split(), VOWEL)
"""What is read in full wherever it stands: units, and 미스터, 닥터, 주니어, 시니어."""
NAMES = {
    **dict.fromkeys("chile rome tibet ukraine naver".split(), VOWEL),
    **dict.fromkeys("europe munich philippines scott york".split(), CONSONANT),
    **dict.fromkeys("apec kosdaq line nasdaq opec postech samsung toeic".split(), CONSONANT),
    "toefl": RIEUL,
    "park": UNKNOWN,
}
"""Names not read as spelt, or as capitals would be: 칠레, 로마, 티베트, 우크라이나, 네이버; 유럽, 뮌헨,
필리핀, 스콧, 욕; 에이펙, 코스닥, 라인, 나스닥, 오펙, 포스텍, 삼성, 토익; 토플; 박 or 파크."""
ENDINGS = tuple(
    (re.compile(rf"(?:{pattern})\Z"), sound)
    for pattern, sound in (
        (r"le?", RIEUL),  # 호텔, 애플
        (r"ng|ngue|mb|[mn]e?|type", CONSONANT),  # 킹, 텅, 게임, 폰, 타입
        (r"ck|pp|ook|(?<![aeiou])[aeiou][ckp]|(?<![aeiou])[aou]t", CONSONANT),  # 록, 앱, 북, 뮤직, 챗
        (r"[aeiouy].*[^aeiou][ei]t", CONSONANT),  # 인터넷; but 세트, 비트 and 넷, 펫 among short words
        (r"[aeiou][kpt]|[bg]", UNKNOWN),  # 웹 and 허브, 백 and 블로그, 보트 and 풋
        (r"[a-z]", VOWEL),  # 버스, 테스트, 컴퓨터, 서비스; a final r is silent
    )
)
"""How English words end in Korean, by spelling, the first match counting; after the usage of loanwords."""


_LETTERS, _VOWELS = re.compile(r"([0-9]\s?)?([A-Za-zμµ]+)\Z"), re.compile("[aeiouy]")


def _latin(word: str) -> int:
    """Return the last sound of a unit, of a name, of an acronym's last letter, or of a word as spelt.

    Four capitals or more with a vowel may be a word: what the letter and the spelling say must be the same.
    """
    found = _LETTERS.search(word)
    if found is None:
        return UNKNOWN
    number, letters = found.groups()
    if number and letters in NUMBERED:
        return NUMBERED[letters]
    if letters in WHOLE:
        return WHOLE[letters]
    lower = letters.lower()
    if lower in NAMES:
        return NAMES[lower]
    by_letter = LETTERS.get(lower[-1], VOWEL)
    is_acronym = letters.isupper()
    if (is_acronym and len(letters) < 4) or not _VOWELS.search(lower if is_acronym else letters):
        return by_letter
    spelt = next(sound for ending, sound in ENDINGS if ending.search(lower))
    return spelt if spelt == by_letter or not is_acronym else UNKNOWN
