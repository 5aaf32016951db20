"""The liability service's read tables: the loss of each case, and what each party bears and paid of it."""

from collections.abc import Collection, Mapping, Sequence

from services.kernel.views import Row
from services.liability.domain.file import CaseLoss, LiabilityFile

LOSSES = ("case_id", "order_id", "net_fen", "suspense_fen")
CHARGES = ("case_id", "party", "order_id", "charged_fen", "recovered_fen")


class LiabilityViews:
    """Rows of the liability service."""

    tables: Mapping[str, Sequence[str]] = {"loss_view": LOSSES, "charge_view": CHARGES}
    keys: Mapping[str, int] = {"loss_view": 1, "charge_view": 2}
    owners: Mapping[str, str] = {"loss_view": "case_id", "charge_view": "case_id"}

    def rows(self, file: LiabilityFile, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """The rows of each case that was touched."""
        cases = [file.cases[case_id] for case_id in subjects if case_id in file.cases]
        return {
            "loss_view": [_loss_row(file, case) for case in cases],
            "charge_view": [_charge_row(file, case, party) for case in cases for party in case.charged],
        }


def _loss_row(file: LiabilityFile, case: CaseLoss) -> Row:
    return {
        "case_id": case.case_id,
        "order_id": file.order_id,
        "net_fen": case.net_fen,
        "suspense_fen": case.suspense_fen,
    }


def _charge_row(file: LiabilityFile, case: CaseLoss, party: str) -> Row:
    return {
        "case_id": case.case_id,
        "party": party,
        "order_id": file.order_id,
        "charged_fen": case.charged[party],
        "recovered_fen": case.recovered_fen(party),
    }
