"""Each check finds exactly the damage that it is there for, and says what mends it; a sound shop gives no finding."""

import time
from typing import Any

import pytest

from services.catalogue import SERVICES
from services.doctor.checks import CHECKS
from tests.cli.parked import left_behind, parked
from tests.doctor.damage import OPEN, PAID, Books


def test_a_sound_shop_gives_no_finding(books: Books) -> None:
    """Every check is made in each of its services and finds nothing where nothing is wrong."""
    report = books.report()
    assert report.sound, report.findings
    made = {(outcome.check, outcome.service) for outcome in report.outcomes}
    assert made == {(check.name, name) for check in CHECKS if not check.needs_broker for name in check.services}


@pytest.mark.parametrize(
    ("check", "service", "sql", "where", "mend"),
    [
        (
            "chains",
            "refunds",
            "UPDATE events SET actor = 'agent/谁' WHERE type = 'payout.requested' AND stream = 'TB2'",
            "TB2#",
            "aftersales verify refunds",
        ),
        (
            "positions",
            "cases",
            "UPDATE events SET position = 9999 WHERE position = 3",
            "3–3",
            "aftersales verify cases",
        ),
        (
            "positions",
            "cases",
            "UPDATE events SET sequence = 9 WHERE stream = 'TB2' AND sequence = 2 AND source = 'cases'",
            "TB2",
            "aftersales verify cases",
        ),
        (
            "positions",
            "cases",
            "UPDATE streams SET sequence = 99 WHERE stream = 'TB3'",
            "TB3",
            "aftersales verify cases",
        ),
        (
            "learned",
            "refunds",
            "UPDATE events SET data = x'7b7d' WHERE type = 'case.opened' AND stream = 'TB1'",
            "TB1#",
            "aftersales verify cases refunds",
        ),
        (
            "learned",
            "cases",
            "DELETE FROM events WHERE type = 'compensation.paid'",
            "TB1#",
            "aftersales verify cases refunds",
        ),
        (
            "inbox",
            "liability",
            "UPDATE inbox SET sequence = 999 WHERE source = 'cases' AND stream = 'TB2'",
            "cases/TB2",
            "aftersales verify cases",
        ),
        (
            "inbox",
            "liability",
            "UPDATE inbox SET sequence = 1 WHERE source = 'refunds' AND stream = 'TB2'",
            "refunds/TB2",
            "aftersales rewind liability liability-hears-refunds --by NAME",
        ),
        (
            "checkpoints",
            "refunds",
            "UPDATE checkpoints SET position = 9999 WHERE consumer = 'refunds-hears-cases'",
            "refunds-hears-cases cases",
            "aftersales rewind refunds refunds-hears-cases --by NAME",
        ),
        (
            "checkpoints",
            "cases",
            "UPDATE checkpoints SET position = 9999 WHERE consumer = 'views'",
            "views cases",
            "aftersales rebuild cases --swap --by NAME",
        ),
        (
            "tables",
            "refunds",
            "UPDATE settlement_view SET net_fen = net_fen + 1 WHERE case_id = 'TB1-1'",
            "settlement_view TB1-1",
            "aftersales rebuild refunds --swap --by NAME",
        ),
        (
            "tables",
            "cases",
            "DELETE FROM case_view WHERE case_id = 'TB2-1'",
            "case_view TB2-1",
            "aftersales rebuild cases --swap --by NAME",
        ),
        (
            "tables",
            "cases",
            "INSERT INTO stock_view (sku, available, reserved, awaited) VALUES ('GHOST', 1, 0, 0)",
            "stock_view GHOST",
            "aftersales rebuild cases --swap --by NAME",
        ),
        (
            "tables",
            "liability",
            "INSERT INTO charge_view (case_id, party, order_id, charged_fen, recovered_fen)"
            " VALUES ('TB1-1', 'supplier/X', 'TB1', 1, 0)",
            "charge_view TB1-1/supplier/X",
            "aftersales rebuild liability --swap --by NAME",
        ),
        (
            "losses",
            "liability",
            "UPDATE loss_view SET suspense_fen = suspense_fen + 1 WHERE case_id = 'TB1-1'",
            "loss_view TB1-1",
            "aftersales rebuild liability --swap --by NAME",
        ),
    ],
)
def test_damage_is_found(books: Books, check: str, service: str, sql: str, where: str, mend: str) -> None:
    """What somebody changes in a database behind the services' back is found where it is, and the way out is named."""
    books.damage(service, sql)
    found = books.found(check)
    assert found.where.startswith(where)
    assert found.mend == mend
    assert found.what.zh
    assert found.what.en


def test_what_was_learned_must_be_noted_as_handled(books: Books) -> None:
    """A lost mark would let an event count twice: it is told even where the checkpoint is behind it."""
    books.damage("cases", "UPDATE checkpoints SET position = 0 WHERE consumer = 'cases-hears-refunds'")
    books.damage("cases", "UPDATE inbox SET sequence = 1 WHERE source = 'refunds' AND stream = 'TB1'")
    found = books.found("inbox")
    assert (found.service, found.where, found.found) == ("cases", "refunds/TB1", "1")
    assert "twice" in found.what.en


def test_a_lost_note_of_what_had_its_effect(books: Books) -> None:
    """Where a passed event had its effect, reading it again would count it twice: the finding warns of that and does
    not send anybody there."""
    books.damage("liability", "UPDATE inbox SET sequence = 1 WHERE source = 'refunds' AND stream = 'TB1'")
    found = books.found("inbox")
    assert (found.where, found.mend) == ("refunds/TB1", "aftersales verify liability")
    assert "twice" in found.what.en


def test_what_is_on_its_way_is_no_damage(books: Books) -> None:
    """Consumers and tables that stand before the end of a log, as while all runs, give no finding; nor do rows that are
    ahead of their checkpoint."""
    for service in SERVICES:
        books.damage(service, "UPDATE checkpoints SET position = position / 2")
    report = books.report()
    assert report.sound, report.findings


def test_what_cannot_be_read_is_told_and_the_rest_is_compared(books: Books) -> None:
    """A record that nobody can decode ends the check of its order only."""
    books.damage("refunds", "UPDATE events SET data = x'00' WHERE stream = 'TB1' AND type = 'refund.calculated'")
    books.damage("refunds", "UPDATE payout_view SET status = 'failed' WHERE order_id = 'TB2'")
    broken, differs = books.report("tables").findings
    assert (broken.where.partition("#")[0], broken.mend) == ("TB1", "aftersales verify refunds")
    assert differs.where == f"payout_view {OPEN}:refund:F1"


def test_a_row_that_is_no_record_any_more(books: Books) -> None:
    """Nonsense where a time should be is told by every check that meets it; none of them breaks off the examination."""
    books.damage("refunds", "UPDATE events SET time = 'noon' WHERE stream = 'TB1' AND type = 'refund.calculated'")
    report = books.report()
    told = {finding.check for finding in report.findings if finding.where.startswith("TB1#")}
    assert {"chains", "tables", "payouts", "refunds"} <= told
    assert {outcome.check for outcome in report.outcomes} == {check.name for check in CHECKS if not check.needs_broker}


@pytest.mark.parametrize(
    ("type_", "about", "changes", "where", "said"),
    [
        ("refund.calculated", "", {"refund_fen": 129_900}, f"{PAID}:refund:F1", "sum of its lines"),
        ("payout.requested", ":refund:", {"amount_fen": 1}, f"{PAID}:refund:F1", "not what the refund came to"),
        ("payout.requested", ":freight_", {"amount_fen": 1}, PAID, "not the sum of what was reimbursed"),
    ],
)
def test_sums_of_a_refund(books: Books, type_: str, about: str, changes: dict[str, Any], where: str, said: str) -> None:
    """A refund is the sum of its lines and what its payout pays, and so is freight (`domain.md` §4)."""
    books.alter("refunds", type_, about, **changes)
    found = books.found("refunds")
    assert found.where == where
    assert said in found.what.en


def test_refunds_above_what_was_paid(books: Books) -> None:
    """A line never gives back more than the buyer paid for it (`domain.md` §4)."""
    books.rewrite("refunds", "order.recorded", '"paid_fen":129900', '"paid_fen":100000')
    found = books.found("refunds")
    assert (found.where, found.expected, found.found) == ("TB1/L1", "≤ 100000", "127900 + 2000 = 129900")


def test_a_compensation_deducted_twice(books: Books) -> None:
    """What was paid once is deducted once (`domain.md` §4)."""
    [part] = books.body("refunds", "refund.calculated")["deductions"]
    books.alter("refunds", "refund.calculated", deductions=[part, part])
    texts = [finding.what.en for finding in books.report("refunds").findings]
    assert any("more was deducted for a compensation than was paid" in text for text in texts), texts


def test_a_settlement_that_does_not_sum(books: Books) -> None:
    """A settlement's net is its refunds and the freight (`domain.md` §4)."""
    books.rewrite("refunds", "settlement.updated", '"net_fen":129400', '"net_fen":129401')
    found = books.found("refunds")
    assert (found.where, found.expected, found.found) == (PAID, "129400", "129401")


def test_payouts_succeed_once(books: Books) -> None:
    """A second success of one payout is told, with both references of the provider."""
    twice = (
        "INSERT INTO events SELECT position + 9000, stream, version + 9000, sequence + 9000, id || '!', type, schema,"
    )
    twice += " source, subject, time, actor, correlation_id, causation_id, policy, traceparent, data, hash FROM events"
    books.damage(
        "refunds",
        f"{twice} WHERE type = 'payout.succeeded' AND stream = 'TB1' AND instr(data, CAST(':refund:' AS BLOB))",
    )
    found = books.found("payouts")
    assert (found.where, found.expected) == (f"{PAID}:refund:F1", "1")


def test_an_attempt_that_nobody_asked_for(books: Books) -> None:
    """An outcome needs its request, and attempts come one after the other."""
    books.alter("refunds", "payout.requested", ":refund:", attempt=3)
    assert books.found("payouts").where == f"{PAID}:refund:F1"


def test_shares_that_are_not_whole(books: Books) -> None:
    """Shares sum to 10 000 basis points (`domain.md` §5)."""
    books.alter("liability", "liability.determined", shares=[{"party": "purchasing", "share_bp": 9_999}])
    found = books.found("losses")
    assert (found.where, found.expected, found.found) == (PAID, "10000", "9999")


def test_parties_that_do_not_bear_the_loss(books: Books) -> None:
    """What parties bear is the net loss by their shares, to the fen (`domain.md` §5)."""
    books.alter("liability", "loss.charged", amount_fen=1)
    found = books.found("losses")
    assert found.where == PAID
    assert "by their shares" in found.what.en


def test_an_entry_without_its_fact(books: Books) -> None:
    """A loss follows from a fact, with its amount, once (`domain.md` §5)."""
    books.alter("cases", "compensation.paid", amount_fen=1_999)
    texts = [finding.what.en for finding in books.report("losses").findings]
    assert any("“cash” of 2000 fen does not follow" in text for text in texts), texts
    assert any("“cash” of 1999 fen does not follow" in text for text in texts), texts


def test_messages_that_are_dead_or_wait_for_long(books: Books) -> None:
    """Dead ones are to be redriven, a gap is to be filled by its source; one that has just come is on its way."""
    waits = {"state": "waiting", "stream": "TB9", "cause": "gap", "error": "gap"}
    left_behind(books.folder, parked(1), parked(2, **waits), parked(3, parked_at=time.time(), **waits))
    dead, gap = books.report("parked").findings
    assert dead.mend == "aftersales dlq redrive aftersales.cases.v1/0/7 --service liability --by NAME"
    assert gap.where == "aftersales.cases.v1/0/8"
    assert gap.mend == "aftersales republish cases --from-position 1 --by NAME"
