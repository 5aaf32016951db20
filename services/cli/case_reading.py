"""Reading a case: from a running server, or from the data folder itself; over HTTP both times."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from services.cli.environment import tokens_of
from services.cli.failure import NOT_SO, Failure
from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.settings import Settings

READER: Final = "aftersales"
TOKEN_VALID_FOR: Final = timedelta(minutes=5)
_PATIENCE = aiohttp.ClientTimeout(total=30)


async def read_case(settings: Settings, case_id: str, role: str, url: str = "", token: str = "") -> dict[str, Any]:
    """Read a case as `role` sees it: at `url`, else from the data folder. Raises `Failure`."""
    if url:
        token = token or _own_token(settings, role)
        return await _read(url, token, case_id)
    async with _data_folder(settings) as server:
        return await _read(server.base_url, server.token(Actor(role, READER)), case_id)


@asynccontextmanager
async def _data_folder(settings: Settings) -> AsyncIterator[Embedded]:
    """A server that only reads the folder; one that runs on it is not disturbed."""
    if not (settings.data_dir / "cases.db").is_file():
        raise Failure(
            "no_data",
            f"{settings.data_dir} 里没有数据。请用 --data-dir 指定数据目录,或用 --url 指定运行中的服务。",
            f"There is no data in {settings.data_dir}. Name the data folder with --data-dir, or a server with --url.",
            status=NOT_SO,
        )
    server = Embedded(settings.model_copy(update={"host": "127.0.0.1", "port": 0, "gateway": "manual"}))
    try:
        await server.start_reading()
        yield server
    finally:
        await server.stop()


def _own_token(settings: Settings, role: str) -> str:
    if not settings.token_secret.get_secret_value() and not (settings.data_dir / "token.secret").exists():
        raise Failure(
            "token_required",
            f"{settings.data_dir} 里没有签名密钥。请用 --token 给出令牌,或用 --data-dir 指定该服务的数据目录。",
            f"There is no secret in {settings.data_dir} to sign a token with."
            " Give one with --token, or name the server's data folder with --data-dir.",
        )
    return tokens_of(settings).make(Actor(role, READER), SystemClock().now(), TOKEN_VALID_FOR)


async def _read(url: str, token: str, case_id: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session:
        try:
            status, document = await _get(session, URL(url).joinpath("v1", "cases", case_id))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Failure(
                "no_server",
                f"连不上 {url}:{error}。请检查 --url;不写 --url 就直接读数据目录。",
                f"No server answers at {url}: {error}. Check --url; leave it away to read the data folder.",
                status=NOT_SO,
            ) from None
    if status != HTTPStatus.OK:
        raise _refused(status, document, url)
    return document


async def _get(session: aiohttp.ClientSession, url: URL) -> tuple[int, dict[str, Any]]:
    async with session.get(url) as response:
        try:
            body = msgspec.json.decode(await response.read(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ValueError(f"HTTP {response.status}, not an answer of aftersales") from error
        return response.status, body


def _refused(status: int, problem: Mapping[str, Any], url: str) -> Failure:
    code = str(problem.get("code", f"http_{status}"))
    zh = str(problem.get("zh", f"{url} 答复 HTTP {status}。"))
    en = str(problem.get("en", f"{url} answered HTTP {status}."))
    if status == HTTPStatus.UNAUTHORIZED:
        zh += "用 aftersales token 签发令牌,再以 --token 给出。"
        en += " Make a token with aftersales token and give it with --token."
    return Failure(code, zh, en, status=NOT_SO)
