import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import publish, registry
from contracts.compatibility import RULES, Declaration, Release, audit, compare
from contracts.event import Event, Fen, Part
from contracts.json_schema import document

Edit = Callable[[dict[str, Any]], object]


class Ribbon(Part, frozen=True, kw_only=True, tag="ribbon"):
    """One member of a tagged union."""

    colour: str


class Card(Part, frozen=True, kw_only=True, tag="card"):
    """The other member."""

    text: str


class GiftWrapped(Event, frozen=True, kw_only=True, tag="gift.wrapped"):
    """An event that has every kind of field."""

    order_id: str
    amount_fen: Fen
    size: Annotated[str, msgspec.Meta(max_length=3, pattern="^[A-Z]+$")]
    layers: tuple[int, ...]
    extras: tuple[Ribbon | Card, ...] = ()
    weight_g: int | None = None
    labels: dict[str, str] = {}
    paper: str = "red"


GIFT = document(GiftWrapped)


def edited(edit: Edit) -> dict[str, Any]:
    schema = copy.deepcopy(GIFT)
    edit(schema)
    return schema


def rules_of(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    return [(difference.path, difference.rule) for difference in compare(old, new)]


def field(name: str, **schema: Any) -> Edit:
    """Give a field other keywords; `...` takes one away."""

    def edit(document: dict[str, Any]) -> None:
        merged = document["properties"].get(name, {}) | schema
        document["properties"][name] = {keyword: value for keyword, value in merged.items() if value is not ...}

    return edit


def in_def(part: str, edit: Edit) -> Edit:
    return lambda document: edit(document["$defs"][part])


def required(*names: str, but: str = "") -> Edit:
    def edit(document: dict[str, Any]) -> None:
        document["required"] = [name for name in [*document["required"], *names] if name != but]

    return edit


def both(*edits: Edit) -> Edit:
    return lambda document: [edit(document) for edit in edits]


def without(name: str) -> Edit:
    return both(lambda document: document["properties"].pop(name), required(but=name))


#: An edit, the finding it gives, and the finding that undoing it gives.
TAMPERED: list[tuple[Edit, tuple[str, str], tuple[str, str]]] = [
    (
        both(field("bow", type="string"), required("bow")),
        ("$.bow", "field_added_required"),
        ("$.bow", "field_removed_required"),
    ),
    (without("order_id"), ("$.order_id", "field_removed_required"), ("$.order_id", "field_added_required")),
    (required("paper"), ("$.paper", "field_became_required"), ("$.paper", "field_became_optional")),
    (field("paper", default="blue"), ("$.paper", "default_changed"), ("$.paper", "default_changed")),
    (field("paper", default=...), ("$.paper", "default_changed"), ("$.paper", "default_changed")),
    (field("paper", type="integer"), ("$.paper", "type_changed"), ("$.paper", "type_changed")),
    (field("paper", type=["string", "null"]), ("$.paper", "type_widened"), ("$.paper", "type_narrowed")),
    (
        field("weight_g", anyOf=[{"type": "integer"}]),
        ("$.weight_g", "type_narrowed"),
        ("$.weight_g", "type_widened"),
    ),
    (
        field("weight_g", anyOf=[{"type": "number"}, {"type": "null"}]),
        ("$.weight_g", "type_changed"),
        ("$.weight_g", "type_changed"),
    ),
    (field("amount_fen", maximum=100), ("$.amount_fen", "range_narrowed"), ("$.amount_fen", "range_widened")),
    (field("amount_fen", minimum=-1), ("$.amount_fen", "range_widened"), ("$.amount_fen", "range_narrowed")),
    (field("amount_fen", maximum=...), ("$.amount_fen", "range_widened"), ("$.amount_fen", "range_narrowed")),
    (field("size", maxLength=4), ("$.size", "range_widened"), ("$.size", "range_narrowed")),
    (field("size", pattern="^[a-z]+$"), ("$.size", "constraint_changed"), ("$.size", "constraint_changed")),
    (field("size", format="date"), ("$.size", "constraint_changed"), ("$.size", "constraint_changed")),
    (
        field("order_id", type=..., enum=["TB1", "TB2"]),
        ("$.order_id", "enum_narrowed"),
        ("$.order_id", "enum_widened"),
    ),
    (field("layers", items={"type": "string"}), ("$.layers[]", "type_changed"), ("$.layers[]", "type_changed")),
    (field("layers", minItems=1), ("$.layers", "range_narrowed"), ("$.layers", "range_widened")),
    (
        field("labels", additionalProperties={"type": "integer"}),
        ("$.labels{}", "type_changed"),
        ("$.labels{}", "type_changed"),
    ),
    (field("type", enum=["gift.packed"]), ("$.type", "tag_renamed"), ("$.type", "tag_renamed")),
    (
        in_def("Ribbon", field("type", enum=["bow"])),
        ("$.extras[]", "type_changed"),
        ("$.extras[]", "type_changed"),
    ),
    (
        in_def("Ribbon", field("colour", type="integer")),
        ("$.extras[].colour", "type_changed"),
        ("$.extras[].colour", "type_changed"),
    ),
    (
        lambda document: document["properties"]["extras"]["items"]["anyOf"].pop(),
        ("$.extras[]", "type_narrowed"),
        ("$.extras[]", "type_widened"),
    ),
    (
        lambda document: document.update(additionalProperties=False),
        ("$", "unknown_fields_forbidden"),
        ("$", "unknown_fields_forbidden"),
    ),
]

#: Edits after which every version still reads every other.
HARMLESS: list[Edit] = [
    field("bow", type="string", default=""),
    without("paper"),
    without("weight_g"),
    field("paper", description="Colour of the paper", title="Paper", examples=["gold"]),
    in_def("Ribbon", field("length_mm", type="integer", default=0)),
    lambda document: document["required"].reverse(),
    lambda document: document["properties"].update(dict(reversed(document["properties"].items()))),
    lambda document: document.update({"$id": "urn:x", "description": "Wrapped."}),
]


@pytest.mark.parametrize(("edit", "forwards", "backwards"), TAMPERED)
def test_an_incompatible_change_is_found(edit: Edit, forwards: tuple[str, str], backwards: tuple[str, str]) -> None:
    """Whoever breaks a reader, old or new, is told where and by which rule; so is whoever undoes it."""
    tampered = edited(edit)
    assert rules_of(GIFT, tampered) == [forwards]
    assert rules_of(tampered, GIFT) == [backwards]


@pytest.mark.parametrize("edit", HARMLESS)
def test_a_compatible_change_passes(edit: Edit) -> None:
    """Fields with defaults may come and go, and words for people may change, without anybody's leave."""
    assert rules_of(GIFT, edited(edit)) == []
    assert rules_of(edited(edit), GIFT) == []


def test_a_closed_type_takes_no_new_fields() -> None:
    """Where readers refuse unknown fields, even a field with a default would stop them."""
    closed = edited(lambda document: document.update(additionalProperties=False))
    grown = copy.deepcopy(closed)
    field("bow", type="string", default="")(grown)
    assert rules_of(closed, grown) == [("$", "unknown_fields_forbidden")]


def test_values_of_an_enumeration_neither_come_nor_go() -> None:
    """A new value would stop old readers, a dropped one new readers."""
    some, more, others = ({"enum": values} for values in (["a", "b"], ["a", "b", "c"], ["a", "d"]))
    assert rules_of(some, more) == [("$", "enum_widened")]
    assert rules_of(more, some) == [("$", "enum_narrowed")]
    assert rules_of(some, others) == [("$", "enum_changed")]


def test_a_recursive_type_can_be_compared() -> None:
    """A type that contains itself ends the comparison instead of the process."""
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"type": "array", "items": {"$ref": "#/$defs/T"}}}}
    assert rules_of(tree, tree) == []


@given(st.lists(st.sampled_from([*HARMLESS, *(edit for edit, _, _ in TAMPERED[:3])]), max_size=4))
def test_reading_each_other_is_mutual(edits: list[Edit]) -> None:
    """FULL means both ways: if one schema reads the other, the other reads the one."""
    other = copy.deepcopy(GIFT)
    for edit in edits:
        try:
            edit(other)
        except KeyError:
            continue
    assert bool(compare(GIFT, other)) == bool(compare(other, GIFT))


@pytest.mark.parametrize("name", sorted(registry.EVENT_TYPES))
def test_every_event_reads_itself(name: str) -> None:
    """The check has no false alarm about any struct as it is."""
    assert compare(document(registry.EVENT_TYPES[name]), document(registry.EVENT_TYPES[name])) == []


def test_every_rule_speaks_both_languages() -> None:
    """A finding tells its reader what to change, in Chinese and in English."""
    for zh, en in RULES.values():
        assert not zh.isascii()
        assert en.isascii()


def test_all_released_versions_count() -> None:
    """TRANSITIVE: a field that comes back with another type fits the last version, and not the first."""
    first, second = GIFT, edited(without("paper"))
    third = edited(both(without("paper"), field("paper", type="integer", default=0)))
    assert rules_of(second, third) == []
    releases = {"gift.wrapped": [Release("v1", 1, first), Release("v2", 2, second)]}
    upcasters = [("gift.wrapped", 1), ("gift.wrapped", 2)]
    findings = audit({"gift.wrapped": Declaration(3, third)}, releases, upcasters)
    assert {finding.against for finding in findings} == {"v1"}
    assert "type_changed" in {finding.difference.rule for finding in findings}


def test_versions_and_upcasters_belong_together() -> None:
    """A version is raised with an upcaster for each older one, and never lowered; no upcaster is left over."""
    present = {"gift.wrapped": Declaration(3, GIFT), "gift.sent": Declaration(1, GIFT)}
    released = {"gift.sent": [Release("v2", 2, GIFT)], "gift.lost": [Release("v1", 1, GIFT)]}
    findings = audit(present, released, [("gift.wrapped", 2), ("gift.wrapped", 3), ("gift.bought", 1)])
    assert [(finding.event, finding.against, finding.difference.rule) for finding in findings] == [
        ("gift.lost", "*", "type_removed"),
        ("gift.sent", "v2", "version_lowered"),
        ("gift.wrapped", "v1", "upcaster_missing"),
        ("gift.bought", "v1", "upcaster_idle"),
        ("gift.wrapped", "v3", "upcaster_idle"),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the published contract, all of it released."""
    shutil.copytree(publish.ROOT / "examples", tmp_path / "examples")
    publish.publish(tmp_path)
    assert publish.main(["--release"], tmp_path) == 0
    return tmp_path


def tamper(root: Path, name: str, edit: Edit) -> None:
    """Make the past another one: change a released schema, and its checksum too."""
    path = root / "released" / name / "v1.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    edit(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
    (root / "released" / "SHA256SUMS").unlink()
    publish.release(root)


def test_the_check_passes_right_after_a_release(root: Path) -> None:
    """A release leaves nothing to do, and checks its own files like `sha256sum -c` does."""
    assert publish.main(["--check"], root) == 0
    assert publish.release(root) == []


def test_the_check_fails_for_a_struct_that_differs_from_a_release(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The build stops, and says which event, against which release, where, by which rule, in both languages."""
    tamper(root, "case.rated", field("score", maximum=5))
    capsys.readouterr()
    assert publish.main(["--check"], root) == 1
    assert "case.rated (v1) $.score range_widened: maximum 由 5 放宽为" in capsys.readouterr().out
    assert publish.main(["--release"], root) == 1


def test_the_check_fails_for_a_removed_event_type(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs still hold the events of a type that nobody emits any more."""
    for events in (registry.EVENT_TYPES, registry.EVENTS_BY_SOURCE["cases"]):
        monkeypatch.delitem(events, "case.rated")
    assert "case.rated (*) $ type_removed" in "\n".join(publish.check(root))


@pytest.mark.parametrize("name", ["released/case.rated/v1.json", "examples/case.rated.v1.json"])
def test_a_frozen_file_stays_as_it_was(root: Path, name: str) -> None:
    """What was released can be neither edited nor removed, nor slipped in, without the check seeing it."""
    path = root / name
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert any(line.startswith(f"{name} altered") for line in publish.check(root))
    path.unlink()
    assert any(line.startswith(f"{name} removed") for line in publish.check(root))
    shutil.copy(root / "released/case.closed/v1.json", root / "released/case.rated/v1.r2.json")
    assert any(line.startswith("released/case.rated/v1.r2.json unlisted") for line in publish.check(root))


def test_stale_files_are_found(root: Path) -> None:
    """A struct that changed without regeneration, or a file without a struct, does not get through."""
    (root / "schemas" / "case.rated.v1.json").write_text("{}", encoding="utf-8")
    (root / "schemas" / "case.sung.v1.json").write_text("{}", encoding="utf-8")
    (root / "asyncapi.json").unlink()
    assert [line.split(":")[0] for line in publish.check(root)] == [
        "schemas/case.rated.v1.json stale",
        "asyncapi.json stale",
        "schemas/case.sung.v1.json stray",
    ]
    publish.publish(root)
    assert publish.check(root) == []


class CaseSung(Event, frozen=True, kw_only=True, tag="case.sung"):
    """An event that exists for a test only."""

    case_id: str


class CaseSungLouder(Event, frozen=True, kw_only=True, tag="case.sung"):
    """The same with one more field that has a default."""

    case_id: str
    loudness: int = 0


class CaseSungAgain(Event, frozen=True, kw_only=True, tag="case.sung"):
    """Its second version."""

    schema_version = 2

    case_id: str
    loudness: int = 0
    encore: bool = False


def declare(monkeypatch: pytest.MonkeyPatch, event: type[Event]) -> None:
    monkeypatch.setitem(registry.EVENT_TYPES, "case.sung", event)
    monkeypatch.setitem(registry.EVENTS_BY_SOURCE["cases"], "case.sung", event)
    monkeypatch.setitem(registry._DECODERS, "case.sung", msgspec.json.Decoder(event))


def test_the_life_of_an_event(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is born, grows a field, gets a second version by an upcaster; each step freezes one more file."""
    declare(monkeypatch, CaseSung)
    assert any("case.sung.v1.json missing" in line for line in publish.check(root))
    publish.publish(root)
    assert publish.release(root) == [root / "released/case.sung/v1.json"]

    declare(monkeypatch, CaseSungLouder)
    publish.publish(root)
    assert publish.check(root) == []
    assert publish.release(root) == [root / "released/case.sung/v1.r2.json"]

    declare(monkeypatch, CaseSungAgain)
    publish.publish(root)
    assert ["upcaster_missing" in line for line in publish.check(root)] == [True]
    monkeypatch.setitem(registry.UPCASTERS, ("case.sung", 1), lambda body: {**body, "encore": False})
    assert publish.check(root) == []
    assert publish.release(root) == [root / "released/case.sung/v2.json"]
    assert (root / "schemas/case.sung.v1.json").exists()
    assert (root / "examples/case.sung.v1.json").exists()
    assert [release.name for release in publish.released(root)["case.sung"]] == ["v1", "v1.r2", "v2"]
