"""What the demo shows: one block a step, one line for what was done and for where it arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

WIDEST = 112
"""Columns; longer lines are hard to read."""
NARROWEST = 60
POSTGRES, STRIPE, BOTHWAYS = "PostgreSQL", "Stripe", "bothways"
_COLOURS = {POSTGRES: "cyan", STRIPE: "magenta", BOTHWAYS: "yellow"}


class Screen:
    """A terminal, or a pipe, which gets the same lines without colours and without anything that moves."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = Console(file=file, highlight=False, soft_wrap=False)
        piped = WIDEST if not self._console.is_terminal else self._console.width
        self._console.width = max(NARROWEST, min(WIDEST, piped))

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on."""
        return self._console.is_terminal

    def open(self, folder: str) -> None:
        """The beginning."""
        self._console.print()
        self._console.print(
            Text.assemble(
                ("bothways", "bold"), "  a table in ", (POSTGRES, _COLOURS[POSTGRES]), " and customers in ",
                (STRIPE, _COLOURS[STRIPE]), ", kept in step both ways",
            )
        )  # fmt: skip
        self._console.print(Text.assemble(("settings  ", "dim"), f"{folder}/bothways.toml"))

    def started(self, what: str, seconds: float) -> None:
        """A part of the demo runs."""
        self._line(Text("·", "dim"), Text("running", "dim"), Text(what, "dim"), f"{seconds:.1f} s")

    def step(self, number: int, title: str) -> None:
        """A step begins."""
        self._console.print()
        self._console.print(Text.assemble((f"{number:>2}  ", "dim"), (title, "bold")))

    def did(self, who: str, what: str) -> None:
        """Something was done."""
        self._line(Text("▸", "dim"), _name(who), Text(what), "")

    def seen(self, where: str, what: str, milliseconds: float) -> None:
        """It has arrived there, after so long."""
        self._line(Text("✓", "bold green"), _name(where), Text(what), _duration(milliseconds))

    def proven(self, where: str, what: str) -> None:
        """Something was looked at, and is as it should be."""
        self._line(Text("✓", "bold green"), _name(where), Text(what), "")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """For as long as something is waited for, a terminal says so."""
        if not self.is_terminal:
            yield
            return
        with self._console.status(Text(what, "dim"), spinner="dots", spinner_style="dim"):
            yield

    def result(self, facts: Mapping[str, str]) -> None:
        """What was seen, in sum."""
        self._console.print()
        self._console.print(
            Panel(_pairs(facts), title="seen", title_align="left", border_style="green", padding=(0, 1))
        )

    def by_hand(self, groups: Mapping[str, Sequence[str]]) -> None:
        """What can be tried by hand: a heading, and lines that can be copied. Nothing is wrapped or cut off."""
        for heading, lines in groups.items():
            self._console.print()
            self._console.print(Text(heading, "bold"))
            for line in lines:
                self._console.print(f"  {escape(line)}", soft_wrap=True)

    def failed(self, what: str, logs: Mapping[str, Sequence[str]]) -> None:
        """The demo ends here: what was not seen, and what the programs said last."""
        self._console.print()
        self._console.print(Panel(Text(what), title="failed", title_align="left", border_style="red", padding=(0, 1)))
        for name, lines in logs.items():
            shown = Group(Text(f"the end of {name}", "bold"), *(Text(line, "dim") for line in lines))
            self._console.print(Padding(shown, (1, 0, 0, 0)), soft_wrap=True)

    def say(self, text: str) -> None:
        """One line by itself."""
        self._console.print(Text(text))

    def gap(self) -> None:
        """An empty line."""
        self._console.print()

    def _line(self, mark: Text, who: Text, what: Text, time: str) -> None:
        grid = Table.grid(padding=(0, 1), expand=bool(time))
        grid.add_column(width=4, justify="right")
        grid.add_column(width=10)
        grid.add_column(ratio=1)
        if time:
            grid.add_column(width=9, justify="right")
        grid.add_row(mark, who, what, *([Text(time, "green")] if time else []))
        self._console.print(grid)


def _name(who: str) -> Text:
    return Text(who, _COLOURS.get(who, ""))


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"


def _pairs(facts: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in facts.items():
        grid.add_row(name, Text(value))
    return grid
