"""Do the settings fit the tables and the objects that are there? If so, the mappings; if not, all that does not fit."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bothways.config import Settings
from bothways.config.entities import EntitySettings, FieldSettings, RemoteMapping, TransformSettings
from bothways.config.problems import Place, Problem, suggestion
from bothways.connectors.postgres.tables import Column, TableDescription
from bothways.model.errors import SettingsError
from bothways.model.values import Value
from bothways.sync.mapping import EntityMapping, FieldMap, MarkColumn, TableMap, Ways
from bothways.sync.transforms import AS_IS, NAMED, Transform, as_text, own
from bothways.wiring import postgres
from bothways.wiring.forms import Form, advice, can_work, default_transform
from bothways.wiring.kinds import Kind, RemoteField

Mappings = Mapping[tuple[str, str], EntityMapping]
"""By entity and system."""


def table_maps(settings: Settings) -> tuple[TableMap, ...]:
    """What each entity needs of its table: known without looking at the database."""
    return tuple(
        TableMap(name, entity.table, settings.topic(name), _columns(entity), entity.where)
        for name, entity in settings.entities.items()
    )


def _columns(entity: EntitySettings) -> frozenset[str]:
    columns = {entity.mark.column} if entity.mark else set[str]()
    for remote in entity.remotes.values():
        columns |= set(remote.fields)
        columns |= {remote.id_column} if remote.id_column else set()
    return frozenset(columns)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits."""

    tables: Mapping[str, TableDescription]
    """By entity, as they are in the database."""
    mappings: Mappings


def fit(settings: Settings, tables: Mapping[str, TableDescription], kinds: Mapping[str, Kind]) -> Fitted:
    """The mappings of these settings. Raises ``SettingsError`` with every problem and its line."""
    fitting = _Fitting(settings, tables, kinds)
    with importable(settings.folder):
        mappings = {
            (name, system): fitting.mapping(name, entity, system, remote)
            for name, entity in settings.entities.items()
            for system, remote in entity.remotes.items()
        }
    if fitting.problems:
        raise settings.refusal(fitting.problems)
    return Fitted(tables, mappings)


class _Fitting:
    """Makes mappings, and notes what does not fit."""

    def __init__(self, settings: Settings, tables: Mapping[str, TableDescription], kinds: Mapping[str, Kind]) -> None:
        self.problems: list[Problem] = []
        self._tables = tables
        self._kinds = {name: kinds[system.kind] for name, system in settings.systems.items()}

    def mapping(self, name: str, entity: EntitySettings, system: str, remote: RemoteMapping) -> EntityMapping:
        place: Place = ("entities", name, system)
        table, kind = self._tables[name], self._kinds[system]
        self.problems += _of_object(place, remote, kind)
        self.problems += _of_columns(("entities", name), system, entity, remote, table)
        fields = tuple(
            self._field((*place, "fields", column), column, each, table, kind, remote.object)
            for column, each in remote.fields.items()
        )
        self.problems += _of_insert(place, remote, fields, table)
        return EntityMapping(
            entity=name,
            system=system,
            object=remote.object,
            fields=fields,
            id_column=remote.id_column,
            match_on=remote.match_on,
            deletes_out=entity.deletes.out,
            deletes_in=entity.deletes.in_,
            mark_out=MarkColumn(remote.mark.field, cast(Value, remote.mark.value)) if remote.mark else None,
            mark_in=MarkColumn(entity.mark.column, cast(Value, entity.mark.value)) if entity.mark else None,
        )

    def _field(
        self, place: Place, name: str, settings: FieldSettings, table: TableDescription, kind: Kind, object: str
    ) -> FieldMap:
        column = table.columns.get(name)
        remote = self._remote_field(place, kind, object, settings.field)
        transform = AS_IS
        if column is not None and remote is not None:
            self.problems += _of_ways(place, settings.direction, column, remote, settings.field)
            if settings.ref is None:
                transform = self._transform(place, settings.transform, column, remote)
        return FieldMap(
            column=name,
            path=settings.field,
            ways=settings.direction,
            wins=settings.wins,
            transform=transform,
            ref=settings.ref,
            ref_key=self._key_of(place, settings.ref) if settings.ref else "id",
        )

    def _remote_field(self, place: Place, kind: Kind, object: str, path: str) -> RemoteField | None:
        if object not in kind.objects():
            return None  # said already, once for all fields
        try:
            return kind.field(object, path)
        except SettingsError as error:
            self.problems.append(Problem(place, str(error)))
            return None

    def _transform(
        self, place: Place, settings: TransformSettings | None, column: Column, remote: RemoteField
    ) -> Transform:
        form = postgres.form(column)
        if settings is not None:
            try:
                chosen = chosen_transform(settings)
            except ValueError as error:
                self.problems.append(Problem(place, str(error)))
                return AS_IS
            if settings.name is not None and not can_work(chosen, form, remote.form):
                text = f"{settings.name} cannot work between the column, which is {column.type_name}, and the field, "
                self.problems.append(Problem(place, f"{text}{remote.form}; {advice(form, remote.form)}"))
            return as_text(chosen) if remote.form is Form.TEXT else chosen
        if found := default_transform(form, remote.form):
            return found
        self.problems.append(
            Problem(
                place,
                f"the column is {column.type_name}, the field {remote.form}: one does not say how to write the other; "
                + advice(form, remote.form),
            )
        )
        return AS_IS

    def _key_of(self, place: Place, entity: str) -> str:
        """The column that a reference holds."""
        key = self._tables[entity].key
        if len(key) != 1:
            self.problems.append(
                Problem(place, f"{entity} has a key of {len(key)} columns, and one column cannot point to it")
            )
            return "id"
        return key[0]


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """The user's own functions may stand beside the settings."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def chosen_transform(settings: TransformSettings) -> Transform:
    """The transform that the settings name. Raises ``ValueError`` where a function is not there."""
    if settings.name is not None:
        return NAMED[settings.name]
    assert settings.outward is not None
    assert settings.inward is not None
    paths = settings.outward, settings.inward
    return own(paths, (_function(paths[0]), _function(paths[1])))


def _function(path: str) -> Callable[[Value], Value]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(
            f"the module {module} cannot be imported ({error}); it has to stand beside the settings or on PYTHONPATH"
        ) from None
    except AttributeError:
        raise ValueError(f"the module {module} has no {name}") from None
    if not callable(found):
        raise ValueError(f"{path} is no function")
    return cast(Callable[[Value], Value], found)


def _of_object(place: Place, remote: RemoteMapping, kind: Kind) -> Iterator[Problem]:
    if remote.object not in kind.objects():
        known = suggestion(remote.object, kind.objects())
        yield Problem((*place, "object"), f'there is no object "{remote.object}" there{known}')
    elif remote.mark is not None:
        try:
            if not kind.field(remote.object, remote.mark.field).writable:
                yield Problem((*place, "mark"), f"{remote.mark.field} can only be read")
        except SettingsError as error:
            yield Problem((*place, "mark"), str(error))


def _of_columns(
    place: Place, system: str, entity: EntitySettings, remote: RemoteMapping, table: TableDescription
) -> Iterator[Problem]:
    """Columns that are not there, or cannot hold what they are meant for."""
    for column in remote.fields:
        if column not in table.columns:
            known = suggestion(column, table.columns)
            yield Problem((*place, system, "fields", column), f'{table.name} has no column "{column}"{known}')
    if entity.mark is not None and entity.mark.column not in table.columns:
        known = suggestion(entity.mark.column, table.columns)
        yield Problem((*place, "mark"), f'{table.name} has no column "{entity.mark.column}"{known}')
    if remote.id_column is None:
        return
    where = (*place, system, "id_column")
    column_of_id = table.columns.get(remote.id_column)
    if column_of_id is None:
        known = suggestion(remote.id_column, table.columns)
        yield Problem(where, f'{table.name} has no column "{remote.id_column}"{known}')
    elif not column_of_id.textual:
        yield Problem(where, f"is {column_of_id.type_name}; it has to hold text")
    elif not column_of_id.nullable:
        yield Problem(where, "is not null; a new row has no counterpart yet, so it has to be nullable")


def _of_ways(place: Place, ways: Ways, column: Column, remote: RemoteField, path: str) -> Iterator[Problem]:
    if ways is not Ways.IN and not remote.writable:
        yield Problem(place, f'{path} can only be read; write direction = "in"')
    if ways is not Ways.OUT and column.generated:
        yield Problem(place, 'the database alone writes this column; write direction = "out"')


def _of_insert(
    place: Place, remote: RemoteMapping, fields: tuple[FieldMap, ...], table: TableDescription
) -> Iterator[Problem]:
    """An object that was made there becomes a row here: whatever it does not fill has to have a default.

    Also where it is filled, the object's field may be empty: that row is a dead letter, the others go on.
    """
    if not any(field.comes_in for field in fields):
        return
    filled = {field.column for field in fields if field.comes_in} | {remote.id_column}
    for column in table.columns.values():
        if column.nullable or column.has_default or column.name in filled:
            continue
        yield Problem(
            place,
            f"{table.name}.{column.name} is not null and has no default, and nothing there fills it; "
            f"ALTER TABLE {table.sql_name} ALTER COLUMN {column.sql_name} SET DEFAULT …; or map it",
        )
