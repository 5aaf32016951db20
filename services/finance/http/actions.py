"""Which commands about the books whoever asks could give now, as the commands' own rules say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.finance.domain.books import Books
from services.finance.domain.domain import AnyFile
from services.kernel.actor import Actor
from services.kernel.decider import Context
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.openapi import Operation, describe
from services.kernel.intake import Unfit, check_role, intake
from services.kernel.refusal import Refusal
from services.kernel.service import Service

#: Commands that need nothing but somebody who may give them: what they are about is said with them.
_ANY_TIME: Final = ("import_bill", "save_mapping", "reconcile", "assign_discrepancy", "propose_correction")


class BooksAction(msgspec.Struct, frozen=True, kw_only=True):
    """A command about the books, and whether who asks can give it now. If not: the code that it would be refused with,
    and its text."""

    command: str
    allowed: bool
    label_zh: str
    label_en: str
    code: str = ""
    reason_zh: str = ""
    reason_en: str = ""


class BooksActions(msgspec.Struct, frozen=True):
    """Commands about the books that depend on nothing but the role of who asks."""

    items: Sequence[BooksAction]


def tried(
    service: Service[Any], policy: Policy, books: Books, command: str, body: Mapping[str, Any] | Unfit, context: Context
) -> BooksAction:
    """Whether somebody could give a command now: its own rules are asked, and nothing is changed."""
    return _told(policy, command, lambda: intake(service.part.domain, books, "", command, body, context))


def _told(policy: Policy, command: str, tries: Callable[[], object]) -> BooksAction:
    """What comes of trying: refused or not."""
    label = policy.texts.commands[command]
    told = {"command": command, "label_zh": label.zh, "label_en": label.en}
    try:
        tries()
    except Refusal as refusal:
        text = policy.refusal_text(refusal.code, refusal.params)
        return BooksAction(**told, allowed=False, code=refusal.code, reason_zh=text.zh, reason_en=text.en)
    return BooksAction(**told, allowed=True)


class ActionsHttp:
    """What somebody may do in the books at all, so that nobody is offered a form that is refused however it is
    filled in."""

    def __init__(self, service: Service[AnyFile], policy: Policy) -> None:
        self._commands = service.part.domain.commands
        self._policy = policy

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        return [web.get("/v1/ledger/actions", self.read_actions)]

    @describe(
        Operation(
            summary="What whoever asks may do in the books, by role",
            description="Commands that need no more than somebody who may give them. What a month or a correction takes"
            " now, its own `next_actions` say.",
            tag="finance",
            answer=BooksActions,
            refusals=(422,),
        )
    )
    async def read_actions(self, request: web.Request) -> web.Response:
        """Each command, and whether it would be refused for the role alone."""
        lists.parameters(request, ())
        return lists.json(BooksActions([self._by_role(name, actor_of(request)) for name in _ANY_TIME]))

    def _by_role(self, name: str, who: Actor) -> BooksAction:
        return _told(self._policy, name, lambda: check_role(self._commands[name], name, who))
