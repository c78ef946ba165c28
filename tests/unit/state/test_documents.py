"""Links and attempts survive their documents."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.state.documents import dump, dump_attempt, dump_link, load, load_attempt, load_link
from tests.suites.catalogue_state import ATTEMPT, full

VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LINK = Link(RecordId("customer", '{"id":1}'), "stripe", "t1")
COLUMNS = ("record", "system", "token", "generation", "remote_id", "deleted", "revision", "due")


def again(link: Link) -> Link:
    """Through the document and back."""
    return load_link(dump_link(link), **{name: getattr(link, name) for name in COLUMNS})


def test_every_field_survives() -> None:
    """A full link, whose every field differs from a new one's, comes back equal."""
    link = full(LINK)
    unset = [each.name for each in fields(Link) if getattr(link, each.name) == getattr(LINK, each.name)]
    assert unset == ["record", "system", "token"]
    assert again(link) == link
    assert again(LINK) == LINK
    assert load_attempt(dump_attempt(ATTEMPT)) == ATTEMPT


def test_a_document_of_another_version() -> None:
    """A field that it does not name has its default; one that we do not know is left out."""
    assert load_link('{"refused":{"name":1},"later":true}', record=LINK.record, system="stripe", token="t1") == replace(
        LINK, refused={"name": 1}
    )


@given(VALUES)
def test_any_value_survives(value: Value) -> None:
    """Whole numbers of any size, any text, with their types."""
    assert load(dump(value)) == value
    assert repr(load(dump(value))) == repr(value)
    link = replace(LINK, refused={"name": value})
    assert again(link) == link


@given(st.text())
def test_documents_are_plain_text(text: str) -> None:
    """No character that a database's text cannot hold gets into a document."""
    assert dump(text).isascii()
    assert "\0" not in dump(text)
