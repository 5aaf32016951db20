"""Pages of operations as a plain client gets them: dead letters, forms of long work, and what is asked in the past."""

import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote
from uuid import uuid4

import pytest

from services.console.navigation import EVERYBODY, OPERATIONS
from services.console.pages.operations.overview import together
from services.console.pages.operations.time import MONTHS, days_of
from services.console.pages.operations.what_if import mistakes
from tests.cli.parked import TOPIC, early, parked
from tests.console.pages import Reader, text_of
from tests.console.places import set_aside
from tests.http.server import Server

HOSTILE = "<script>alert(1)</script>"
PLACE = "/console/operations/dead-letters/liability"


@pytest.fixture
def boss(shop: Server) -> Iterator[Reader]:
    """The store manager at the pages, in English."""
    reader = Reader(shop, "store_manager", "Chen", "en")
    yield reader
    reader.close()


def test_samples_of_all_consumers_are_drawn_as_one() -> None:
    """The chart shows the sum of what all have before them, and the oldest of it, moment by moment."""
    then, later = "2026-10-06T09:00:00+08:00", "2026-10-06T09:00:05+08:00"
    first = {"samples": [{"time": then, "behind": 2, "seconds": 1.0}, {"time": later, "behind": 0, "seconds": 0.0}]}
    second = {"samples": [{"time": later, "behind": 3, "seconds": 9.5}]}
    samples = together([first, second])
    assert [(one.clock, one.behind, one.seconds) for one in samples] == [("09:00:00", 2, 1.0), ("09:00:05", 3, 9.5)]


def test_mistakes_of_a_policy_stand_at_their_lines() -> None:
    """Whoever made one sees the line that it is in, in the order of the lines."""
    said = {
        "policy.promise": {"zh": "第 2 行:…", "en": "line 2: must be a mapping"},
        "policy.x": {"zh": "第 1 行:…", "en": "line 1: unknown key 'x'"},
        "policy": {"zh": "…", "en": "is no mapping"},
        "begin": {"zh": "…", "en": "no such day"},
    }
    told = mistakes("x: 1\npromise: 2\n", said)
    assert [(one.line, one.stands) for one in told] == [(None, ""), (1, "x: 1"), (2, "promise: 2")]
    assert told[1].why == {"zh": "…", "en": "unknown key 'x'"}


def test_dead_letters_are_previewed_before_anything_is_done(shop: Server, boss: Reader) -> None:
    """From a group to its messages, to one whole (as text), to a preview, to giving them up with a reason; what was
    done stands with the message."""
    set_aside(shop, parked(1, error=f"Unreadable: {HOSTILE}"), parked(2), early(3, "GAP1"))
    groups = text_of(boss.get("/console/operations/dead-letters"))
    assert HOSTILE not in groups
    assert "aftersales republish cases" in groups
    previews = [found.replace("&amp;", "&") for found in re.findall(r'href="([^"]*/preview[^"]*)"', groups)]
    assert {"redrive", "discard"} == {one.rpartition("action=")[2] for one in previews}
    whole = text_of(boss.get(f"{PLACE}/message?place={TOPIC}/0/7"))
    assert "ce_sequence" in whole
    assert "&#34;case_id&#34;: &#34;TB1-1&#34;" in whole
    again = text_of(boss.get(f"{PLACE}/preview?cause=invalid_body&action=redrive"))
    assert "would be dead again 1" in again
    assert "Really handled by the rules as they are now" in again
    asked = {"cause": "invalid_body", "csrf": boss.csrf(), "key": "k1", "reason": ""}
    refused = boss.post(f"{PLACE}/discard", asked)
    assert refused.status == 422
    assert 'id="wrong-reason"' in text_of(refused)
    done = text_of(boss.post(f"{PLACE}/discard", {**asked, "key": "k2", "reason": "void"}))
    assert done.count(">discarded<") == 2
    seen = text_of(boss.get(f"{PLACE}?state=discarded"))
    assert seen.count("void") == 2
    assert "Chen" in seen


def test_redriving_says_what_became_of_each(shop: Server, boss: Reader) -> None:
    """A message that is tried again is told with its outcome, and once for a form that is sent twice."""
    set_aside(shop, parked(11, stream="TB9"))
    asked = {"stream": "TB9", "csrf": boss.csrf(), "key": "r1", "reason": ""}
    first, second = (text_of(boss.post(f"{PLACE}/redrive", asked)) for _ in range(2))
    assert "being tried" in first
    assert "being tried" in second


@pytest.mark.parametrize(
    ("kind", "fields", "status", "shown"),
    [
        ("verify", {"reason": ""}, 422, "Fill this in"),
        ("verify", {"reason": "x", "first": "first"}, 422, "A whole number"),
        ("verify", {"reason": "x", "first": "9", "last": "3"}, 422, "must not be below first"),
        ("verify", {"reason": "x", "service": "nobody"}, 422, "must be one of"),
        ("rebuild", {"reason": "x", "tables": "no_table"}, 422, "must be one of"),
        ("export", {"reason": "x", "types": "case.opened, nothing.such"}, 422, "there is no event type nothing.such"),
        ("export", {"reason": "x", "since": "yesterday"}, 422, "A time, such as"),
        ("resend", {"reason": "x", "topic": "t", "everything": "yes"}, 422, "no brokers are named here"),
        ("nothing", {"reason": "x"}, 404, "There is no such page"),
    ],
)
def test_a_form_says_what_is_wrong_at_its_field(
    boss: Reader, kind: str, fields: dict[str, str], status: int, shown: str
) -> None:
    """What cannot be started is shown again with what was typed and what is wrong with it."""
    sent = {"service": "cases", "csrf": boss.csrf(), "key": str(uuid4()), **fields}
    answer = boss.post(f"/console/operations/start/{kind}", sent)
    assert (answer.status, shown in text_of(answer)) == (status, True), text_of(answer)[-3000:]


def test_the_audit_goes_on_where_a_page_is_empty(shop: Server, boss: Reader) -> None:
    """Filters live in the address; a part without acts leads on, and a filter that nobody knows is told."""
    shop.case()
    page = text_of(boss.get(f"/console/operations/audit?actor={quote('agent/小李')}&service=cases&type=case."))
    assert "case.opened" in page
    assert "order.recorded" not in page
    wrong = boss.get("/console/operations/audit?type=nothing.such")
    assert (wrong.status, "there are no events of type" in text_of(wrong)) == (422, True)


def test_a_case_as_it_was_without_scripts(shop: Server, boss: Reader) -> None:
    """Every moment is a link; the page says how the case stood, and what changed since another moment."""
    case = shop.case()
    shop.command(f"/v1/cases/{case}/assign-case", {"assignee": "agent/小李", "to": "agent/小李"})
    path = f"/console/operations/time?case_id={case}"
    links = re.findall(r'<a href="(/console/operations/time\?[^"]*)"', text_of(boss.get(path)))
    first = text_of(boss.get(links[0].replace("&amp;", "&")))
    assert "nobody yet" in first
    assert "Case opened" in first
    assert "As it was" in text_of(boss.get("/console/operations/time?as_of=2026-10-05"))


@pytest.mark.parametrize(
    ("first", "days", "begins"),
    [
        ("2026-11-20", 1, "2026-11-20"),
        ("2026-11-17", 4, "2026-11-17"),
        ("2026-09-02", 32, "2026-09-30"),
        ("2020-01-01", 31 + MONTHS, "2024-10-31"),
        ("2026-12-01", 1, "2026-11-20"),
    ],
)
def test_balances_are_told_since_there_are_any(first: str, days: int, begins: str) -> None:
    """A shop of yesterday has two days to go through, not two years of nothing."""
    told = days_of(date.fromisoformat(first), date(2026, 11, 20))
    assert (len(told), told[0].isoformat(), told[-1].isoformat()) == (days, begins, "2026-11-20")


@pytest.mark.parametrize(
    "path", ["/dead-letters", "/runs", "/start/verify", "/what-if", "/audit", "/runs/20260101T000000Z-cases-verify"]
)
def test_pages_are_the_managers(shop: Server, path: str) -> None:
    """Who may not operate is told so by the API, whatever the address."""
    agent = Reader(shop, "agent", language="en")
    assert agent.get(f"/console/operations{path}").status in (403, 404)
    agent.close()


@pytest.mark.parametrize("role", [*EVERYBODY])
def test_everybody_is_shown_what_the_api_answers(shop: Server, role: str) -> None:
    """Of the pages of operations each role sees those that it may ask for, no more and no fewer."""
    reader = Reader(shop, role, language="en")
    allowed = [one.path for one in OPERATIONS if reader.get(one.path).status == 200]
    tabs = text_of(reader.get(allowed[0])).partition('<nav class="tabs"')[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]*)"', tabs) == allowed
    reader.close()


def test_who_redrove_what_and_why_stands_in_the_audit(shop: Server, boss: Reader) -> None:
    """Giving messages up is told with who, when, why and which, and leads to the operation and the messages."""
    set_aside(shop, parked(21, stream="TB7", error=HOSTILE))
    asked = {"stream": "TB7", "csrf": boss.csrf(), "key": "audit", "reason": HOSTILE}
    assert boss.post(f"{PLACE}/redrive", asked).status == 200
    audit = text_of(boss.get("/console/operations/audit?service=liability&type=operation."))
    assert HOSTILE not in audit
    for told in ("Redrive dead letters", "&lt;script&gt;", f"message?place={TOPIC}/0/27", "Chen"):
        assert told in audit
    run = re.findall(r'href="(/console/operations/runs/[^"]*-liability-redrive)"', audit)[0]
    assert f"{TOPIC}/0/27" in text_of(boss.get(run))
    assert "Redrive dead letters" in text_of(boss.get("/console/operations/runs?kind=redrive"))


def test_a_file_is_passed_on(shop: Server, boss: Reader) -> None:
    """What an export wrote is downloaded through the page, under a name of its own."""
    sent = {"service": "cases", "csrf": boss.csrf(), "key": "file", "reason": "x"}
    begun = boss.post("/console/operations/start/export", {**sent, "format": "jsonl"})
    place = begun.headers["Location"]
    assert _ended(shop, place.rpartition("/")[2]) == "finished"
    answer = boss.get(f"{place}/file")
    assert (answer.status, answer.headers.get_filename()) == (200, f"{place.rpartition('/')[2]}.jsonl")
    assert answer.raw.startswith(b'{"line":"heading"')


def _ended(shop: Server, operation: str) -> str:
    """How an operation ended; each request waits until something changed."""
    version, state = 1, "running"
    for _ in range(60):
        if state != "running":
            break
        told = shop.get(f"/v1/operations/{operation}?wait=20&version={version}", "store_manager").body
        version, state = told["version"], told["state"]
    return state


#: What came of operations, as the API told it, and what the page says.
OUTCOMES = (
    (
        "verify",
        {
            "holds": False,
            "position": 9,
            "records": 3,
            "root": None,
            "broken": {
                "stream": "TB1",
                "version": 4,
                "position": 4,
                "kind": "hash",
                "zh": "内容与哈希不符",
                "en": "its content does not fit its hash",
            },
        },
        ("stream TB1, version 4 (position 4)", "its content does not fit its hash", "restore a backup"),
    ),
    (
        "verify",
        {"holds": False, "position": 9, "records": 9, "photos": {"files": 3, "damaged": 1}},
        ("Evidence files are damaged", "3, 1 damaged"),
    ),
    (
        "doctor",
        {
            "sound": False,
            "checks": 8,
            "wrong": 1,
            "not_compared": 1,
            "findings": [
                {
                    "check": "parked",
                    "service": "liability",
                    "where": HOSTILE,
                    "what": {"zh": "死信", "en": "a dead message"},
                    "expected": "0",
                    "found": "1",
                    "mend": "aftersales dlq list --service liability",
                    "way_out": {"zh": "看它", "en": "look at it"},
                }
            ],
        },
        ("Things that disagree: 1", "Not compared: 1", "look at it", 'data-copy="aftersales dlq list'),
    ),
    (
        "rebuild",
        {
            "equal": False,
            "swapped": False,
            "position": 9,
            "records": 9,
            "tables": [{"table": "case_view", "rows": 4, "missing": 1, "extra": 2, "different": 3}],
        },
        ("differ from those in use", "They were not put in place", "case_view"),
    ),
    ("resend", {"to": "trial", "replay": "r1", "events": 7, "first": 1, "last": 7}, ("trial", "r1")),
    ("somebody_elses", {"rows": 3}, ("rows", "3")),
)


@pytest.mark.parametrize(("kind", "outcome", "shown"), OUTCOMES)
def test_what_came_of_it_is_told_with_the_way_out(
    shop: Server, kind: str, outcome: dict[str, object], shown: tuple[str, ...]
) -> None:
    """A log that was altered, what disagrees, tables that differ: each is said with what to do; nothing is markup."""
    assert shop.embedded._console is not None
    template = shop.embedded._console.desk.templates["en"].get_template("operations/outcome.html")
    run = {"id": "x", "kind": kind, "outcome": outcome}
    page = template.render(run=run, name_of=lambda _, code: code)
    assert [text for text in shown if text not in page] == []
    assert HOSTILE not in page
