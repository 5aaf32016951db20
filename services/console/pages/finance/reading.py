"""What several pages of finance ask and show."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from services.console.page import ask, desk, language, moment_now
from services.kernel.shop_time import shop_month
from services.wording.books import Names

#: Stands in an address for no month in particular.
ALL_TIME: Final = "all"


class Accounts:
    """The chart of accounts as the API has it, in the language of the page."""

    def __init__(self, accounts: Sequence[Mapping[str, Any]], spoken: str) -> None:
        self._names = {one["code"]: str(one["name"][spoken]) for one in accounts}
        self._means = {one["code"]: str(one["means"][spoken]) for one in accounts}
        #: Codes and names, to choose from.
        self.choices = [(code, f"{name} ({code})") for code, name in self._names.items()]

    def name(self, code: str) -> str:
        """What an account is called."""
        return self._names.get(code, code)

    def means(self, code: str) -> str:
        """What it holds."""
        return self._means.get(code, "")


async def accounts_of(request: web.Request) -> Accounts:
    """The chart of accounts. Raises `ApiRefused`."""
    answer = await ask(request, "/v1/ledger/accounts")
    return Accounts(answer["accounts"], language(request))


async def actions_of(request: web.Request) -> Mapping[str, Mapping[str, Any]]:
    """What whoever asks may do in the books, by command: as the API says. Raises `ApiRefused`."""
    answer = await ask(request, "/v1/ledger/actions")
    return {one["command"]: one for one in answer["items"]}


def names_of(request: web.Request, names: Names) -> list[tuple[str, str]]:
    """Codes with their names, to choose from."""
    words = desk(request).words[language(request)]
    return [(code, words.say(*name)) for code, name in names.items()]


def month_of(request: web.Request) -> str:
    """The month that an address asks for, this one where it does not say; empty for all time."""
    month = request.query.get("month") or shop_month(moment_now(request))
    return "" if month == ALL_TIME else month


def of_month(month: str) -> dict[str, str]:
    """A month as the API is asked for it."""
    return {"month": month} if month else {}
