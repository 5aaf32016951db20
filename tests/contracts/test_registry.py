import inspect
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.event import Event, type_of


class CaseSung(Event, frozen=True, kw_only=True, tag="case.sung"):
    """A second version: the song got a language, which the first version had put into its title."""

    schema_version = 2

    case_id: str
    title: str
    language: str = "zh"


def lift(body: dict[str, Any]) -> dict[str, Any]:
    title, _, language = body["title"].partition("@")
    return {**body, "title": title, "language": language or "zh"}


@pytest.fixture
def sung(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An event type that exists for one test only."""
    monkeypatch.setitem(registry.EVENT_TYPES, "case.sung", CaseSung)
    monkeypatch.setitem(registry._DECODERS, "case.sung", msgspec.json.Decoder(CaseSung))
    return monkeypatch


OLD = b'{"type":"case.sung","case_id":"TB1-1","title":"Ode@de"}'


def test_an_older_version_is_lifted(sung: pytest.MonkeyPatch) -> None:
    """Code only knows the present shape: what an old log holds is lifted to it when it is read."""
    sung.setitem(registry.UPCASTERS, ("case.sung", 1), lift)
    assert registry.decode("case.sung", 1, OLD) == CaseSung(case_id="TB1-1", title="Ode", language="de")


def test_the_present_version_is_not_lifted(sung: pytest.MonkeyPatch) -> None:
    """An upcaster touches the versions below its own only."""
    sung.setitem(registry.UPCASTERS, ("case.sung", 1), lift)
    assert registry.decode("case.sung", 2, OLD) == CaseSung(case_id="TB1-1", title="Ode@de")


def test_an_older_version_without_upcaster_is_unknown(sung: pytest.MonkeyPatch) -> None:
    """A forgotten upcaster stops the reader instead of handing over half a fact."""
    with pytest.raises(registry.UnknownEvent, match=r"case\.sung version 1"):
        registry.decode("case.sung", 1, OLD)


def test_an_unknown_type_is_unknown() -> None:
    """A type that this release does not have is not guessed at."""
    with pytest.raises(registry.UnknownEvent, match=r"case\.hummed"):
        registry.decode("case.hummed", 1, b"{}")


def test_unknown_fields_are_ignored() -> None:
    """A field that a later release adds does not stop this one."""
    body = b'{"type":"case.rated","case_id":"TB1-1","score":4,"mood":"sunny"}'
    assert registry.decode("case.rated", 1, body) == registry.decode("case.rated", 1, body.replace(b"mood", b"hue"))


def test_a_body_that_breaks_its_schema_is_refused() -> None:
    """A body of another type, or with money that is no whole number of fen, becomes no event."""
    for body in (b'{"type":"case.closed"}', b'{"type":"insurance.paid","case_id":"TB1-1","amount_fen":12.5}'):
        with pytest.raises(msgspec.ValidationError):
            registry.decode("insurance.paid", 1, body)


def test_every_type_has_one_definition() -> None:
    """Two structs under one name would make the meaning of a stored event depend on import order."""
    by_source = [name for events in registry.EVENTS_BY_SOURCE.values() for name in events]
    everywhere = [*by_source, *registry.OPERATION_EVENTS]
    assert len(everywhere) == len(set(everywhere)) == len(registry.EVENT_TYPES)
    assert all(type_of(event) == name for name, event in registry.EVENT_TYPES.items())


def test_every_event_is_frozen_documented_and_has_a_subject() -> None:
    """An event is a fact: nobody changes it, everybody can read what it means and what it is about."""
    for event in registry.EVENT_TYPES.values():
        assert event.__struct_config__.frozen
        assert "__doc__" in vars(event)
        assert inspect.getdoc(event)
        assert event.subject is not Event.subject


def test_every_source_has_a_topic() -> None:
    """No event is decided that would have nowhere to go."""
    assert registry.EVENTS_BY_SOURCE.keys() == registry.TOPICS.keys()
    assert set(registry.TOPICS.values()) == {
        "orders.v1",
        "aftersales.cases.v1",
        "aftersales.refunds.v1",
        "aftersales.liability.v1",
        "aftersales.finance.v1",
    }
