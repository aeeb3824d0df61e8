"""Two Korean datasets: product reviews, and inference over short sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructify.world.draws import Draws

_PARTICLES: Mapping[str, tuple[str, str]] = {
    # name: (after a final consonant, after a vowel)
    "이": ("이", "가"),
    "은": ("은", "는"),
    "을": ("을", "를"),
    "과": ("과", "와"),
}


def final(word: str) -> int:
    """Return the number of the last syllable's final consonant; 0 means it ends in a vowel, 8 is rieul."""
    return (ord(word[-1]) - 0xAC00) % 28


def with_particle(word: str, particle: str) -> str:
    """Return the word with the form of the particle (이, 은, 을, 과 or 으로) that its last sound asks for."""
    if particle == "으로":
        return word + ("로" if final(word) in (0, 8) else "으로")
    after_consonant, after_vowel = _PARTICLES[particle]
    return word + (after_consonant if final(word) else after_vowel)


NAMES = ("민지", "서준", "하늘", "도윤", "은별", "가람", "지호", "수빈", "태양", "보라", "한결", "미르")
SHOPS = ("빵집", "찻집", "반찬 가게", "시장", "분식집", "과수원", "떡집", "국숫집")
FOODS = ("빵", "국수", "사과", "떡", "김밥", "배", "만두", "감자", "꿀", "수박", "된장국", "호떡")
TOWNS = ("솔마을", "강나루", "달고개", "은골", "바람재", "꽃내", "너른들", "구름섬")
DAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
PETS = ("고양이", "강아지", "토끼", "염소", "오리", "닭", "거위", "양")

_GOOD = (
    "정말 맛있었어요",
    "아주 신선했어요",
    "기대보다 훨씬 좋았어요",
    "양이 넉넉했어요",
    "향이 참 좋았어요",
)
_BAD = (
    "너무 맛없었어요",
    "하나도 신선하지 않았어요",
    "기대보다 훨씬 나빴어요",
    "양이 너무 적었어요",
    "냄새가 이상했어요",
)
_SERVICE_GOOD = ("주인이 친절했어요", "값이 알맞았어요", "가게가 깨끗했어요", "금방 나왔어요")
_SERVICE_BAD = ("주인이 무뚝뚝했어요", "값이 터무니없이 비쌌어요", "가게가 지저분했어요", "한참을 기다렸어요")
_AGAIN = ("또 가고 싶어요.", "친구에게도 권할래요.", "덕분에 하루 종일 즐거웠어요.")
_NEVER = ("다시는 안 갈래요.", "돈이 아까웠어요.", "하루를 망친 기분이에요.")


def review(d: Draws) -> dict[str, Any]:
    """Return one review of something eaten, in Korean."""
    label = d.below(2)
    food, shop, town = d.pick(FOODS), d.pick(SHOPS), d.pick(TOWNS)
    opener = d.pick(
        (
            f"{d.pick(DAYS)}에 {town} {shop}에서 {with_particle(food, '을')} 먹었어요.",
            f"{with_particle(d.pick(NAMES), '과')} 함께 {town} {shop}에 갔어요.",
            f"{town}에 있는 {shop}에서 {with_particle(food, '을')} 샀어요.",
            f"{with_particle(d.pick(NAMES), '이')} {town} {shop}에서 {with_particle(food, '을')} 사 줬어요.",
        )
    )
    parts = [opener, f"{with_particle(food, '은')} {d.pick(_GOOD if label else _BAD)}."]
    if d.chance(70):
        parts.append(f"{d.pick(_SERVICE_GOOD if label else _SERVICE_BAD)}.")
    if d.chance(50):
        parts.append(d.pick(_AGAIN if label else _NEVER))
    return {"text": " ".join(parts), "label": label}


# deeds as (object, past verb, a more general saying that follows, a saying that cannot hold as well)
_DEEDS = (
    (FOODS, "먹었다", "음식을 먹었다", "아무것도 먹지 않았다"),
    (FOODS, "샀다", "물건을 샀다", "아무것도 사지 않았다"),
    (PETS, "돌보았다", "동물을 돌보았다", "동물을 한 마리도 돌보지 않았다"),
    (PETS, "그렸다", "동물을 그렸다", "아무것도 그리지 않았다"),
)
_EXTRA = (
    "비 오는 날이었다",
    "기분이 좋았다",
    "혼자 산다",
    "노래를 좋아한다",
    "내일 이사를 간다",
    "키가 크다",
)


def entail(d: Draws) -> dict[str, Any]:
    """Return one premise and hypothesis in Korean; labels are 함의, 중립, 모순."""
    label = d.below(3)
    objects, verb, general, denial = d.pick(_DEEDS)
    name, town, thing = d.pick(NAMES), d.pick(TOWNS), d.pick(objects)
    who, what, day = with_particle(name, "은"), with_particle(thing, "을"), d.pick(DAYS)
    premise = d.pick(
        (
            f"{who} {day}에 {town}에서 {what} {verb}.",
            f"{day} 아침 {town}에서 {who} {what} {verb}.",
            f"{who} {day} 저녁에 {with_particle(town, '으로')} 가서 {what} {verb}.",
        )
    )
    if label == 0:
        hypothesis = d.pick(
            (f"{who} {general}.", f"{who} {day}에 {general}.", f"{town}에서 {who} {what} {verb}.")
        )
    elif label == 2:
        other = d.other(TOWNS, town)
        hypothesis = d.pick(
            (
                f"{who} {day}에 {denial}.",
                f"{who} {day} 하루 내내 {other}에만 있었다.",
                f"{with_particle(town, '은')} {day}에 텅 비어 아무도 없었다.",
            )
        )
    else:
        extra = d.pick(_EXTRA)
        friend = d.other(NAMES, name)
        hypothesis = d.pick(
            (
                "그날은 비 오는 날이었다." if extra == _EXTRA[0] else f"{who} {extra}.",
                f"{with_particle(friend, '이')} {with_particle(name, '을')} 만나러 왔다.",
                f"{who} {with_particle(friend, '과')} 같은 마을에 산다.",
            )
        )
    return {"premise": premise, "hypothesis": hypothesis, "label": label}
