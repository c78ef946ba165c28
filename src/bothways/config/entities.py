"""``[entities.NAME]``: which table stands for which object, field by field."""

from __future__ import annotations

import re

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from bothways.config.base import Model
from bothways.config.problems import suggestion
from bothways.sync.mapping import DATABASE, Deletes, Ways
from bothways.sync.transforms import NAMED

_PATH = re.compile(r"[^.\s]+(\.[^.\s]+)*")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class TransformSettings(Model):
    """A named transform, or a pair of Python functions of the user's own, each the other's inverse."""

    name: str | None = Field(None, description="The name of a transform; a bare text is short for it.")
    outward: str | None = Field(None, description="Column's value → field's value: `shop.sync:to_stripe`.")
    inward: str | None = Field(None, description="Field's value → column's value: `shop.sync:from_stripe`.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> TransformSettings:
        if self.name is not None and self.name not in NAMED:
            raise ValueError(f"is no transform{suggestion(self.name, NAMED)}")
        if (self.name is None) != (self.outward is not None and self.inward is not None):
            raise ValueError('must be a transform\'s name, or { outward = "module:f", inward = "module:g" }')
        return self

    @field_validator("outward", "inward")
    @classmethod
    def _is_an_import_path(cls, value: str | None) -> str | None:
        if value is not None and not _FUNCTION.fullmatch(value):
            raise ValueError('must be a module and a function, as "shop.sync:to_stripe"')
        return value


class FieldSettings(Model):
    """One column and the field that it stands for. ``name = "name"`` is short for ``name = { field = "name" }``."""

    field: str = Field(description="Path in the remote object: `address.city`.", examples=['"address.city"'])
    wins: str = Field(DATABASE, description="Who wins a conflict: `database`, the system, `latest` or `review`.")
    direction: Ways = Field(Ways.BOTH, description="`both`, `out` (to the system) or `in` (to the database).")
    transform: TransformSettings | None = Field(
        None, description="A named transform or a pair of functions; chosen by the column's type unless set."
    )
    ref: str | None = Field(None, description="The entity that the column points to.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {"field": value}
        if not isinstance(value, dict):
            raise ValueError('must be a field\'s name, or a table as { field = "phone", wins = "stripe" }')
        return value

    @field_validator("field")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not _PATH.fullmatch(value):
            raise ValueError('must be names with dots between them, as "address.city"')
        return value


class DeletesSettings(Model):
    """What becomes of deletions, per direction. ``deletes = "ignore"`` means both."""

    out: Deletes = Field(Deletes.PROPAGATE, description="Of rows: `propagate`, `mark` or `ignore`.")
    in_: Deletes = Field(Deletes.PROPAGATE, alias="in", description="Of remote objects: the same.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in list(Deletes):
                raise ValueError('must be "propagate", "mark" or "ignore", or { out = "…", in = "…" }')
            return {"out": value, "in": value}
        return value


class ColumnMark(Model):
    """What is written to a row instead of deleting it."""

    column: str = Field(description="Column that is set.", examples=['"status"'])
    value: JsonValue = Field(description="What it is set to.", examples=['"deleted"'])


class FieldMark(Model):
    """What is written to a remote object instead of deleting it."""

    field: str = Field(description="Path that is set.", examples=['"metadata.deleted"'])
    value: JsonValue = Field(description="What it is set to.", examples=['"yes"'])


class RemoteMapping(Model):
    """``[entities.NAME.SYSTEM]``: the object of one system, and how its fields map."""

    object: str = Field(description="Kind of object there.", examples=['"customer"'])
    id_column: str | None = Field(None, description="The user's own column that holds the object's id.")
    match_on: tuple[str, ...] = Field((), description="Columns that together find the counterpart of a new record.")
    fields: dict[str, FieldSettings] = Field(description="Column = field.", min_length=1)
    mark: FieldMark | None = Field(None, description="What is set where `deletes.out` is `mark`.")


class EntitySettings(Model):
    """``[entities.NAME]``; every further table in it is named after a system and is a ``RemoteMapping``."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, RemoteMapping] = Field(init=False)

    table: str = Field(description="The table, with its schema if need be: `shop.customers`.", examples=['"customers"'])
    topic: str | None = Field(None, description="Topic of its changes; `<prefix>.<entity>` unless set.")
    where: str | None = Field(None, description="SQL condition: which rows take part.")
    deletes: DeletesSettings = Field(
        default_factory=DeletesSettings.model_construct, description="What becomes of deletions."
    )
    mark: ColumnMark | None = Field(None, description="What is set where `deletes.in` is `mark`.")

    @property
    def remotes(self) -> dict[str, RemoteMapping]:
        """System's name → mapping."""
        return self.__pydantic_extra__
