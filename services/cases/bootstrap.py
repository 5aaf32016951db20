"""The cases service put together."""

from datetime import datetime
from pathlib import Path

from aiohttp import web

from contracts.policy import Policy
from contracts.registry import HEARS
from services.cases.domain.domain import CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.http import CasesHttp
from services.cases.media import MediaStore
from services.cases.views import CasesViews
from services.kernel.clock import Clock
from services.kernel.naming import order_of
from services.kernel.service import Part, Service, Timer
from services.kernel.settings import Settings
from services.kernel.views import utc

#: Also its own. `orders`: whoever sells may publish orders on its own topic; without a broker they come over HTTP only.
HEARS_FROM = ("cases", *HEARS["cases"])
#: Promises looked at in one round.
PROMISES_AT_ONCE = 500


def media_of(settings: Settings) -> MediaStore:
    """Where evidence files are kept."""
    return MediaStore(settings.media_url or str(settings.data_dir / "files"))


class CasesService:
    """What happened, what the buyer is offered, what goes out and comes back."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock) -> None:
        domain = CasesDomain(policy)
        folder = Path(__file__).parent / "migrations"
        part = Part(domain, CasesViews(), folder, HEARS_FROM, keeps_keys=True)
        self.service: Service[OrderFile] = Service(part, settings.database_of(domain.source), clock)
        self.followers = self.service.followers()
        self.timers = (Timer(1.0, lambda: self.let_pass(clock.now())),)
        self._media = media_of(settings)
        self._http = CasesHttp(self.service, domain, policy, self._media)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return self._http.routes()

    async def closed(self) -> None:
        """Nothing to let go of."""

    async def let_pass(self, now: datetime) -> None:
        """Note promises that are late by `now`, each at the moment when it became late."""
        while any([await self._break(row, now) for row in await self._late(now)]):
            await self.service.views_caught_up()

    async def _break(self, row: dict[str, str], now: datetime) -> bool:
        """Whether a promise was broken that nobody had noted."""
        case_id = row["case_id"]
        due = datetime.fromisoformat(row["next_due_at"]).astimezone(now.tzinfo)
        return bool((await self.service.files.let_pass(order_of(case_id), {case_id}, due)).records)

    async def _late(self, now: datetime) -> list[dict[str, str]]:
        return await self.service.store.query(
            "SELECT case_id, next_due_at FROM case_view WHERE next_due_at <= ? ORDER BY next_due_at LIMIT ?",
            (utc(now), PROMISES_AT_ONCE),
        )
