"""What must agree in every scenario without being listed: all read models tell the same, and losses add up."""

from collections.abc import Iterator
from typing import Any, Final

from services.scenarios.api_client import ApiClient
from services.scenarios.result import Difference

#: What the list of cases repeats of a case.
_LISTED: Final = ("status", "problem", "promise", "order_id")


async def disagreements(api: ApiClient, documents: dict[str, dict[str, Any]]) -> list[Difference]:
    """Where a list of one service differs from the case's document, which tells what cases learned of it."""
    found: list[Difference] = []
    for label, case in documents.items():
        settlements = await api.rows("settlements", case["case_id"])
        payouts = await api.rows("payouts", case["case_id"])
        charges = await api.rows("charges", case["case_id"])
        of_order = await api.rows("cases", case["order_id"], by="order_id")
        listed = [row for row in of_order if row["case_id"] == case["case_id"]]
        figures = case["settlement"]
        found += _compared(f"cases.{label}", [_some(case, _LISTED)], [_some(row, _LISTED) for row in listed])
        found += _compared(f"settlements.{label}", [figures], [_some(row, figures) for row in settlements])
        found += _compared(f"payouts.{label}", _payouts(case["payouts"]), _payouts(payouts))
        found += _compared(f"losses.{label}", case["losses"], _by_party(charges, "charged_fen"))
        found += _compared(f"recovered.{label}", _nonzero(case["recovered"]), _by_party(charges, "recovered_fen"))
        borne_fen = sum(case["losses"].values()) + case["suspense_fen"]
        found += _compared(f"net_loss_fen.{label}", case["net_loss_fen"], borne_fen)
    return found


def _some(row: dict[str, Any], keys: Any) -> dict[str, Any]:
    return {key: row.get(key) for key in keys}


def _payouts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["payout"]: _some(row, ("kind", "amount_fen", "status", "attempt")) for row in rows}


def _by_party(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    return _nonzero({row["party"]: row[key] for row in rows})


def _nonzero(amounts: dict[str, int]) -> dict[str, int]:
    return {party: fen for party, fen in amounts.items() if fen}


def _compared(where: str, expected: Any, got: Any) -> Iterator[Difference]:
    if expected != got:
        zh = f"各处读到的不一致:售后单为 {expected},列表为 {got}"
        en = f"reads disagree: the case says {expected}, the list says {got}"
        yield Difference(where=f"agreement.{where}", expected=expected, got=got, zh=zh, en=en)
