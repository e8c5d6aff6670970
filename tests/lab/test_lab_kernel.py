"""What a researcher meets in a real kernel: cards, bars, errors, and a Ctrl-C after which everything still works."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from small_project import project

from lib.lab import errors
from lib.lab.progress import Durations

pytestmark = pytest.mark.timeout(1200)  # the first of them waits for torch
PARAMETERS = """n_seeds: int = 2
share: float = 0.5
kind: str = "random"
fast: bool = True
"""
OPEN = "import lib.run\nfrom lib import stats, train\nimport torch\nrun = lib.run.open('demo/01', globals())"
TRAIN = """
def loss(model, batch, generator):
    print("a step", flush=True)
    time.sleep(0.01)
    return model(batch[0]).square().mean()

def train_it(seed):
    model = torch.nn.Linear(2, 1)
    x, generator = torch.ones(8, 2), torch.Generator().manual_seed(seed)
    history = train.fit(model, loss, [x], epochs=20, batch_size=4, lr=0.01, generator=generator)
    return {name: value for name, value in model.state_dict().items()} | {"steps": torch.tensor(history.steps)}
"""
FIGURE = """
import pandas as pd
from lib import plots
table = pd.DataFrame({"x": [1, 2], "y": [1, 2]})
fig, ax = plots.figure()
_ = ax.plot(table["x"], table["y"])
run.figure("a-line", fig, data=table, alt="A line that rises from one to two.", caption="A line.")
"""

HOLD = """
import threading

def hold():
    print("writing", flush=True)
    while not any(thread.name == "interrupt-waits" for thread in threading.enumerate()):
        time.sleep(0.01)  # until the interrupt has come
"""
HELD = """
saved = fig.savefig
def savefig(path, **more):
    if path.suffix == ".{suffix}":
        hold()
    saved(path, **more)
fig.savefig = savefig
"""
TRAIN_HELD = """
class Held(torch.Tensor):
    def __reduce_ex__(self, protocol):
        hold()
        return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

def train_held(seed):
    print("training", flush=True)
    return {"first": torch.ones(3), "second": torch.full((3,), float(seed)).as_subclass(Held)}
"""
AFTERWARDS = "for _ in range(3000): time.sleep(0.01)"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return project(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def talk(start: Callable, root: Path):
    """One kernel for all that needs one; the notebook is open."""
    found = start(root)
    assert "lib.lab" in found.run("print(get_ipython().extension_manager.loaded)").text
    assert found.run("import sys; print('torch' in sys.modules, 'numpy' in sys.modules)").text == "False False\n"
    for code in (PARAMETERS, f"import time\n{OPEN}"):
        reply = found.run(code)
        assert reply.status == "ok", reply.traceback
    return found


def test_a_slow_cell_has_a_bar_that_leaves_its_outputs_in_order(talk, root):
    code = "print('first', end='')\ntime.sleep(4.3)\nprint('last')"
    for last in ("", r", last time \d+ s"):
        message = talk.send(code)
        reply = talk.reply(message)
        shown, *updates = reply.of("display_data", "update_display_data")
        data = shown["content"]["data"]
        assert shown["msg_type"] == "display_data" and re.fullmatch(rf"running \d+ s{last}", data["text/plain"])
        assert ("<progress value=" in data["text/html"]) is bool(last)
        assert updates and {update["msg_type"] for update in updates} == {"update_display_data"}
        assert len({part["content"]["transient"]["display_id"] for part in (shown, *updates)}) == 1
        assert updates[-1]["content"]["data"] == {} and reply.text == "firstlast\n"
        assert all(part["parent_header"]["msg_id"] == message for part in (shown, *updates)), "it lands in its cell"
        assert 4.3 <= Durations(root / ".blindspot" / "cells.json").last(code) < 60


def test_no_bar_where_nobody_watches_or_another_bar_is_on_the_screen(talk):
    assert talk.run("time.sleep(3.3)", watched=False).of("display_data") == []
    code = """
import io
from tqdm import tqdm
from lib.lab.progress import _tells_its_own
since = time.time()
bar = tqdm(total=2, mininterval=0, delay=1e-9, file=io.StringIO())
seen = [_tells_its_own(since)]
time.sleep(0.05)
bar.update()
seen += [_tells_its_own(since), _tells_its_own(time.time())]
bar.close()
print(seen, _tells_its_own(since))
"""
    assert talk.run(code).text == "[False, True, False] False\n"


def test_a_loop_of_ours_is_told_in_the_bar_and_writes_nothing_on_red(talk):
    """Each step waits until the bar has told it, so nothing here depends on how fast the machine is."""
    code = """
from unittest.mock import patch
from lib.lab.progress import Bar
told = []
publish = Bar._publish
def listen(bar, data, *, update):
    told.append(data.get("text/plain", ""))
    publish(bar, data, update=update)

def step(words):
    until = time.time() + 300
    while not any(words in text for text in told):
        assert time.time() < until, told
        time.sleep(0.01)

with patch.object(Bar, "_publish", listen):
    for number in run.progress(range(3), "networks & more"):
        if number == 0:
            time.sleep(3.1)  # before that tqdm does not count
        step(f"networks & more: {number} of 3")
        if number == 1:
            for _ in run.progress(range(2), "maps"):
                step("networks & more: 1 of 3; maps")
print(told)
"""
    reply = talk.run(code)
    assert reply.status == "ok", reply.traceback
    assert [part for part in reply.of("stream") if part["content"]["name"] == "stderr"] == []
    html = [part["content"]["data"].get("text/html", "") for part in reply.of("display_data", "update_display_data")]
    assert any('value="1.0" max="3.0"' in text and "networks &amp; more: 1 of 3" in text for text in html)
    quiet = talk.run("import tqdm.auto")
    assert quiet.status == "ok" and quiet.of("stream") == [], "no advice to install widgets"


def test_an_error_of_ours_is_one_paragraph_and_fails_the_cell(talk):
    code = "x = 1\nrun.claim('it-dose', stats.paired([2.0, 2.1, 1.9, 2.2, 1.8]))"
    reply = talk.run(code)
    assert reply.status == "error"
    lines = reply.traceback.replace("\x1b[31m", "").replace("\x1b[39m", "").splitlines()
    assert lines[0].startswith("DeclarationError: demo/01: claim 'it-dose' is not declared; did you mean it-does?")
    assert lines[1].startswith("Line 2 of the cell led there: run.claim('it-dose', stats") and "%tb" in lines[2]
    assert len(lines) == 3 and max(map(len, lines)) <= 100
    content = reply.of("error")[0]["content"]
    assert content["ename"] == "DeclarationError" and "it-dose" in content["evalue"]
    whole = "lib/run.py"
    assert whole in talk.run("%tb").traceback
    assert whole in talk.run(code, watched=False).traceback, "a log holds all of it"


def test_a_long_message_is_broken_between_words():
    words = "n must be in 1..1,442 for the train split of 'digits', got 4000; None loads all, " * 3
    *lines, last = (
        errors.paragraph(ValueError(words), None, {}).replace("\x1b[31m", "").replace("\x1b[39m", "").split("\n")
    )
    assert "%tb" in last and len(lines) == 3 and max(map(len, lines)) <= 100
    assert " ".join(lines) == f"ValueError: {words.strip()}."
    assert "ValueError\x1b[39m: no message." in errors.paragraph(ValueError(), None, {})


@pytest.mark.parametrize(
    "code", ["1 / 0", "raise ValueError('mine')", "def (:", "torch.ones(2) @ torch.ones(3)", "stats.paired(['x'])"]
)
def test_other_errors_keep_their_traceback(talk, code):
    reply = talk.run(code)
    assert reply.status == "error" and "%tb" not in reply.traceback and len(reply.traceback.splitlines()) > 1


def test_every_claim_has_a_card_however_the_cell_ends(talk):
    made = "run.claim('it-does', stats.paired([2.0, 2.1, 1.9, 2.2, 1.8]))"
    for code, results in ((made, 1), (f"cards = [{made}]\nprint(*cards)", 0), (f"[{made}]", 1), (f"{made};", 0)):
        reply = talk.run(code)
        assert reply.html.count("What would change it.") == 1, code
        assert len(reply.of("execute_result")) == results and "make reproduce PROFILE=cpu ONLY=demo/01" in reply.html
    plain = talk.run(made).of("execute_result")[0]["content"]["data"]["text/plain"]
    assert plain.startswith("It does.") and "untested" in plain
    assert talk.run("x = 2").of("display_data") == [], "and only when it is filled in"
    broken = "import lib.lab.card as drawn\nkept, drawn.html = drawn.html, None"
    assert talk.run(f"{broken}\n{made}").status == "ok", "a card that cannot be drawn is text"
    assert talk.run("drawn.html = kept").status == "ok"


def test_ctrl_c_leaves_a_usable_state(talk, root):
    assert talk.run(TRAIN).status == "ok"
    again = "kept = train.fit(model, loss, [torch.ones(8, 2)], epochs=20, batch_size=4, lr=0.01, generator=generator)"
    shared = "state = run.trained(train_it, seed=1)"
    assert talk.run("model, generator = torch.nn.Linear(2, 1), torch.Generator().manual_seed(0)").status == "ok"
    for code in (shared, again):
        message = talk.send(code)
        talk.reply(message, until=lambda part: part["msg_type"] == "stream" and "a step" in part["content"]["text"])
        talk.manager.interrupt_kernel()
        stopped = talk.reply(message)
        assert stopped.status == "error" and stopped.of("error")[0]["content"]["ename"] == "KeyboardInterrupt"
        for lock in (root / ".blindspot" / "trained").glob("*.lock"):
            with FileLock(lock, timeout=0):
                pass
        assert list(root.rglob("*part*")) == [], "nothing half-written"
        done = talk.run(code)
        assert done.status == "ok", done.traceback
    assert talk.run("print(int(state['steps']), kept.steps)").text == "40 40\n", "as if nobody had stopped it"
    figure = talk.run(FIGURE)
    assert figure.status == "ok" and any("image/png" in part["content"]["data"] for part in figure.of("display_data"))
    finished = talk.run("run.claim('it-does', stats.paired([2.0, 2.1, 1.9, 2.2, 1.8]))\nrun.finish()")
    assert finished.status == "ok" and "Verdicts." in finished.of("execute_result")[0]["content"]["data"]["text/html"]
    draft = root / ".blindspot" / "draft" / "demo" / "01"
    assert json.loads((draft / "claims.json").read_text())[0]["verdict"] == "untested"
    assert (draft / "finished.json").exists() and (draft / "a-line.svg").read_text().endswith("</svg>\n")


def test_an_interrupt_waits_for_the_end_of_an_import(talk, root):
    """What a half import leaves behind breaks every later one; Run All stops at the next cell instead."""
    (root / "halves.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(0.5)\nwhole = True\n")
    message, following = talk.send("import halves"), talk.send("time.sleep(20)")
    talk.reply(message, until=lambda part: "importing" in part["content"].get("text", ""))
    talk.manager.interrupt_kernel()
    assert talk.reply(message).status == "ok"
    assert talk.reply(following).of("error")[0]["content"]["ename"] == "KeyboardInterrupt"
    assert talk.run("print(halves.whole)").text == "True\n"
    (root / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(20)\n")
    message = talk.send("import slow")
    talk.reply(message, until=lambda part: "importing" in part["content"].get("text", ""))
    for _ in range(2):
        talk.manager.interrupt_kernel()
        time.sleep(0.5)  # two signals at once are one
    assert talk.reply(message).status == "error", "asked for twice, it stops"


def test_a_figure_tells_what_it_shows_to_whoever_does_not_see_it(talk):
    for watched in (True, False):
        data = talk.run(FIGURE, watched=watched).of("display_data")[0]["content"]["data"]
        html = data.get("text/html", "")
        assert html.startswith('<img alt="A line that rises from one to two." src="data:image/png') is watched
        assert not watched or "".join(data["image/png"].split()) in html
    plain = "from IPython.display import Image, display\ndisplay(Image(url='x.png', alt='of a url'))"
    assert 'src="x.png"' in talk.run(plain).html, "as IPython has it"


def interrupted(talk, code: str):
    """What is left of a cell that is interrupted while it holds in a writing, and has more to do after it."""
    message = talk.send(f"{code}\n{AFTERWARDS}")
    talk.reply(message, until=lambda part: "writing" in part["content"].get("text", ""))
    talk.manager.interrupt_kernel()
    stopped = talk.reply(message)
    assert stopped.of("error") and stopped.of("error")[0]["content"]["ename"] == "KeyboardInterrupt", (
        "it is heard later"
    )
    lines = stopped.traceback.splitlines()
    assert len(lines) == 3 and "KeyboardInterrupt" in lines[0] and re.match(r"Line \d+ of the cell", lines[1])
    whole = talk.run("%tb").traceback
    assert "KeyboardInterrupt" in whole and not re.search(r"lib/(run|trained)\.py", whole), "not in the middle of it"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_an_interrupt_waits_until_all_files_of_a_figure_are_written(talk, root, suffix):
    assert talk.run(HOLD).status == "ok"
    name = f"held-{suffix}"
    drawn, kept = FIGURE.replace("a-line", name).split("run.figure")
    interrupted(talk, f"{drawn}{HELD.format(suffix=suffix)}run.figure{kept}")
    draft = root / ".blindspot" / "draft" / "demo" / "01"
    found = {path.suffix: path.read_bytes() for path in draft.glob(f"{name}.*")}
    assert set(found) == {".csv", ".json", ".svg", ".png"} and list(draft.glob("*part*")) == []
    assert found[".svg"].endswith(b"</svg>\n") and found[".png"].endswith(b"IEND\xaeB`\x82")
    assert json.loads(found[".json"])["id"] == name


def test_an_interrupt_waits_until_a_trained_model_is_kept(talk, root):
    assert talk.run(f"{HOLD}{TRAIN_HELD}").status == "ok"
    code = "held = run.trained(train_held, seed=7)"
    interrupted(talk, code)
    store = root / ".blindspot" / "trained"
    assert len(list(store.glob("train_held-*.pt"))) == 1 and list(store.glob("*.part*")) == []
    reply = talk.run(f"{code}\nprint(held['second'].tolist())")
    assert reply.text == "[7.0, 7.0, 7.0]\n", "read from the store, not trained again"


def test_asked_twice_a_writing_stops_at_once(talk, root):
    assert talk.run(HOLD).status == "ok"
    drawn, kept = FIGURE.replace("a-line", "given-up").split("run.figure")
    held = HELD.format(suffix="png").replace(
        "hold()", "hold()\n        print('heard', flush=True)\n        time.sleep(20)"
    )
    message = talk.send(f"{drawn}{held}run.figure{kept}")
    for word in ("writing", "heard"):
        so_far = talk.reply(message, until=lambda part, word=word: word in part["content"].get("text", ""))
        assert so_far.status == "running", "it waits for the end of the writing"
        talk.manager.interrupt_kernel()
    stopped = talk.reply(message)
    assert stopped.of("error")[0]["content"]["ename"] == "KeyboardInterrupt"
    draft = root / ".blindspot" / "draft" / "demo" / "01"
    assert (draft / "given-up.svg").exists() and not (draft / "given-up.png").exists()
    assert talk.run(FIGURE.replace("a-line", "given-up")).status == "ok" and (draft / "given-up.png").exists()


def test_under_make_reproduce_the_extension_does_nothing(start, root):
    talk = start(root, BLINDSPOT_ATTEMPT=str(root))
    reply = talk.run("from lib import experiments\nexperiments.effective(None, 'smokee')")
    assert "Traceback" in reply.traceback and "%tb" not in reply.traceback
    code = "import sys\nprint([name for name in sys.modules if name.startswith('lib.lab')])"
    assert talk.run(code).text == "[]\n"


@pytest.mark.parametrize("text", ["raise RuntimeError('broken')", None])
def test_a_broken_or_missing_extension_stops_no_kernel(start, tmp_path, text):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").touch()
    if text:
        (tmp_path / "lib" / "lab.py").write_text(text)
    talk = start(tmp_path, PYTHONPATH=str(tmp_path))
    assert talk.run("print(1 + 1)").text == "2\n"
    assert "lib.lab" in (tmp_path / "kernel.log").read_text(), "and its log says so"
