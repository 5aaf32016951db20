"""The provider's HTTP side: the merchant signs payouts, the desk (script, ledger) takes a bearer token."""

import asyncio
import hmac
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from services.sandbox.callbacks import Callbacks
from services.sandbox.ledger import Account, AttemptNumber, Payment, PayoutRequest, ReferenceReused
from services.sandbox.script import Move

BODY_BYTES_MAX: Final = 64 * 1024
HTTP_STATUS: Final = {"succeeded": 200, "unknown": 200, "pending": 202, "failed": 402}

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is set up; the secrets are drawn unless given.

    `secret` (base64, `whsec_…`) signs requests and callbacks. `token` opens the desk. `outcomes` is the
    script, one move per new attempt, then `ok` for ever. Instead of an answer, a time-out drops the
    connection after `hang_seconds`. Reports go to `callback_url` after `callback_delay_seconds`. `journal`
    keeps the books over a restart. Raises ValueError for a secret or token that cannot serve.
    """

    secret: str = msgspec.field(default_factory=_new_secret)
    token: str = msgspec.field(default_factory=secrets.token_urlsafe)
    outcomes: tuple[Move, ...] = ()
    callback_url: str | None = None
    callback_delay_seconds: float = 0.05
    hang_seconds: float = 0
    journal: Path | None = None

    def __post_init__(self) -> None:
        try:
            Webhook(self.secret)
        except (ValueError, EmptyWebhookSecretError) as error:
            raise ValueError("secret must be base64, with or without whsec_ before it") from error
        if not self.token:
            raise ValueError("token must not be empty")


class ScriptRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/outcomes`: replaces what is left of the script."""

    outcomes: list[Move]


class Problem(Exception):
    """A request that is not taken: HTTP status, stable code and what to mend (problem+json, RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.response = web.json_response(
            {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail},
            status=status,
            content_type="application/problem+json",
        )


SETTINGS: Final = web.AppKey("settings", SandboxSettings)
ACCOUNT: Final = web.AppKey("account", Account)
CALLBACKS: Final = web.AppKey("callbacks", Callbacks)


def make_app(settings: SandboxSettings) -> web.Application:
    """The provider as an application, its books read."""
    app = web.Application(middlewares=[_problems, _authenticate], client_max_size=BODY_BYTES_MAX)
    app[SETTINGS] = settings
    app[ACCOUNT] = Account(settings.outcomes, settings.journal)
    app.cleanup_ctx.append(_callbacks)
    app.router.add_get("/healthz", _healthz)
    app.router.add_post("/v1/payouts", _pay)
    app.router.add_get("/v1/payouts/{reference}", _ask)
    app.router.add_get("/v1/ledger", _ledger)
    app.router.add_post("/v1/outcomes", _set_script)
    return app


class SandboxServer:
    """A running provider: where it listens, its settings, its books and its callbacks."""

    def __init__(self, runner: web.AppRunner, base_url: str) -> None:
        self._runner = runner
        self.base_url = base_url
        self.settings = runner.app[SETTINGS]
        self.account = runner.app[ACCOUNT]
        self.callbacks = runner.app[CALLBACKS]

    async def close(self) -> None:
        """Stop listening; what was not reported yet never is."""
        await self._runner.cleanup()


async def start(settings: SandboxSettings, host: str = "127.0.0.1", port: int = 0) -> SandboxServer:
    """Listen on `port` (0: a free one)."""
    runner = web.AppRunner(make_app(settings), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return SandboxServer(runner, f"http://{host}:{runner.addresses[0][1]}")


async def _callbacks(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    callbacks = Callbacks(app[ACCOUNT], settings.secret, settings.callback_url, settings.callback_delay_seconds)
    app[CALLBACKS] = callbacks
    for payment in app[ACCOUNT].pending():
        callbacks.follow(payment, times=1)
    yield
    await callbacks.close()


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response
    except web.HTTPException as error:
        return Problem(error.status, "http_error", error.reason).response


@web.middleware
async def _authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith("/v1/payouts"):
        await _check_signature(request)
    elif request.path != "/healthz":
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {request.app[SETTINGS].token}".encode()):
            raise Problem(401, "unauthorized", "the desk needs its token: Authorization: Bearer …")
    return await handler(request)


async def _check_signature(request: web.Request) -> None:
    """The merchant signs method, path and body, so that no part can be put to another use."""
    try:
        signed = f"{request.method} {request.raw_path}\n{(await request.read()).decode()}"
        Webhook(request.app[SETTINGS].secret).verify(signed, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise Problem(401, "bad_signature", str(error)) from error


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _pay(request: web.Request) -> web.Response:
    order = await _body(request, PayoutRequest)
    try:
        payment, behaviour = request.app[ACCOUNT].take(order)
    except ReferenceReused as error:
        raise Problem(409, "reference_reused", f"{error} stands for another amount or kind") from error
    if behaviour is None:
        return _answer(payment)
    if behaviour.callbacks:
        request.app[CALLBACKS].follow(payment, behaviour.callbacks)
    match behaviour.says:
        case "nothing":
            return await _drop(request)
        case "error":
            raise Problem(500, "internal", "as the script says")
        case "failed":
            return _answer(msgspec.structs.replace(payment, status="failed", channel_ref="", reason="declined"))
        case "truth":
            return _answer(payment)


async def _ask(request: web.Request) -> web.Response:
    reference = request.match_info["reference"]
    try:
        attempt = msgspec.convert(request.query.get("attempt", "1"), AttemptNumber, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid", f"attempt: {error}") from error
    payment = request.app[ACCOUNT].find(reference, attempt)
    if payment is None:
        raise Problem(404, "not_received", f"no attempt {attempt} of {reference} was ever received")
    return _json(payment)


async def _ledger(request: web.Request) -> web.Response:
    paid = request.app[ACCOUNT].paid
    return _json({"paid": paid, "total_fen": sum(payment.amount_fen for payment in paid)})


async def _set_script(request: web.Request) -> web.Response:
    script = request.app[ACCOUNT].script
    wanted = await _body(request, ScriptRequest)
    script.clear()
    script.extend(wanted.outcomes)
    return _json(wanted)


async def _drop(request: web.Request) -> web.Response:
    """No answer. To the caller a dropped connection is the same doubt as a time-out, only sooner."""
    await asyncio.sleep(request.app[SETTINGS].hang_seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _body(request: web.Request, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=type_)
    except (ValueError, RecursionError) as error:
        raise Problem(422, "invalid", str(error)) from error


def _answer(payment: Payment) -> web.Response:
    return _json(payment, HTTP_STATUS[payment.status])


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
