"""A long case: its last happenings at once, the others page by page."""

from typing import Any

import pytest

from tests.http.server import Server


@pytest.fixture(scope="module")
def two(server: Server) -> tuple[str, str]:
    """Two cases of one order whose events take turns; between them the order's texts were erased."""
    order = server.order()
    first = server.case("logistics_delay", order_id=order)
    assert server.command(f"/v1/orders/{order}/erasure", {"reason": "buyer asked"}, "store_manager").status == 200
    second = server.case("logistics_delay", order_id=order)
    for number in range(12):
        for case in (first, second):
            body = {"tracking_no": f"YT{number}", "status": "在途"}
            assert server.command(f"/v1/cases/{case}/trace-parcel", body).status == 200
    server.settle()
    return first, second


def timeline(server: Server, case: str, query: str = "") -> dict[str, Any]:
    answer = server.get(f"/v1/cases/{case}{query}")
    assert answer.status == 200, answer.raw
    body: dict[str, Any] = answer.body
    return body


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in items]


@pytest.mark.parametrize("number", [0, 1, 5, 14, 500])
def test_the_last_happenings(server: Server, two: tuple[str, str], number: int) -> None:
    """As many as were asked for, the last ones, and how many are left out; the rest of the answer is the same."""
    for case in two:
        whole, part = timeline(server, case), timeline(server, case, f"?timeline={number}")
        events = whole.pop("timeline")
        shown = part.pop("timeline")
        assert shown == events[-number:] if number else not shown
        assert (whole.pop("earlier"), part.pop("earlier")) == (0, len(events) - len(shown))
        assert whole == part


def test_an_erasure_is_told_of_the_cases_that_were_there(server: Server, two: tuple[str, str]) -> None:
    """It is on the timeline of a case that was open, and neither told nor counted of one that was opened later."""
    told = [[one["type"] for one in timeline(server, case)["timeline"]] for case in two]
    assert ["personal_data.erased" in types for types in told] == [True, False]
    assert [types[0] for types in told] == ["case.opened", "case.opened"]


def test_earlier_ones_page_by_page(server: Server, two: tuple[str, str]) -> None:
    """Asking on with `before` gives every happening once, and the numbers of those that are left agree."""
    for case in two:
        whole = timeline(server, case)["timeline"]
        page = timeline(server, case, "/timeline?limit=4")
        seen = page["items"]
        while page["before"] is not None:
            left = page["earlier"]
            page = timeline(server, case, f"/timeline?limit=4&before={page['before']}")
            assert left == page["earlier"] + len(page["items"])
            seen = page["items"] + seen
        assert ids(seen) == ids(whole)
        assert page["earlier"] == 0
        assert timeline(server, case, "/timeline?before=1")["items"] == []


def test_as_of_a_moment_too(server: Server, two: tuple[str, str]) -> None:
    """Of a case as it was, the last happenings are those of then."""
    case = two[0]
    position = server.run(server.embedded._running["cases"].service.store.head_position()) - 6
    then = timeline(server, case, f"?as_of={position}")
    part = timeline(server, case, f"?as_of={position}&timeline=2")
    assert ids(part["timeline"]) == ids(then["timeline"][-2:])
    assert part["earlier"] == len(then["timeline"]) - 2


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("?timeline=501", "timeline", "range"),
        ("?timeline=-1", "timeline", "range"),
        ("?timeline=1&timeline=2", "timeline", "unique"),
        ("/timeline?before=x", "before", "range"),
        ("/timeline?limit=0", "limit", "range"),
        ("/timeline?after=1", "after", "known_filter"),
    ],
)
def test_a_wrong_question_is_refused(server: Server, two: tuple[str, str], query: str, field: str, rule: str) -> None:
    """Numbers out of bounds are named."""
    answer = server.get(f"/v1/cases/{two[0]}{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.field(field)["rule"] == rule


def test_an_unknown_case_has_none(server: Server, two: tuple[str, str]) -> None:
    """Of a case that is not there nothing is told, not even of its order."""
    assert server.get("/v1/cases/TB999-1/timeline").code == "unknown_case"
    assert server.get(f"/v1/cases/{two[0].rpartition('-')[0]}-9/timeline").code == "unknown_case"
