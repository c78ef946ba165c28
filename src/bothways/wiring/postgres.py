"""What a PostgreSQL column holds, as transforms have to know it."""

from __future__ import annotations

from collections.abc import Mapping

from bothways.connectors.postgres.tables import Column
from bothways.connectors.postgres.values import Kind
from bothways.wiring.forms import Form

FORMS: Mapping[Kind, Form] = {
    Kind.INTEGER: Form.INTEGER,
    Kind.FLOAT: Form.FLOAT,
    Kind.BOOLEAN: Form.BOOLEAN,
    Kind.TIMESTAMP: Form.MOMENT,
    Kind.TIMESTAMPTZ: Form.MOMENT,
    Kind.BYTES: Form.BYTES,
    Kind.JSON: Form.JSON,
    Kind.ARRAY: Form.LIST,
}
_NAMED: Mapping[str, Form] = {"numeric": Form.DECIMAL, "money": Form.OTHER, "date": Form.DATE}


def form(column: Column) -> Form:
    """The column's form."""
    if found := FORMS.get(column.type.kind):
        return found
    if column.textual:
        return Form.TEXT
    return _NAMED.get(column.cast, Form.OTHER)
