"""The HTTP API as a scenario uses it: what people and other systems do, and what can be read."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from services.kernel.actor import Actor
from services.scenarios.media import generate_photo, generate_video

#: Who records orders and stock, and reads what came of it.
UPSTREAM: Final = Actor("service", "erp")
READER: Final = Actor("store_manager", "scenario")

#: How a generated file is made, and what it is.
_FILES: Final[dict[str, tuple[Callable[[int], bytes], str]]] = {
    "photo": (generate_photo, "image/jpeg"),
    "video": (generate_video, "video/mp4"),
}
_PATIENCE = aiohttp.ClientTimeout(total=60)


class Answer(msgspec.Struct, frozen=True):
    """What the API said: the body, and the code where it refused."""

    body: dict[str, Any]
    refused: str = ""

    def said(self, language: str) -> str:
        """The refusal in words, in `zh` or `en`."""
        errors = [f"{error.get('field')}: {error.get(language)}" for error in self.body.get("errors") or []]
        return "; ".join([str(self.body.get(language, "")), *errors])


class ApiClient:
    """One connection to an instance; `base_url` says where requests of a kind go, by method and path."""

    def __init__(self, base_url: Callable[[str, str], str], token: Callable[[Actor], str]) -> None:
        self._base_url = base_url
        self._token = token
        self._session = aiohttp.ClientSession(timeout=_PATIENCE)
        self._files_made = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def record_order(self, order_id: str, body: dict[str, Any]) -> Answer:
        """Record an order snapshot."""
        return await self._call("PUT", UPSTREAM, ("orders", order_id), body)

    async def command(
        self,
        actor: Actor,
        name: str,
        case_id: str,
        fields: dict[str, Any],
        if_version: int | None = None,
    ) -> Answer:
        """Give a command. A field `file: {generate: …}` becomes a file that is really uploaded first."""
        fields = dict(fields)
        if isinstance(fields.get("file"), dict):
            uploaded = await self._upload(actor, fields["file"]["generate"])
            if uploaded.refused:
                return uploaded
            fields["file"] = uploaded.body["file"]
        return await self._call("POST", actor, _address(name, case_id, fields), fields, if_version)

    async def case(self, case_id: str) -> dict[str, Any]:
        """All that is to be known of a case. Raises LookupError when it cannot be read."""
        return await self._read(("cases", case_id))

    async def rows(self, name: str, value: str, by: str = "case_id") -> list[dict[str, Any]]:
        """The rows of a list (`payouts`, `charges`, …) about a case. Raises LookupError when it cannot be read."""
        items: list[dict[str, Any]] = (await self._read((name,), {by: value, "limit": "500"}))["items"]
        return items

    async def _read(self, path: tuple[str, ...], query: dict[str, str] | None = None) -> dict[str, Any]:
        url = self._url("GET", path).with_query(query)
        async with self._session.get(url, headers=self._headers(READER)) as response:
            answer = _answer(response.status, await response.read())
        if answer.refused:
            raise LookupError(f"GET {url.path_qs}: {answer.refused} {answer.said('en')}")
        return answer.body

    async def _upload(self, actor: Actor, kind: str) -> Answer:
        make, media_type = _FILES[kind]
        self._files_made += 1
        headers = {**self._headers(actor), "Content-Type": media_type}
        url = self._url("POST", ("files",))
        async with self._session.post(url, data=make(self._files_made), headers=headers) as response:
            return _answer(response.status, await response.read())

    async def _call(
        self,
        method: str,
        actor: Actor,
        path: tuple[str, ...],
        body: dict[str, Any] | None = None,
        if_version: int | None = None,
    ) -> Answer:
        headers = self._headers(actor)
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        async with self._session.request(method, self._url(method, path), json=body, headers=headers) as response:
            return _answer(response.status, await response.read())

    def _headers(self, actor: Actor) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token(actor)}", "Idempotency-Key": str(uuid4())}

    def _url(self, method: str, path: tuple[str, ...]) -> URL:
        address = URL("/").joinpath("v1", *path)
        return URL(self._base_url(method, address.raw_path)).join(address)


def _address(name: str, case_id: str, fields: dict[str, Any]) -> tuple[str, ...]:
    """Where a command goes; what the address says is taken out of the body."""
    if name == "open_case":
        return ("cases",)
    if name == "report_stock":
        return ("stock", str(fields.pop("sku")))
    if name == "erase_personal_data":
        return ("orders", str(fields.pop("order_id")), "erasure")
    return ("cases", case_id, name.replace("_", "-"))


def _answer(status: int, raw: bytes) -> Answer:
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        body = {"title": raw[:200].decode(errors="replace")}
    if not isinstance(body, dict):
        body = {"title": f"not an object: {body!r}"}
    if status < 300:
        return Answer(body)
    return Answer(body, str(body.get("code") or f"http_{status}"))
