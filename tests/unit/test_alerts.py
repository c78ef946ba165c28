"""docs/alerts.yml: rules that Prometheus reads, about numbers that docs/metrics.md explains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
ROWS = re.findall(r"^\| `(bothways_\w+)` \| \w+ \| (.*?) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
LABELS = {name: {"instance", *re.findall(r"`(\w+)`", labels)} for name, labels in ROWS}


def numbers(text: str) -> set[str]:
    """The names of ours in an expression."""
    return set(re.findall(r"bothways_\w+", text))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_rule_asks_for_numbers_that_are_explained(rule: dict[str, Any]) -> None:
    """Also by labels that they have; and says what to do."""
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert numbers(rule["expr"]) <= LABELS.keys()
    assert numbers(rule["expr"])
    assert rule["expr"].count("(") == rule["expr"].count(")")
    known = set.union(*(LABELS[name] for name in numbers(rule["expr"])))
    used = re.findall(r"by \(([\w, ]+)\)", rule["expr"]) + re.findall(r"[{,](\w+)=", rule["expr"])
    shown = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
    assert {name.strip() for names in used for name in names.split(",")} <= known
    grouped = {name.strip() for names in re.findall(r"by \(([\w, ]+)\)", rule["expr"]) for name in names.split(",")}
    assert set(shown) <= grouped, "a label that the expression leaves out is empty"
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))


def test_no_two_rules_share_a_name() -> None:
    """They could not be told apart."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
