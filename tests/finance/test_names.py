"""What codes of the books are called."""

from collections.abc import Collection
from typing import get_args

import pytest

from services.finance.bills.rows import RowKind, Status
from services.finance.domain import corrections
from services.finance.http import insurance
from services.finance.ledger import accounts
from services.finance.reconciliation_totals import DayTotals
from services.finance.reconciling.outcome import Kind
from services.wording import books


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (books.ROW_KINDS, set(RowKind)),
        (books.ROW_STATUSES, set(Status)),
        (books.DISCREPANCIES, set(Kind)),
        (books.ACCOUNT_KINDS, set(accounts.Kind)),
        (books.CLAIM_STATES, get_args(insurance.State)),
        (books.CLAIM_DIFFERENCES, get_args(insurance.Difference)),
        (books.CORRECTION_STATES, get_args(corrections.State)),
        (books.DAY_TOTALS, {name for name in DayTotals.__struct_fields__ if name.endswith("_fen")}),
    ],
)
def test_every_code_has_a_name(names: books.Names, codes: Collection[str]) -> None:
    """In both languages, and no name is left of a code that is gone."""
    assert {*names} == {str(code) for code in codes}
    assert all(zh and en for zh, en in names.values())
