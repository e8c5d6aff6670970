"""A sweep: settings crossed and checked beforehand, run once, compared on one page, nothing published."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from mini_project import FINISH, Mini

from lib.experiments import DeclarationError
from lib.reproduce import explore, store


def test_parameters_are_crossed_in_order():
    assert explore.grid(["a=1,2 b=x,y"]) == [["a=1", "b=x"], ["a=1", "b=y"], ["a=2", "b=x"], ["a=2", "b=y"]]
    assert explore.grid(["a=1", "b=2"]) == [["a=1", "b=2"]]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([""], "name each parameter once"),
        (["a=1 a=2"], "name each parameter once"),
        (["a=1, b=2"], "without blanks around the commas"),
        (["a"], "must look like name=value"),
        (["a=" + ",".join(map(str, range(101)))], "at most 100 settings, got 101"),
    ],
)
def test_what_is_no_grid_is_refused(sets, said):
    with pytest.raises(DeclarationError, match=said):
        explore.grid(sets)


def test_values_are_checked_before_anything_runs(mini: Mini):
    mini.add("01", FINISH)
    mini.add("02", FINISH)
    for only, sets, said in [
        ("demo", ["n_seeds=1,2"], "a sweep takes one notebook, got 2"),
        ("demo/01", ["n_seed=1"], "did you mean 'n_seeds'|n_seeds"),
        ("demo/01", ["n_seeds=1,2.5"], "n_seeds"),
        ("demo/01", ["share=1,1.0"], "same setting twice"),
    ]:
        with pytest.raises(DeclarationError, match=said):
            explore.settings(mini.root, "smoke", only=only, sets=sets)


def test_all_settings_of_a_claim_share_a_scale():
    claims = [{"estimate": value, "low": value - 1, "high": value + 1} for value in (-2.0, 5.0)]
    drawn = explore.scale(claims, 0.5)
    ends = [drawn(claim) for claim in claims]
    assert ends[0]["low"] == explore.MARGIN and ends[1]["high"] == explore.WIDTH - explore.MARGIN
    assert ends[0]["estimate"] < drawn.band[0] < drawn.zero < drawn.band[1] < ends[1]["estimate"]
    assert drawn({"estimate": None, "low": None, "high": None}) is None


class Seen(HTMLParser):
    """Text and pictures of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_sweep_runs_once_and_is_compared(mini: Mini, capsys: pytest.CaptureFixture[str]):
    measured = FINISH.replace(
        '"estimate": 1.0, "low": None, "high": None', '"estimate": n_seeds, "low": n_seeds - 1.0, "high": n_seeds + 1.0'
    ).replace('"cpu_seconds": 0.5', '"cpu_seconds": 0.5, "peak_memory_mb": 60, "spared_cpu_seconds": n_seeds - 1.0')
    extra = '"where": "Table 1", "quantity": "difference", "reason": "", "n": 2, "n_unit": "seeds", "rule": "paired", '
    mini.add("01", measured.replace('{"id"', "{" + extra + '"id"'), "assert n_seeds != 4")
    words = ("explore", "--only", "demo/01", "--profile", "smoke", "--scheduler", "inline")
    code, printed = mini.cli(*words, "--set", "n_seeds=1,3,4"), capsys.readouterr().out
    assert code == 1 and "2 ran, 0 were done already, 1 failed" in printed and "smoke,n_seeds=4" in printed
    assert not (mini.root / "reports" / "demo").exists(), "a sweep publishes nothing"
    page = mini.root / "reports" / "site" / "explore" / "demo-01.html"
    assert str(page) in printed.replace("\n", "")
    seen = Seen()
    seen.feed(page.read_text(encoding="utf-8"))
    text = " ".join(" ".join(seen.words).split())
    assert "1.00 [0, 2.00] points" in text and "3.00 [2.00, 4.00] points" in text
    assert "Not run through: smoke,n_seeds=4." in text and text.count("untested") == 2
    assert text.count("60 MB") == 2 and text.count("at least 60 MB") == 1, "the second was spared trainings"
    assert text.count("At least: this setting read trainings") == 1
    code, printed = mini.cli(*words, "--set", "n_seeds=1,2,3"), capsys.readouterr().out
    assert code == 0 and "1 ran, 2 were done already, 0 failed" in printed
    held = sorted(path.name for path in (mini.root / ".blindspot" / "explore" / "demo" / "01").iterdir())
    assert held == [f"smoke,n_seeds={n}" for n in (1, 2, 3)]
    receipt = store.receipt(mini.root / ".blindspot" / "explore" / "demo" / "01" / held[0])
    assert receipt["parameters"] == {"n_seeds": 1, "share": 0.5} and receipt["modified"] == ["n_seeds"]
