import numpy as np
import pandas as pd
import pytest

from lib.data.templated_reports import DESCRIPTORS, NAMES, SIDES, STYLES, prompts, report, reports, vocabulary
from lib.models.two_tower import Tokeniser


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(n: int, seed: int) -> pd.DataFrame:
    rng = chance(seed)
    frame = pd.DataFrame({name: rng.choice([1.0, 0.0, -1.0, np.nan], n) for name in NAMES})
    return frame.assign(effusion_side=rng.choice(list(SIDES), n))


def clauses(text: str) -> list[str]:
    return [clause.strip() for clause in text.split(".") if clause.strip()]


def about(text: str, finding: str) -> str:
    """The clause that is about a finding, by its name or a descriptor of it; empty = passed over."""
    marks = (NAMES[finding], *DESCRIPTORS[finding])
    found = [clause for clause in clauses(text) if any(mark in clause for mark in marks)]
    assert len(found) <= 1
    return found[0] if found else ""


def test_marks_of_one_finding_do_not_stand_in_those_of_another() -> None:
    marks = {name: (NAMES[name], *DESCRIPTORS[name]) for name in NAMES}
    for name, own in marks.items():
        others = [mark for other in NAMES if other != name for mark in marks[other]]
        assert not any(mark in other or other in mark for mark in own for other in others)


@pytest.mark.parametrize("describe", [0.0, 0.5, 1.0])
def test_a_report_says_what_the_labels_say(describe: float) -> None:
    people = table(150, seed=1)
    written = reports(people, rng=chance(2), mention=1.0, describe=describe)[:, 0]
    doubt = ("possible", "may", "cannot be excluded")
    for text, (_, row) in zip(written, people.iterrows(), strict=True):
        for finding in NAMES:
            clause = about(text, finding)
            denied, hedged = clause.split()[:1] == ["no"] or " no " in clause, any(word in clause for word in doubt)
            expected = {1.0: (False, False), 0.0: (True, False), -1.0: (False, True)}
            if np.isnan(row[finding]):
                assert clause == ""
            else:
                assert clause and (denied, hedged) == expected[row[finding]]


def test_sides_are_named_where_a_finding_is_present_and_nowhere_else() -> None:
    people = table(100, seed=3)
    for text, (_, row) in zip(reports(people, rng=chance(4), describe=0.0)[:, 0], people.iterrows(), strict=True):
        side = SIDES[row["effusion_side"]]
        assert (side in text.split()) == (row["effusion"] == 1)
        assert not ({"left", "right"} - {side}) & set(text.split())


def test_mention_is_the_share_of_denied_findings() -> None:
    healthy = dict.fromkeys(NAMES, 0)
    rng = chance(5)
    said = [sum(bool(about(report(healthy, rng=rng, mention=0.3), name)) for name in NAMES) for _ in range(400)]
    assert np.mean(said) / len(NAMES) == pytest.approx(0.3, abs=0.04)  # four standard errors of 2,400 draws
    assert not any(about(report(healthy, rng=rng, mention=0.0), name) for name in NAMES)


def test_only_the_healthy_have_no_findings() -> None:
    sick, healthy = {"nodule": 1, "edema": 0}, {"nodule": 0, "edema": 0}
    rng = chance(6)
    texts = {name: [report(labels, rng=rng) for _ in range(60)] for name, labels in (("sick", sick), ("well", healthy))}
    assert not any("no findings" in text or "acute" in text for text in texts["sick"])
    assert 10 < sum("no findings" in text or "acute" in text for text in texts["well"]) < 50


def test_the_generator_decides() -> None:
    people = table(20, seed=7)
    first, again, other = (reports(people, rng=chance(k), versions=3) for k in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.8
    assert (first[:, 0] != first[:, 1]).mean() > 0.8


def test_reports_and_prompts_stay_inside_the_vocabulary() -> None:
    words = Tokeniser(vocabulary())
    assert words.encode(list(reports(table(200, seed=8), rng=chance(9), mention=1.0)[:, 0])).shape[0] == 200
    for finding in NAMES:
        for style in STYLES:
            present, absent = prompts(finding, style)
            assert len(present) == len(absent) == (len(DESCRIPTORS[finding]) if style == "descriptors" else 1)
            assert all(words.encode(part).shape[0] == len(part) for part in (present, absent))
            assert not any("no" in text.split() for text in present)
            assert all("no" in text.split() for text in absent)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="must name findings"):
        report({"fracture": 1}, rng=chance())
    with pytest.raises(ValueError, match="must be 1, 0, -1 or missing"):
        report({"nodule": 2}, rng=chance())
    with pytest.raises(ValueError, match="sides must be R or L"):
        report({"nodule": 1}, sides={"nodule": "left"}, rng=chance())
    with pytest.raises(ValueError, match="write a percentage as a fraction"):
        report({"nodule": 1}, mention=50, rng=chance())
    with pytest.raises(ValueError, match="must have a column"):
        reports(pd.DataFrame({"other": [1]}), rng=chance())
    with pytest.raises(ValueError, match="style one of"):
        prompts("nodule", "question")
