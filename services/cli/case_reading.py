"""Reading a document: from a running server, or from the database itself; over HTTP both times."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
from pydantic import SecretStr
from yarl import URL

from services.cli.database import opened
from services.cli.environment import tokens_of
from services.cli.failure import NOT_LIKE_THIS, NOT_SO, Failure
from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.settings import Settings

READER: Final = "aftersales"
TOKEN_VALID_FOR: Final = timedelta(minutes=5)
#: What the moments that are asked for in an address are called at the command line.
_OPTIONS: Final[Mapping[str, str]] = {"as_of": "--as-of", "from": "FROM", "to": "TO"}
_PATIENCE = aiohttp.ClientTimeout(total=30)

#: Reads a document: the parts of its path below `/v1`, and by name what stands behind the question mark.
Read = Callable[..., Awaitable[dict[str, Any]]]


@asynccontextmanager
async def reading(settings: Settings, role: str, url: str = "", token: str = "") -> AsyncIterator[Read]:
    """What reads documents as `role` sees them: at `url`, else from the database. Raises `Failure`."""
    if url:
        must_be_http(url)
        yield partial(_read, url, token or own_token(settings, Actor(role, READER)))
        return
    async with _reader(settings) as server:
        yield partial(_read, server.base_url, server.token(Actor(role, READER)))


def must_be_http(url: str) -> None:
    """Raises `Failure` for what nobody can be asked at."""
    try:
        read = URL(url)
        if read.scheme in ("http", "https") and read.host:
            return
    except ValueError:
        pass
    raise Failure(
        "invalid",
        f"--url:{url} 不是 http(s) 地址;应如 http://127.0.0.1:8080。",
        f"--url: {url} is no http(s) address; one is like http://127.0.0.1:8080.",
    )


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[Embedded]:
    """A server that only reads the database; those that run on it are not disturbed, and none need run."""
    if not settings.database_url.get_secret_value():
        must_hold_data(settings)
    async with opened(settings, "cases") as store:
        await store.head_position()  # the server would say of a database that is away only that something is
    with settings.for_reading() as alike:
        async with serving(alike) as server:
            yield server


def must_hold_data(settings: Settings) -> None:
    """Raises `Failure` where the data folder holds no database."""
    if not (settings.data_dir / "cases.db").is_file():
        raise Failure(
            "no_data",
            f"{settings.data_dir} 里没有数据。请用 --data-dir 指定数据目录,或用 --url 指定运行中的服务;"
            "用本机的 stack 时先执行 . var/stack/env。",
            f"There is no data in {settings.data_dir}. Name the data folder with --data-dir, or a server with --url;"
            " for the stack of this machine, . var/stack/env first.",
            status=NOT_SO,
        )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Embedded]:
    """A server on the database as it stands, for this process alone: it answers, and does nothing by itself."""
    own = {"host": "127.0.0.1", "port": 0, "gateway": "manual", "token_secret": SecretStr(secrets.token_urlsafe(48))}
    server = Embedded(settings.model_copy(update=own))
    try:
        await server.start_reading()
        yield server
    finally:
        await server.stop()


def own_token(settings: Settings, actor: Actor) -> str:
    """A token signed with the secret of the data folder. Raises `Failure` where there is none."""
    if not settings.token_secret.get_secret_value() and not (settings.data_dir / "token.secret").exists():
        raise Failure(
            "token_required",
            f"{settings.data_dir} 里没有签名密钥。请用 --token 给出令牌,或用 --data-dir 指定该服务的数据目录。",
            f"There is no secret in {settings.data_dir} to sign a token with."
            " Give one with --token, or name the server's data folder with --data-dir.",
        )
    return tokens_of(settings).make(actor, SystemClock().now(), TOKEN_VALID_FOR)


async def _read(url: str, token: str, *path: str, **query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session:
        try:
            status, document = await _get(session, URL(url).joinpath("v1", *path).with_query(query))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Failure(
                "no_server",
                f"连不上 {url}:{error}。请检查 --url;不写 --url 就直接读数据库。",
                f"No server answers at {url}: {error}. Check --url; leave it away to read the database.",
                status=NOT_SO,
            ) from None
    if status != HTTPStatus.OK:
        raise _of_option(document, query) or refused(status, document, url)
    return document


async def _get(session: aiohttp.ClientSession, url: URL) -> tuple[int, dict[str, Any]]:
    async with session.get(url) as response:
        try:
            body = msgspec.json.decode(await response.read(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ValueError(f"HTTP {response.status}, not an answer of aftersales") from error
        return response.status, body


def _of_option(problem: Mapping[str, Any], query: Mapping[str, str]) -> Failure | None:
    """What a server had against a moment that somebody asked for, named as the command line names it."""
    for error in problem.get("errors") or () if problem.get("code") == "invalid" else ():
        if (option := _OPTIONS.get(error["field"])) and error["field"] in query:
            return Failure("invalid", f"{option}:{error['zh']}。", f"{option}: {error['en']}.")
    return None


def refused(status: int, problem: Mapping[str, Any], url: str) -> Failure:
    """What a server had against a request."""
    code = str(problem.get("code", f"http_{status}"))
    zh = str(problem.get("zh", f"{url} 答复 HTTP {status}。"))
    en = str(problem.get("en", f"{url} answered HTTP {status}."))
    if status == HTTPStatus.UNAUTHORIZED:
        zh += "用 aftersales token 签发令牌,再以 --token 给出。"
        en += " Make a token with aftersales token and give it with --token."
    wrong = NOT_LIKE_THIS if status == HTTPStatus.UNPROCESSABLE_ENTITY else NOT_SO
    return Failure(code, zh, en, status=wrong, mistakes=_mistakes(problem))


def _mistakes(problem: Mapping[str, Any]) -> list[str]:
    """What exactly is wrong, zh / en each; a server of another kind says nothing of it."""
    try:
        return [f"{error['zh']} / {error['en']}" for error in problem.get("errors", ())]
    except (TypeError, KeyError):
        return []
