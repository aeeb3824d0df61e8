"""Korean particles: a table of words, agreement with tossi, every spelling, and one result on all paths."""

from __future__ import annotations

import doctest
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compiled_kit import compare, make
from instructify.render import josa as module
from instructify.render.filters import MAX_MARKS
from instructify.render.josa import PAIRS, PARTICLES, TAIL, UNKNOWN, VOWEL, josa, last_sound

TABLE = """
Hangul syllables
    사과|을|를 귤|을|을 집|을|을 나무|은|는 사람|은|은 물|은|은 학교|이|가 책|이|이 딸|이|이 친구|과|와
    형|과|과 서울|과|과 부산|으로|으로 대구|으로|로 서울|으로|로 강릉|으로|으로 제주|로|로 전철|로|로
    값|을|을 닭|이|이 여덟|은|은 삶|과|과 민수|아|야 영희|야|야 지훈|아|아 달|아|아 그대|이여|여
    임|여|이여 의사|이다|다 학생|다|이다 감자|이라|라 귀신|이라|이라 바다|이란|란 삶|란|이란
    언니|이랑|랑 동생|랑|이랑 우유|이나|나 빵|나|이나 시|이며|며 산|며|이며 하나|이고|고 둘|이고|이고
    배|이든|든 말|이든|이든 너|이야|야 산|이야|이야 차|이니|니 물|이니|이니 나|이면|면 꿈|이면|이면
    파도|이지|지 별|이지|이지 누구|이죠|죠 것|이죠|이죠 여기|이에요|예요 집|이에요|이에요
    바다|이라고|라고 별|라고|이라고 사과|이라는|라는 귤|라는|이라는 차|이라도|라도
    물|라도|이라도 나무|이라서|라서
    봄|라서|이라서 비|이라면|라면 눈|라면|이라면
    서울|예요|이에요 가수|이었|였 달|였|이었 ㄱ|이|이 ㄹ|로|로 ㅏ|을|를
Numbers in Sino-Korean
    0|을|을 1|은|은 1|으로|로 2|가|가 3|이|이 4|을|를 5|은|는 6|과|과 7|으로|로 8|로|로 9|와|와 10|을|을
    20|으로|으로 100|은|은 300|로|으로 1000|이|이 1,000|을|을 4,500|과|과 10000|은|은 250,000|을|을
    100000000|을|을 1000000000000|을|를 30,000,000,000,000|가|가 10000000000000000|을|을
    100000000000000000000|을|를 12|을|를 105|는|는 2024|이|가 1999|을|를 007|으로|로 00|을|을 3.14|를|를
    1.5|은|는 2.0|은|은 0.1|로|로 7.10|을|을 1.000000000000|을|을 2,3|을|을 1.2.5|를|를 -4|을|를
    1/2|을|을(를) 3/4|으로|(으)로
Numbers with units and symbols
    5kg|을|을 300g|은|은 10km|을|를 3m|로|로 20cm|은|는 500ml|을|를 2L|는|는 8GB|을|를 60Hz|이|가
    500kcal|을|를 10dB|를|을 1009hPa|를|을 5J|를|을 5in|을|를 3mi|를|을 5nm|는|는 7μg|은|은 1,500㎞|을|를
    ㎏|로|으로 84㎡|은|는 70㏈|를|을 5㎾|은|는 kPa|으로|로
    16px|로|로 2mol|을|을 kg|은|은 mg|을|을 km|은|는 cm|을|를 px|로|로 g|은|는
    m|은|은 L|로|로 50%|을|를 36℃|로|로 90°|은|는 10$|을|를 $3|을|를 €10|을|를 ₩5|을|을 A+|을|를
Latin letters by their names
    A|을|를 F|을|를 L|을|을 M|은|은 N|이|이 R|으로|로 S|와|와 X|를|를 Z|는|는 x|을|를 n|을|을 KBS|은|는
    LG|이|가 URL|로|로 USB|을|를 DNA|를|를 AI|와|와 CCTV|은|는 IBM|이|이 CNN|으로|으로 SNS|을|를
    PDF|로|로 tvN|은|은 html|으로|로 J|을|를
Four capitals and more, letters or a word
    NASA|이|가 UNESCO|은|는 OECD|와|와 ASEAN|은|은 HTML|으로|로 ABBA|이|가 GOOGLE|이|이(가) IDOL|은|은
    MARVEL|를|을 HOUSE|은|는 CENTER|은|은(는) PHONE|이|이(가)
Titles
    Mr.|을|를 Dr.|은|는 Jr|와|와 MR|을|을
Latin words by their spelling
    Google|이|이 Apple|으로|로 email|을|을 Seoul|로|로 hotel|은|은 game|을|을 Chrome|으로|으로
    iPhone|은|은 Python|을|을 Instagram|이|이 King|과|과 YouTube|을|를 Android|로|로 server|을|를
    software|을|를 code|은|는 page|로|로 bus|이|가 box|을|를 test|은|는 desk|을|를 camp|로|로 Sony|이|가
    Java|와|와 app|을|을 cup|은|은 Facebook|은|은 music|을|을 stock|이|이 chat|으로|으로 robot|은|은
    tongue|를|을 league|는|는 in|은|은
    internet|을|을 type|으로|으로 web|을|을(를) blog|은|은(는) bit|이|이(가) boat|로|(으)로
Names that are not read as they are spelt
    York|은|은 YORK|을|을 Europe|은|은 Munich|이|이 Scott|과|과 Rome|은|는 Chile|을|를 Ukraine|로|로
    NAVER|을|를 SAMSUNG|를|을 LINE|를|을 NASDAQ|를|을 KOSDAQ|은|은 APEC|를|을 TOEFL|으로|로 TOEIC|이|이
    Tibet|이|가 Park|은|은(는) Yorker|은|는
Letters and digits together
    A4|를|를 G20|을|을 F-16|은|은 B52|를|를 K5|는|는 MP3|을|을(를) K9|과|과(와) 5G|을|를 3D|로|로
    iOS17|은|은
What is passed over at the end
    "서울"|을|을 '사과'|은|는 「토지」|을|를 『무정』|은|은 《기생충》|이|이 〈아리랑〉|로|으로
    <시>|이라|라 (가)|을|를 [집]|으로|으로 서울(Seoul)|로|로 김구(金九)|은|는 세종[1]|과|과
    대구(2)(3)|을|를 안녕!|을|을 뭐?|이라|라 그래서...|을|를 끝.|이라|이라 (서울|로|로 ()|을|을(를)
    10%(약)|을|를 좋아^^|을|를
What cannot be told
    λ|을|을(를) 中|은|은(는) кот|이|이(가) 東京|으로|(으)로 ½|과|과(와) café|아|아(야) 😀|이여|(이)여
    ...|이다|(이)다 ①|이라|(이)라 あ|이에요|이에요(예요) ④|이었|이었(였)
"""
CASES = [tuple(case.split("|")) for line in TABLE.splitlines() if line[:1] == " " for case in line.split()]
SPACED = [
    ("", "을", "을(를)"),
    ("  ", "으로", "(으)로"),
    ("Los Angeles", "으로", "로"),
    ("New York", "은", "은"),
    ("Hot Dog", "이", "이(가)"),
    ("5 km", "를", "를"),
    ("박 씨 (의사)", "은", "는"),
    ("“이순신 장군”", "이", "이"),
]


def test_the_table_is_long_and_says_each_thing_once():
    assert len(CASES) + len(SPACED) >= 220
    assert len({*CASES}) == len(CASES)
    assert {particle for _, particle, _ in CASES} >= {pair.split("/")[0] for pair in PAIRS.split()}


@pytest.mark.parametrize(("word", "particle", "form"), CASES + SPACED)
def test_a_particle_takes_the_form_of_the_table(word, particle, form):
    assert josa(word, particle) == word.rstrip() + form


@pytest.mark.parametrize(("word", "particle", "form"), CASES)
def test_decomposed_words_take_the_same_particles(word, particle, form):
    apart = unicodedata.normalize("NFD", word)
    assert josa(apart, particle) == apart + form


def test_the_example_in_the_documentation_is_so():
    assert doctest.testmod(module).failed == 0


def test_white_space_at_the_end_of_a_word_is_dropped():
    assert josa("귤 \n", "을") == "귤을"
    assert josa(" 귤", "을") == " 귤을"


def test_every_spelling_of_a_particle_gives_the_same():
    assert len(PARTICLES) > 80
    for word in ("사과", "귤", "집", "λ"):
        for pair in [*PAIRS.split(), "으로/로"]:
            after, bare = pair.split("/")
            found = {josa(word, spelling) for spelling in (after, pair)}
            assert len(found) == 1
            if bare not in ("야",):
                assert josa(word, bare) in found
    assert josa("철수", "야") == josa("철수", "아")  # the short 야 calls somebody


@pytest.mark.parametrize("particle", ["의", "에서", "", "을를", " 을", "eul"])
def test_what_is_no_particle_of_two_forms_is_refused(particle):
    with pytest.raises(ValueError, match="no particle"):
        josa("집", particle)


@given(st.text(max_size=80), st.sampled_from(sorted(PARTICLES)))
@example("(" * 70 + ")" * 70, "을")
@example("가" * 100 + ")" * TAIL, "을")
def test_any_text_takes_one_of_the_forms_of_its_particle(word, particle):
    assert josa(word, particle) in {word.rstrip() + form for form in PARTICLES[particle]}
    assert last_sound(word) in range(4)


@given(st.text("가각갈ab1.()[]「」\"' ", max_size=30))
def test_what_stands_before_the_last_words_does_not_matter(word):
    long = "나" + "\n " * TAIL + word
    assert last_sound(long) == last_sound(word) or last_sound(word) == UNKNOWN


@given(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))
def test_a_syllable_without_a_coda_ends_in_a_vowel(syllable):
    assert (last_sound(syllable) == VOWEL) == (len(unicodedata.normalize("NFD", syllable)) == 2)


# tossi


def by_tossi(word: str, particle: str) -> str:
    tossi = pytest.importorskip("tossi", reason="tossi, from the extra dev, is not installed")
    return str(tossi.postfix(word, particle))


HANGUL = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=6)
# tossi takes larger numbers for decimals in scientific notation, and loses their last digits
DIGITS = st.from_regex(r"\A[0-9]{1,15}\Z|\A[1-9]0{1,60}\Z|\A[0-9]{1,12}\.[0-9]{1,6}\Z")
SHARED = ("은", "이", "을", "과", "으로", "이다", "이라", "이란", "이랑", "이나", "이며", "이에요")
SHARED += ("이라고", "이라는", "이라도", "이라서", "이라면")


@settings(max_examples=600, deadline=None)
@given(st.one_of(HANGUL, DIGITS, st.builds("".join, st.tuples(HANGUL, DIGITS))), st.sampled_from(SHARED))
def test_hangul_and_digits_take_the_particles_that_tossi_gives_them(word, particle):
    assert josa(word, particle) == by_tossi(word, particle)


def test_every_syllable_and_every_number_below_3000_agrees_with_tossi():
    seen = 0
    words = [*map(chr, range(0xAC00, 0xD7A4)), *map(str, range(3000))]
    for word in words:
        for particle in ("을", "으로"):
            seen += 1
            assert josa(word, particle) == by_tossi(word, particle)
    assert seen == 2 * (11_172 + 3000)


# the filters


WORDS = [*dict.fromkeys(word for word, _, _ in CASES + SPACED), " 귤 ", "e\u0301", "각", None]


@pytest.mark.parametrize("dialect", ["strict", "promptsource"])
@pytest.mark.parametrize(
    "body",
    [
        "{{ word | josa('을') }} ||| {{ word | josa('(으)로') }}서",
        "{{ n | josa('이') }}{{ real | josa('은') }} ||| {{ word | nfc | josa('과') }}",
        "{% for w in words %}{{ w | josa('이랑') }} {% endfor %} ||| {{ words | map('josa', '과') | join }}",
        "{{ word | josa(word) }} ||| a",
        "{{ word | josa('의') }} ||| a",
        "{{ (word | josa('을')) ~ n }} ||| {{ word | trim | nfc | upper }}",
    ],
)
def test_the_filters_give_the_same_on_every_path(dialect, body):
    table = pa.table(
        {
            "word": WORDS,
            "n": [None if i % 7 == 6 else i * 10 for i in range(len(WORDS))],
            "real": [i / 4 for i in range(len(WORDS))],
            "words": [[word or "", str(i)] for i, word in enumerate(WORDS)],
        }
    )
    compare(make(body, dialect), table)


def outcomes(body, *words):
    return compare(make(body, "strict"), pa.table({"word": pa.array(words, pa.string())}))


def test_the_filter_prints_the_word_with_its_particle():
    found = outcomes("{{ word | josa('을') }} ||| {{ word | josa('이라') }}고", "사과", "귤")
    assert [each[:2] for each in found] == [("사과를", "사과라고"), ("귤을", "귤이라고")]


def test_a_null_and_an_unknown_particle_drop_the_row():
    assert outcomes("a {{ word | josa('을') }} ||| a", None, "귤")[0] == "none-printed"
    assert outcomes("a {{ word | josa('의') }} ||| a", "귤") == ["value-error"]


def test_nfc_composes_hangul_and_leaves_the_rest():
    apart = unicodedata.normalize("NFD", "각하, 안녕! é")
    assert outcomes("a {{ word | nfc }} ||| a", apart, "plain")[0][0] == "a 각하, 안녕! é"
    assert outcomes("a {{ word | nfc }} ||| a", "plain")[0][0] == "a plain"


def test_nfc_refuses_runs_of_marks_that_would_take_too_long():
    body = "a {{ word | nfc }} ||| a"
    fine, long = ("a" + "\u0316\u0301" * (count // 2) for count in (MAX_MARKS, MAX_MARKS + 2))
    assert isinstance(outcomes(body, fine)[0], tuple)
    assert outcomes(body, long, long * 1000, ("a" + "\u0301\u0316" * MAX_MARKS) * 10) == ["over-budget"] * 3
