"""Ten thousand prompts, the same on every run: plain descriptions, odd spacing, and much of Unicode."""

from __future__ import annotations

import random

SUBJECTS = (
    "cat dog cactus robot dragon lighthouse teapot bicycle mushroom whale pizza guitar fox castle "
    "astronaut sunflower train penguin candle volcano umbrella strawberry owl sailboat tractor"
).split()
ADJECTIVES = (
    "happy tiny golden sleepy ancient blue red-striped translucent cosy angry futuristic fluffy "
    "wooden glowing melancholic enormous hand-painted"
).split()
PLACES = (
    "in the desert|on a white background|under the moon|beside a river|on a transparent background|"
    "inside a glass bottle|at the edge of the world|wearing a hat|with three legs|riding a skateboard"
).split("|")
STYLES = (
    "flat sticker|pixel art|3d render|watercolour|line drawing, black ink|isometric|"
    "oil painting by a student|8k, highly detailed|minimalist vector"
).split("|")
WORLD = [
    "un gato feliz en el desierto",
    "ein fröhlicher Kaktus in der Wüste",
    "un château près de l’océan",
    "счастливый кактус в пустыне",
    "ένας χαρούμενος κάκτος ΣΟΦΟΣ",
    "快乐的仙人掌在沙漠里",
    "砂漠のサボテン、ｶﾞｷﾞｸﾞ",
    "행복한 선인장",
    "صبار سعيد في الصحراء",
    "קקטוס שמח",
    "खुश कैक्टस रेगिस्तान में",
    "ต้นกระบองเพชรมีความสุข",
    "İstanbul'da ığdır kedisi",
    "Đường phố Hà Nội về đêm",
]
ODD = [
    "",
    " ",
    "\t\n",
    "</s>",
    "a </s> b",
    "<pad><unk>",
    "<extra_id_0> cat",
    "▁",
    "a▁b ▁ c",
    "▁▁leading",
    "trailing▁",
    "…",
    "①②③ ½ ﬁne ﬃ",
    "ＦＵＬＬ ｗｉｄｔｈ",
    "Å Å A\u030a",
    "e\u0301\u0323 vs ẹ́",
    "\u200bzero\u200bwidth\u200d",
    "\ufeffbom",
    "soft\u00adhyphen",
    "nbsp\u00a0here",
    "ideographic\u3000space",
    "line\u2028sep\u2029para",
    "control\u0001\u0002\u001f\u007f\u0085",
    "\u202ertl\u202c",
    "🌵🐱👩‍🚀🏳️‍🌈🇫🇷",
    "☃︎ ☃️",
    "𝓯𝓪𝓷𝓬𝔂 𝟘𝟙𝟚",
    "㍿ ㌔ ㎏ ℡",
    "ｱｲｳﾞ",
    "Ǆ ǅ ǆ",
    "ﷺ",
    "\U0010ffff",
    "\ud7ff",
    "\ue000",
    "ß ẞ ſ",
    "a" * 300,
    "!" * 40,
    "?!?!?!" * 12,
    "-- -- --",
    "     many     spaces     ",
    "\u0300\u0301\u0302",
    "日" * 50,
    "…….....,,,,",
    "\\n\\t\\0",
    "a\u0000b",
    "'\"`´‘’“”«»",
    "x²+y³=z⁴",
    "½½½",
    "100% €20 £5 ¥7",
    "http://example.com/?q=a+b&c=%20#x",
]


def make_prompts(count: int = 10_000, seed: int = 20_240) -> list[str]:
    rng = random.Random(seed)
    prompts = list(dict.fromkeys(ODD + WORLD))
    makers = [_plain] * 8 + [_noisy, _unicode, _mixed, _letters]
    while len(prompts) < count:
        prompts.append(rng.choice(makers)(rng))
    return prompts[:count]


def corpus(seed: int = 7) -> list[str]:
    """Text that the fixture vocabulary is trained on: plain prompts and the words of many languages."""
    rng = random.Random(seed)
    syllables = [c + v + e for c in "bcdfghklmnprst" for v in "aeiou" for e in ("", "n", "r", "st")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(3_000)]
    invented = [" ".join(rng.choices(words, k=8)) for _ in range(3_000)]
    punctuated = [f"{text}{rng.choice(['!', '!!', '...', '?', ' -- '])}" for text in invented[:500]]
    return [_plain(rng) for _ in range(4_000)] + invented + punctuated + [t for t in WORLD for _ in range(20)]


def _plain(rng: random.Random) -> str:
    parts = [f"a {rng.choice(ADJECTIVES)} {rng.choice(SUBJECTS)}"]
    if rng.random() < 0.5:
        parts.append(f"and {rng.randint(2, 99)} {rng.choice(SUBJECTS)}s")
    parts.append(rng.choice(PLACES))
    text = " ".join(parts)
    return f"{text}, {rng.choice(STYLES)}" if rng.random() < 0.7 else text


def _noisy(rng: random.Random) -> str:
    spaces = [" ", "  ", "\t", "\n", "\u00a0", "\u3000", " \u200b", ",", "!!", "...", " ▁ "]
    return "".join(word + rng.choice(spaces) for word in _plain(rng).split(" "))


def _unicode(rng: random.Random) -> str:
    ranges = [
        (0x20, 0x7F),
        (0xA0, 0x250),
        (0x300, 0x400),
        (0x400, 0x530),
        (0x600, 0x6FF),
        (0xE00, 0xE5B),
        (0x1E00, 0x2000),
        (0x2000, 0x2200),
        (0x2460, 0x2600),
        (0x3000, 0x3100),
        (0x3200, 0x3400),
        (0x4E00, 0x4F00),
        (0xAC00, 0xAD00),
        (0xF900, 0xFB50),
        (0xFE00, 0x10000),
        (0x1D400, 0x1D800),
        (0x1F300, 0x1F700),
        (0xE0100, 0xE01F0),
    ]
    chars = []
    for _ in range(rng.randint(1, 24)):
        low, high = rng.choice(ranges)
        chars.append(chr(rng.randrange(low, high)))
    return "".join(chars)


def _mixed(rng: random.Random) -> str:
    return f"{_plain(rng)} {rng.choice(WORLD)} {rng.choice(ODD)} {_unicode(rng)}"


def _letters(rng: random.Random) -> str:
    """Repeated and random letters: paths of equal or nearly equal score."""
    alphabet = rng.choice(["abc", "aeinorst", "!?.,-", "0123456789", "etaoin shrdlu"])
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 80)))
