"""The HTTP routes of finance, subject by subject."""

from aiohttp import web

from contracts.policy import Policy
from services.finance.domain.domain import AnyFile
from services.finance.http.actions import ActionsHttp
from services.finance.http.bills import BillsHttp
from services.finance.http.corrections import CorrectionsHttp
from services.finance.http.exports import ExportsHttp
from services.finance.http.insurance import InsuranceHttp
from services.finance.http.ledger import LedgerHttp
from services.finance.http.losses import LossesHttp
from services.finance.http.periods import PeriodsHttp
from services.finance.http.reconciliation import ReconciliationHttp
from services.finance.http.statements import StatementsHttp
from services.kernel.service import Service
from services.kernel.settings import Settings


class FinanceHttp:
    """Commands and reads of finance."""

    def __init__(self, service: Service[AnyFile], settings: Settings, policy: Policy) -> None:
        self._subjects = (
            LedgerHttp(service),
            ActionsHttp(service, policy),
            BillsHttp(service, policy, settings),
            ReconciliationHttp(service, policy),
            CorrectionsHttp(service, policy),
            PeriodsHttp(service, policy),
            StatementsHttp(service, policy),
            LossesHttp(service, policy),
            InsuranceHttp(service, policy),
            ExportsHttp(service, policy),
        )

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return [route for subject in self._subjects for route in subject.routes()]
