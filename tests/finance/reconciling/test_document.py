"""What a discrepancy is shown with: the books' side of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.events.cases import InsurancePaid
from services.finance.discrepancy_document import books_say
from tests.finance.reconciling.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A shop that entered one payment under two offers, and whose buyer an insurer paid."""
    office = Office(tmp_path / "data")
    office.paid("HB1", 500, "2026-10-05")
    office.paid("HB1", 500, "2026-10-06")
    office.shop.hear(InsurancePaid(case_id="TB1-1", amount_fen=1_700), "2026-10-07T12:00:00+08:00")
    yield office
    office.server.close()


def test_an_event_that_posts_nothing_is_shown_with_its_amount(office: Office) -> None:
    """What an insurer paid is no money of the shop's, and yet what the discrepancy is about."""
    [said] = office.server.run(books_say(office.shop.finance.store, "TB1", [f"TB1-{office.shop.version('TB1')}"], []))
    assert (said.type, said.amount_fen, said.named, said.postings) == ("insurance.paid", 1_700, True, ())
    assert (said.day, said.case_id) == ("2026-10-07", "TB1-1")


def test_other_payments_under_the_same_reference_are_shown_beside_it(office: Office) -> None:
    """Of a payment that was entered twice, both entries can be compared."""
    first, second = f"TB1-{office.shop.version('TB1') - 2}", f"TB1-{office.shop.version('TB1') - 1}"
    said = office.server.run(books_say(office.shop.finance.store, "TB1", [second], []))
    assert [(one.event_id, one.named) for one in said] == [(first, False), (second, True)]
