"""What a single setting cannot tell: names that must be known, and mappings that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from bothways.config.entities import EntitySettings, RemoteMapping
from bothways.config.problems import Place, Problem, suggestion
from bothways.config.settings import Settings, is_name, is_topic
from bothways.config.systems import PLANNED_KINDS
from bothways.sync.mapping import DATABASE, LATEST, REVIEW, Deletes, Ways

KINDS = ("stripe",)
_NOT_YET: Mapping[Place, str] = {
    ("views",): "views are not there yet; take this table out for now",
}
_RESERVED = frozenset({DATABASE, LATEST, REVIEW, *EntitySettings.model_fields})


def of_tree(tree: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong with the tree as such, before its values are looked at."""
    for place, message in _NOT_YET.items():
        if _at(tree, place) is not None:
            yield Problem(place, message)
    systems = _table(tree, "systems")
    for name, system in systems.items():
        yield from _system(name, system)
    for name, entity in _table(tree, "entities").items():
        yield from _entity_keys(name, entity, systems)


def of_settings(settings: Settings) -> Iterator[Problem]:
    """What is wrong with settings whose every value is well formed."""
    for name, entity in settings.entities.items():
        place: Place = ("entities", name)
        if not is_topic(settings.topic(name)):
            yield Problem((*place, "topic"), "must be letters, digits, dots, underscores and hyphens, 249 at most")
        yield from _marks(place, entity)
        yield from _winners(place, entity)
        yield from _shared_id_columns(place, entity)
        for system, remote in entity.remotes.items():
            yield from _remote((*place, system), system, remote, settings)
    yield from _shared_keys(settings)
    yield from _shared_tables(settings)
    yield from _shared_objects(settings)
    yield from _topics(settings)


def _at(tree: Mapping[str, object], place: Place) -> object:
    value: object = tree
    for part in place:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _table(tree: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = tree.get(name)
    return value if isinstance(value, Mapping) else {}


def _system(name: str, system: object) -> Iterator[Problem]:
    place: Place = ("systems", name)
    if not is_name(name) or name in _RESERVED:
        yield Problem(place, "is no name for a system; use small letters, digits and underscores, and no reserved word")
    elif isinstance(system, Mapping) and system.get("kind") not in KINDS:
        kind = system.get("kind")
        if kind in PLANNED_KINDS:
            yield Problem(place, f"{kind} is not there yet; there is: {', '.join(KINDS)}")
        else:
            yield Problem(place, f'"{kind}" is no kind of system; write kind = "{KINDS[0]}"')


def _entity_keys(name: str, entity: object, systems: Mapping[str, object]) -> Iterator[Problem]:
    place: Place = ("entities", name)
    if not is_name(name):
        yield Problem(place, "is no name for an entity; use small letters, digits and underscores")
    if not isinstance(entity, Mapping):
        return
    own = [info.alias or field for field, info in EntitySettings.model_fields.items()]
    for key, value in entity.items():
        if key in own or key in systems:
            continue
        if isinstance(value, Mapping):
            known = suggestion(key, systems) or f"; add [systems.{key}]"
            yield Problem((*place, key), f"there is no system of that name{known}")
        else:
            yield Problem((*place, key), "there is no such setting" + suggestion(key, own))


def _marks(place: Place, entity: EntitySettings) -> Iterator[Problem]:
    if entity.deletes.in_ is Deletes.MARK and entity.mark is None:
        yield Problem(
            (*place, "deletes"), 'marks rows, but not how; write mark = { column = "status", value = "deleted" }'
        )
    for system, remote in entity.remotes.items():
        if entity.deletes.out is Deletes.MARK and remote.mark is None:
            example = 'mark = { field = "metadata.deleted", value = "yes" }'
            yield Problem((*place, system), f"deletions are to be marked there, but not how; write {example}")


def _winners(place: Place, entity: EntitySettings) -> Iterator[Problem]:
    """At most one remote may win a field: with two there would be no end."""
    first: dict[str, str] = {}
    for system, remote in entity.remotes.items():
        for column, field in remote.fields.items():
            if field.wins != system:
                continue
            if column in first:
                yield Problem(
                    (*place, system, "fields", column),
                    f'{first[column]} wins "{column}" already, and one remote at most may; write wins = "database"',
                )
            first.setdefault(column, system)


def _shared_id_columns(place: Place, entity: EntitySettings) -> Iterator[Problem]:
    """A row has an object in each system, each with an id of its own."""
    first: dict[str, str] = {}
    for system, remote in entity.remotes.items():
        column = remote.id_column
        if column is None:
            continue
        if column in first:
            yield Problem(
                (*place, system, "id_column"),
                f'"{column}" holds the ids of {first[column]} already; '
                f'name a column of its own, as id_column = "{system}_id", or leave it out',
            )
        first.setdefault(column, system)


def _remote(place: Place, system: str, remote: RemoteMapping, settings: Settings) -> Iterator[Problem]:
    for index, column in enumerate(remote.match_on):
        if column not in remote.fields:
            yield Problem(
                (*place, "match_on", str(index)),
                f'"{column}" is not mapped at {system}{suggestion(column, remote.fields)}',
            )
    if remote.id_column in remote.fields:
        yield Problem((*place, "fields", str(remote.id_column)), "holds the object's id, so it stands for no field")
    allowed = (DATABASE, system, LATEST, REVIEW)
    for column, field in remote.fields.items():
        here = (*place, "fields", column)
        if field.wins not in allowed:
            yield Problem(here, f'"{field.wins}" cannot win here{suggestion(field.wins, allowed)}')
        if field.ref is not None:
            yield from _reference(here, field.ref, system, settings)
    yield from _shared_fields(place, remote)


def _reference(place: Place, ref: str, system: str, settings: Settings) -> Iterator[Problem]:
    if ref not in settings.entities:
        yield Problem(place, f'"{ref}" is no entity{suggestion(ref, settings.entities)}')
    elif system not in settings.entities[ref].remotes:
        yield Problem(place, f'"{ref}" is not mapped at {system}; add [entities.{ref}.{system}]')


def _shared_fields(place: Place, remote: RemoteMapping) -> Iterator[Problem]:
    """Two columns may read one field; if two write it, or one writes a part of what the other does, they fight."""
    outward = [(column, field.field) for column, field in remote.fields.items() if field.direction is not Ways.IN]
    for (one, path), (other, second) in combinations(outward, 2):
        if path == second or path.startswith(f"{second}.") or second.startswith(f"{path}."):
            yield Problem(
                (*place, "fields", other),
                f'writes what "{one}" writes already ({path}); give one of them direction = "in"',
            )


def _shared_keys(settings: Settings) -> Iterator[Problem]:
    """Two systems of one account would each make an object of every row."""
    for (name, system), (other, same) in combinations(settings.systems.items(), 2):
        if (system.api_key, system.api_base) == (same.api_key, same.api_base):
            yield Problem(("systems", other, "api_key"), f"is the key of {name}; give each account one system")


def _shared_tables(settings: Settings) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, entity in settings.entities.items():
        table = entity.table.removeprefix("public.")
        if table in first:
            yield Problem(("entities", name, "table"), f'"{entity.table}" is the entity {first[table]} already')
        first.setdefault(table, name)


def _shared_objects(settings: Settings) -> Iterator[Problem]:
    first: dict[tuple[str, str], str] = {}
    for name, entity in settings.entities.items():
        for system, remote in entity.remotes.items():
            place = (system, remote.object)
            if place in first:
                yield Problem(
                    ("entities", name, system, "object"),
                    f"{system}'s {remote.object} is the entity {first[place]} already; one object, one entity",
                )
            first.setdefault(place, name)


def _topics(settings: Settings) -> Iterator[Problem]:
    """Entities may share a topic, but not with what remotes report or what failed."""
    taken = {settings.dead_letter_topic: "dead letters"}
    for name, entity in settings.entities.items():
        taken |= {settings.event_topic(system, name): f"what {system} reports" for system in entity.remotes}
    for name in settings.entities:
        if use := taken.get(settings.topic(name)):
            yield Problem(
                ("entities", name, "topic"), f'"{settings.topic(name)}" is the topic of {use}; choose another'
            )
