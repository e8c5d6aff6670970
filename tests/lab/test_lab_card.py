"""A card says what the rule says: what it names as the change of a verdict does change it, and it draws to scale."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from lib import claims, stats
from lib.lab import card, change, interval, ledger
from lib.run import SMOKE_REASON, ClaimCard

SHAPE = np.array([-1.4, -0.9, -0.3, 0.1, 0.2, 0.4, 0.8, 1.1])
SHAPE = (SHAPE - SHAPE.mean()) / SHAPE.std()
VERDICTS = {
    "supported": ("> 0", 5.0),
    "contradicted": ("< 0", 5.0),
    "inconclusive": ("> 0", 1.2),
}


def judged(expected: str, values: np.ndarray, *, d: float = 1.0, rule: str = "", why: str = "", **more: object):
    """The card of a claim, alone in its notebook."""
    rule = rule or ("equivalence" if expected == "= 0" else "paired")
    margin = {"margin": d} if rule == "equivalence" else {}
    claim = claims.Claim("it", "A < B & it rises.", "figure 1", "B minus A", "points", expected, d, rule, **more)
    share = {"test_fraction": 0.25} if rule == "corrected_resampled" else {}
    estimate = getattr(stats, rule)(values, **margin, **share)
    return ClaimCard(claim, estimate, claims.judge(claim, estimate, untested_reason=why))


def said(found: ClaimCard) -> str:
    return change.what_would(found.claim, found.estimate, found.verdict)


def numbers(text: str) -> list[float]:
    plain = text.replace("−", "-")
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e-?\d+)?", plain)]


def after(text: str, words: str) -> float:
    """The first number after some words."""
    return numbers(text.split(words)[1])[0]


@pytest.mark.parametrize(("expected", "mean"), [("> 0", 1.2), ("< 0", -1.2), ("> 0", 2.5), ("< 0", -2.5)])
def test_the_half_width_it_names_is_where_the_verdict_turns(expected, mean):
    found = judged(expected, SHAPE + mean)
    text, half = said(found), found.estimate.estimate - found.estimate.low
    turn = after(text, "half-width below ") if "below" in text else numbers(text.split("grew from ")[1])[1]
    verdicts = [judged(expected, SHAPE * turn / half * by + mean).verdict.verdict for by in (0.98, 1.02)]
    assert verdicts == ["supported", "inconclusive"]
    assert found.verdict.verdict in verdicts


@pytest.mark.parametrize("expected", ["> 0", "< 0"])
@pytest.mark.parametrize("mean", [1.2, 0.3, -0.3, 2.5])
def test_the_move_it_names_is_where_the_verdict_turns(expected, mean):
    sign = 1 if expected == "> 0" else -1
    found = judged(expected, SHAPE + sign * mean)
    text = said(found)
    if found.verdict.verdict == "supported":
        moves = [-after(text, " lies ") * by for by in (0.98, 1.02)]
    else:
        moves = [after(text, "by more than ") * by for by in (1.02, 0.98)]
    verdicts = [judged(expected, SHAPE + sign * (mean + move)).verdict.verdict for move in moves]
    assert verdicts[0] == "supported" != verdicts[1]


@pytest.mark.parametrize(("expected", "word"), [("= 0", "supported"), ("> 0", "contradicted")])
def test_the_width_of_a_negligible_effect_is_that_of_the_two_one_sided_tests(expected, word):
    wide = judged(expected, 2 * SHAPE + 0.4)
    assert wide.verdict.verdict == "inconclusive"
    text = said(wide).split("90 % interval inside")[1]
    turn, now = after(text, "half-width below "), after(text, "instead of ")
    verdicts = [judged(expected, 2 * SHAPE * turn / now * by + 0.4).verdict.verdict for by in (0.98, 1.02)]
    assert verdicts == [word, "inconclusive"]
    narrow = judged(expected, 0.5 * SHAPE + 0.4)
    spare = numbers(said(narrow).split("±1 with ")[1])[0]
    verdicts = [judged(expected, 0.5 * SHAPE + 0.4 + spare * by).verdict.verdict for by in (0.98, 1.02)]
    assert verdicts == [word, "inconclusive"]


def test_more_units_follow_the_root_and_overlapping_splits_are_not_promised_any():
    found = judged("> 0", SHAPE + 1.2)
    half = found.estimate.estimate - found.estimate.low
    assert after(said(found), "roughly ") == pytest.approx(8 * (half / 0.2) ** 2, rel=0.01)
    splits = said(judged("> 0", SHAPE + 1.2, rule="corrected_resampled"))
    assert "roughly" not in splits and "more rows" in splits


def test_holm_is_told_with_the_strictest_p():
    found = judged("> 0", SHAPE + 2.0)
    text = change.what_would(found.claim, found.estimate, found.verdict, family=5)
    assert "p < 0.01" in text and change.number(found.verdict.p_holm) in text and "would not pass" in text


@pytest.mark.parametrize(
    ("values", "why", "words"),
    [
        (SHAPE + 2, SMOKE_REASON, "make reproduce PROFILE=cpu ONLY=demo/01"),
        (SHAPE[:3], "", "At least 5 seeds instead of 3"),
        (SHAPE + 2, "x-twin has the shape of the data, not its content: get the data itself for a verdict", "stand-in"),
        (np.array([1.0, np.nan, 2, 3, 4, 5]), "", "without the fault"),
    ],
)
def test_untested_says_what_would_test_it(values, why, words):
    found = judged("> 0", values, why=why)
    command = "make reproduce PROFILE=cpu ONLY=demo/01"
    assert words in change.what_would(found.claim, found.estimate, found.verdict, command=command)
    assert (f">{command}</code>" in card.html(found, command=command)) is ("make" in words)


def tree(found: ClaimCard) -> ElementTree.Element:
    return ElementTree.fromstring(card.html(found, family=3).replace("&nbsp;", " "))


@pytest.mark.parametrize("word", [*VERDICTS, "untested"])
def test_a_card_is_whole_without_colour_script_or_network(word):
    expected, mean = VERDICTS.get(word, ("> 0", 2.0))
    found = judged(expected, SHAPE + mean, why="" if word in VERDICTS else SMOKE_REASON)
    text, root = card.html(found, family=3), tree(found)
    words = " ".join("".join(root.itertext()).split())
    assert words.startswith(word.capitalize()) and "A < B & it rises." in words and "n = 8 seeds" in words
    assert ("before Holm's correction over the 3 claims" in words) is (word != "untested")
    assert found.verdict.reason[1:] in words and "rule paired" in words and "What would change it." in words
    assert "<script" not in text and "url(" not in text and not re.search(r"(href|src|\bon\w+)=", text)
    assert [url for url in re.findall(r"https?:[^\"]*", text) if "w3.org/2000/svg" not in url] == []
    picture = next(part for part in root.iter() if part.tag.endswith("svg"))
    named = {part.get("id"): part.text for part in picture if part.get("id")}
    assert picture.get("role") == "img" and set(picture.get("aria-labelledby").split()) == set(named)
    assert change.number(found.estimate.estimate) in " ".join(named.values())


def test_the_styles_of_the_four_verdicts_differ_without_colour():
    assert len({card.EDGES[word] for word in claims.VERDICTS}) == len(claims.VERDICTS)
    assert set(card.RULES) == set(claims.RULES)


@pytest.mark.parametrize("page", [0xFF, 0x11])
def test_every_colour_stands_out_from_the_band_on_a_light_and_on_a_dark_page(page):
    """WCAG 2.2 asks graphics for a contrast of 3; JupyterLab writes in black on white and in white on #111."""

    def light(*channels: float) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    ink = 0xFF - page if page == 0xFF else 0xFF
    band = light(*[(page + (ink - page) * interval.BAND) / 255] * 3)
    for colour in interval.COLOURS.values():
        one = light(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))
        assert (max(one, band) + 0.05) / (min(one, band) + 0.05) >= 3, colour


def test_the_picture_is_to_scale():
    found = judged("> 0", SHAPE * 2 + 3, paper_effect=-2.5, paper_effect_source="Table 2")
    places: dict[str, list[float]] = {}
    for part in tree(found).iter():
        for name in ("cx", "x1", "x2", "x"):
            if (part.get(name) or "").endswith("%"):
                places.setdefault(part.tag.split("}")[1] + name, []).append(float(part.get(name)[:-1]))
    point, band, paper = places["circlecx"][0], places["rectx"][0], places["svgx"][0]
    low, high = found.estimate.low, found.estimate.high
    scale = (point - band) / (found.estimate.estimate + 1)
    assert paper == pytest.approx(band + (-2.5 + 1) * scale, abs=0.05)
    for value in (0.0, low, high):
        assert any(x == pytest.approx(band + (value + 1) * scale, abs=0.05) for x in places["linex1"])
    assert min(map(min, places.values())) >= 0 and max(map(max, places.values())) <= 100


@pytest.mark.parametrize("values", [np.zeros(8), SHAPE * 1e-9, SHAPE * 1e7, np.full(8, np.nan)])
def test_extreme_estimates_are_drawn(values):
    for d in (0.0, 1e-6):
        root = tree(judged("> 0", values, d=d))
        numbers_on_axis = [part.text for part in root.iter() if part.tag.endswith("text")]
        assert "0" in numbers_on_axis and len(numbers_on_axis) <= 9
    assert interval.ticks(-0.3, 0.9) == [0.0, 0.5]


def finished(*cards: ClaimCard) -> pd.DataFrame:
    """What `run.finish` returns."""
    pairs = [(found.claim, found.estimate) for found in cards]
    reason = SMOKE_REASON if cards[0].verdict.reason == SMOKE_REASON else ""
    judged = claims.judge_all(pairs, untested_reason=reason)
    records = [verdict.as_record(*pair, "a paper") for pair, verdict in zip(pairs, judged, strict=True)]
    return pd.DataFrame(records, columns=ledger.COLUMNS)


def test_the_verdicts_of_a_run_are_a_table_with_every_word():
    frame = finished(*(judged(expected, SHAPE + mean) for expected, mean in VERDICTS.values()))
    root = ElementTree.fromstring(ledger.html(frame).replace("<br>", " "))[0]
    rows = [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in root.iter("tr")]
    assert rows[0] == ["verdict", "claim", "estimate and 95 % interval", "why"]
    assert [row[0] for row in rows[1:]] == list(VERDICTS) and "over 3 claims" in root.find("caption").text
    for row, record in zip(rows[1:], frame.to_dict("records"), strict=True):
        span = f"{change.number(record['estimate'])} [{change.number(record['low'])}, {change.number(record['high'])}]"
        assert row[1:3] == ["A < B & it rises.", f"{span} points n = 8 seeds"]
        assert row[3] == card.sentence(record["reason"]) and record["reason"]


def test_a_reason_that_all_verdicts_share_is_told_once():
    cards = [judged("> 0", SHAPE[:2] + mean, why=SMOKE_REASON) for mean in (1, 2)]
    text = ledger.html(finished(*cards))
    assert text.count(card.sentence(SMOKE_REASON)) == 1 and ">why<" not in text and text.count("no interval") == 2
    assert "Holm" not in text
    one_sided = finished(*cards[:1]).assign(low=[0.5], high=[None])
    assert "[0.5, ∞]</strong> points" in ledger.html(one_sided)


def test_every_other_table_is_as_pandas_has_it():
    frame = finished(judged("> 0", SHAPE))
    for other in (frame.iloc[:0], frame.drop(columns="n"), pd.DataFrame({"x": [1]})):
        assert ledger.html(other) == other._repr_html_()


def test_a_card_fits_a_narrow_and_a_wide_cell(chromium):
    """No number on the axis over another, nothing beyond the card's edge."""
    texts = [card.html(judged(expected, SHAPE + mean), family=3) for expected, mean in VERDICTS.values()]
    texts.append(ledger.html(finished(*(judged(expected, SHAPE + mean) for expected, mean in VERDICTS.values()))))
    texts += [card.html(judged("= 0", 1e-4 * SHAPE + 6e-4, d=5e-5)), card.html(judged("> 0", 1e4 * SHAPE + 2e4))]
    for width in (390, 900):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.set_content("".join(texts))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for picture in page.locator("svg[role=img]").all():
            boxes = [text.bounding_box() for text in picture.locator("text").all()]
            card_box = picture.locator("xpath=..").bounding_box()
            for i, one in enumerate(boxes):
                assert card_box["x"] <= one["x"] and one["x"] + one["width"] <= card_box["x"] + card_box["width"]
                for two in boxes[i + 1 :]:
                    apart = one["x"] + one["width"] <= two["x"] or two["x"] + two["width"] <= one["x"]
                    assert apart or abs(one["y"] - two["y"]) > 8
        page.close()
