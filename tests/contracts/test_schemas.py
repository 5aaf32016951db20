import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from contracts import envelope, publish, registry
from contracts.json_schema import document

EXAMPLES = publish.examples()
ASYNCAPI: dict[str, Any] = json.loads((publish.ROOT / "asyncapi.json").read_text(encoding="utf-8"))


def each_example(test: Any) -> Any:
    return pytest.mark.parametrize(("name", "version", "path"), EXAMPLES, ids=[path.stem for _, _, path in EXAMPLES])(
        test
    )


def present_schema(name: str, version: int) -> dict[str, Any]:
    path = publish.ROOT / "schemas" / f"{name}.v{version}.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def test_the_contract_may_be_merged() -> None:
    """What is checked in is what the structs give, and every released version is still read and readable."""
    assert publish.check() == []


@each_example
def test_an_example_survives_decoding(name: str, version: int, path: Path) -> None:
    """What was once written means the same when it is read and written again."""
    event = registry.decode(name, version, path.read_bytes())
    if version == event.schema_version:
        assert json.loads(registry.encode(event)) == json.loads(path.read_bytes())


@each_example
def test_an_example_fits_its_schema(name: str, version: int, path: Path) -> None:
    """The published schema describes what is really sent."""
    jsonschema.Draft202012Validator(present_schema(name, version)).validate(json.loads(path.read_bytes()))


@each_example
def test_an_example_fits_every_released_schema(name: str, version: int, path: Path) -> None:
    """Whichever version a reader was built with, it takes what any version wrote."""
    for release in publish.released().get(name, []):
        jsonschema.Draft202012Validator(release.schema).validate(json.loads(path.read_bytes()))


def test_every_event_version_has_an_example() -> None:
    """A newcomer finds a real payload for each event, old versions included."""
    wanted = {
        (name, version)
        for name, event in registry.EVENT_TYPES.items()
        for version in range(1, event.schema_version + 1)
    }
    assert {(name, version) for name, version, _ in EXAMPLES} == wanted


def test_every_schema_stands_alone() -> None:
    """A schema can be handed to another team as one file: it is valid, named, explained and open to new fields."""
    for name, event in registry.EVENT_TYPES.items():
        schema = document(event)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == envelope.dataschema(name, event.schema_version)
        assert schema["title"]
        assert schema["description"]
        definitions = [f"#/$defs/{part}" for part in schema.get("$defs", {})]
        assert sorted(set(values_of("$ref", schema))) == definitions
        assert False not in values_of("additionalProperties", schema)


def test_a_missing_example_is_drafted_and_a_written_one_is_kept(tmp_path: Path) -> None:
    """Publishing gives a new event a first example, and never touches what somebody wrote."""
    written = tmp_path / "examples" / "case.rated.v1.json"
    written.parent.mkdir()
    written.write_text('{"type":"case.rated","case_id":"TB1-1","score":1}', encoding="utf-8")
    publish.publish(tmp_path)
    assert written.read_text(encoding="utf-8") == '{"type":"case.rated","case_id":"TB1-1","score":1}'
    for name, version, path in publish.examples(tmp_path):
        body = json.loads(path.read_bytes())
        assert json.loads(registry.encode(registry.decode(name, version, path.read_bytes()))) == body
        jsonschema.Draft202012Validator(document(registry.EVENT_TYPES[name])).validate(body)


def test_publishing_twice_changes_nothing(tmp_path: Path) -> None:
    """Generation is stable: a diff shows what somebody changed, and only that."""
    assert publish.publish(tmp_path)
    assert publish.publish(tmp_path) == []
    assert publish.check(tmp_path) == []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """Tools can load the document: each `$ref` is a place in it, or a schema file beside it."""
    for reference in values_of("$ref", ASYNCAPI):
        if reference.startswith("#/"):
            place: Any = ASYNCAPI
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
        else:
            assert (publish.ROOT / reference).is_file(), reference


def test_the_asyncapi_document_has_every_topic_and_event() -> None:
    """The document leaves nothing out: each topic is a channel, each event a message of the channel it is sent on."""
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert ASYNCAPI["info"].keys() >= {"title", "version"}
    channels = ASYNCAPI["channels"]
    assert {source: channel["address"] for source, channel in channels.items()} == registry.TOPICS
    for source, events in registry.EVENTS_BY_SOURCE.items():
        assert events.keys() <= channels[source]["messages"].keys()
        assert f"{registry.TOPICS[source]}.<group>.dlq" in channels[source]["description"]
    assert ASYNCAPI["components"]["messages"].keys() == registry.EVENT_TYPES.keys()


def test_the_operations_use_messages_of_their_channel() -> None:
    """AsyncAPI 3 lets an operation only use what its channel carries; upstream's topic is never written to."""
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    sending = {o["channel"]["$ref"] for o in ASYNCAPI["operations"].values() if o["action"] == "send"}
    assert sending == {f"#/channels/{source}" for source in registry.HEARS}


def test_the_described_headers_are_the_sent_ones() -> None:
    """A consumer that validates headers by the document accepts every message that is really sent."""
    name, version, path = next(example for example in EXAMPLES if example[0] == "case.opened")
    record = envelope.Envelope(
        stream="TB1001",
        sequence=1,
        id="019a9b2e-6f00-7c31-8f2a-0d6a5f3c1b11",
        type=name,
        schema=version,
        source="cases",
        subject="TB1001-1",
        time=registry.decode(
            "promise.made", 1, (publish.ROOT / "examples/promise.made.v1.json").read_bytes()
        ).first_answer_due_at,  # type: ignore[attr-defined]
        actor="agent/小李",
        correlation_id="c",
        causation_id="",
        policy="1.0",
        traceparent="",
        data=path.read_bytes(),
    )
    sent = {header: raw.decode() for header, raw in envelope.headers(record)}
    described = ASYNCAPI["components"]["schemas"]["headers"]
    jsonschema.Draft7Validator(described).validate(sent)
    assert sent.keys() <= described["properties"].keys()
    own = ASYNCAPI["components"]["messages"][name]["headers"]["properties"]
    assert {header: own[header]["const"] for header in own} == {header: sent[header] for header in own}
    assert ASYNCAPI["components"]["messages"][name]["examples"]


def values_of(keyword: str, node: Any) -> list[Any]:
    """Every value that a keyword has anywhere in a document."""
    if isinstance(node, list):
        return [value for part in node for value in values_of(keyword, part)]
    if not isinstance(node, dict):
        return []
    below = [value for part in node.values() for value in values_of(keyword, part)]
    return [*([node[keyword]] if keyword in node else []), *below]
