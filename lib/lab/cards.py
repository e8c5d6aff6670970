"""Every claim that a cell fills in is shown as a card, whatever the cell does with what ``run.claim`` returns.

A card that ends a cell is shown by its formatter; one that a cell assigns, prints or leaves in a loop is shown below
the cell's own outputs. The run is only looked at: a card is made by asking ``run.claim`` again with the same estimate.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from lib.lab import card

MODULE, CLASS = "lib.run", "ClaimCard"


def register(shell: Any) -> None:
    """Show the claims of every cell of a shell."""
    cards = Cards(shell)
    shell.display_formatter.formatters["text/html"].for_type_by_name(MODULE, CLASS, cards.html)
    shell.events.register("pre_run_cell", cards.before)
    shell.events.register("post_run_cell", cards.after)


class Cards:
    """What one shell has shown of the claims of its notebook's run.

    Parameters
    ----------
    shell : InteractiveShell
        The run is looked up in its namespace, under the name ``run``.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.known: dict[str, Any] = {}
        self.shown: set[str] = set()

    def html(self, found: Any) -> str | None:
        """The card as HTML; None, which leaves its text, where it cannot be drawn: a picture must not fail a cell."""
        try:
            drawn = card.html(found, **self._about(found.claim.id))
        except Exception:
            return None
        self.shown.add(found.claim.id)
        return drawn

    def before(self, info: Any) -> None:
        """Remember which claims are filled in before a cell runs."""
        self.shown = set()
        self.known = self._filled()

    def after(self, result: Any) -> None:
        """Show what the cell filled in and did not show."""
        if result is None or not result.success:
            return
        filled = self._filled()
        fresh = [name for name, estimate in filled.items() if self.known.get(name) is not estimate]
        run = self.shell.user_ns.get("run")
        for name in fresh:
            if name not in self.shown:
                with suppress(Exception):
                    from IPython.display import display

                    display(run.claim(name, filled[name]))

    def _filled(self) -> dict[str, Any]:
        """The estimates of the notebook's run, by claim; empty before it is open."""
        estimates = getattr(self.shell.user_ns.get("run"), "estimates", None)
        return dict(estimates) if isinstance(estimates, dict) else {}

    def _about(self, name: str) -> dict[str, Any]:
        """How many claims the notebook declares, and the command that may give a verdict."""
        experiment = getattr(self.shell.user_ns.get("run"), "experiment", None)
        if experiment is None or name not in experiment.claims:
            return {}
        profile = "gpu" if experiment.needs_gpu else "cpu"
        return {"family": len(experiment.claims), "command": f"make reproduce PROFILE={profile} ONLY={experiment.id}"}
