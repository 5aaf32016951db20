"""Configuration from the environment: `AFTERSALES_…` names, `…_FILE` for secrets, nothing unknown."""

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "AFTERSALES_"
#: A shorter secret could be guessed.
TOKEN_SECRET_CHARACTERS = 32
#: Where the name of the service stands in `database_url`: each has a database of its own.
SERVICE: Final = "{service}"

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([1-9][0-9]{0,4})")
_PREFIX = re.compile(r"[a-z0-9._-]{0,100}")
_ORIGIN = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[1-9][0-9]{0,4})?/?")
_OF_SERVICE = re.compile(r"[a-z]+=(.+)")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: What a value must be, by the kind of mistake that pydantic finds; `{…}` is filled from the mistake.
_RULES = {
    "int_parsing": "须为整数 / must be a whole number",
    "int_type": "须为整数 / must be a whole number",
    "int_from_float": "须为整数 / must be a whole number",
    "float_parsing": "须为数 / must be a number",
    "float_type": "须为数 / must be a number",
    "finite_number": "须为有限的数 / must be a finite number",
    "greater_than_equal": "不能小于 {ge} / must be at least {ge}",
    "greater_than": "须大于 {gt} / must be above {gt}",
    "less_than_equal": "不能大于 {le} / must be at most {le}",
    "literal_error": "只能是 {expected} / must be one of these",
    "value_error": "{error}",
}


class SettingsInvalid(Exception):
    """The environment cannot be worked with; `mistakes` names each variable and what is wrong with it (zh / en)."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Settings(BaseSettings):
    """What can be set. Every field is an environment variable with the prefix `AFTERSALES_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", validate_default=True, allow_inf_nan=False
    )

    data_dir: Path = Field(Path("var"), description="Where the embedded store keeps databases, photos and secrets")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    drain_seconds: float = Field(0.5, ge=0, le=60, description="How long it is not ready before it stops listening")
    media_url: str = Field("", description="Where photos are kept: a folder or s3://…; empty: in the data folder")
    policy_file: Path | None = Field(None, description="The shop's changes to the policy (YAML)")
    token_secret: SecretStr = Field(
        SecretStr(""), description="Secret that signs tokens, 32 characters or more; empty: made and kept in data_dir"
    )
    gateway: Literal["manual", "sandbox"] = Field("manual", description="Who pays out: finance by hand, or a provider")
    gateway_url: str = Field("", description="Base URL of the provider")
    gateway_secret: SecretStr = Field(SecretStr(""), description="Secret shared with the provider")
    gateway_timeout_seconds: float = Field(10.0, gt=0, le=120, description="How long to wait for the provider")
    ask_every_seconds: float = Field(15.0, gt=0, le=86_400, description="How often open payouts are asked about")
    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL: postgresql://user:password@host/aftersales_{service}; empty: SQLite files in data_dir",
    )
    kafka_servers: str = Field(
        "", description="Brokers, host:port,host:port; empty: services read each other's logs (embedded)"
    )
    kafka_prefix: str = Field("", description="Put before topics and groups, where several shops share a cluster")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are talked to"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the password is proved to brokers (SASL)"
    )
    kafka_username: str = Field("", description="User at the brokers (SASL)")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password at the brokers (SASL)")
    kafka_ca: Path | None = Field(
        None, description="Certificates that brokers are trusted by (PEM); empty: the system's"
    )
    kafka_partitions: int = Field(6, ge=1, le=1000, description="Partitions of a topic that is made")
    kafka_replication: int = Field(1, ge=1, le=9, description="Copies of a topic that is made")
    kafka_retention_days: int = Field(14, ge=-1, le=36_500, description="How long topics keep events; -1: for ever")
    api_url: str = Field(
        "",
        description="Where a console of its own reaches the API: http://front, http://{service}-api:8080, or"
        " cases=http://…,refunds=http://…",
    )
    console_url: str = Field(
        "", description="Public address of the console, https://host; empty: the address that a request came to"
    )
    oidc_issuer: str = Field(
        "", description="OpenID Connect provider that people sign in with (its issuer); empty: one-time links only"
    )
    oidc_client_id: str = Field("", description="The console's client id at the provider")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="The console's secret at the provider; empty: a public client"
    )
    oidc_scopes: str = Field("openid profile", description="What is asked of the provider, separated by spaces")
    oidc_name_claim: str = Field(
        "", description="Claim with a person's unique name; empty: preferred_username, name or sub"
    )
    oidc_roles_claim: str = Field("roles", description="Claim with a person's roles, a.b for b in a")
    oidc_role_prefix: str = Field("", description="What stands before our roles in that claim, as in aftersales:agent")
    otlp_endpoint: str = Field("", description="OpenTelemetry collector (OTLP over HTTP); empty: no tracing")
    clock: Literal["system", "manual"] = Field("system", description="manual: the time is set by hand (scenarios)")
    clock_file: Path | None = Field(None, description="A manual clock that several processes share (scenarios)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["auto", "json", "pretty"] = Field("auto", description="auto: pretty on a terminal, else JSON")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_settings` alone reads the environment that it is given."""
        return (init_settings,)

    @field_validator("token_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < TOKEN_SECRET_CHARACTERS:
            raise ValueError(
                f"须有 {TOKEN_SECRET_CHARACTERS} 个字符以上 / must have {TOKEN_SECRET_CHARACTERS} characters or more"
            )
        return secret

    @field_validator("gateway_url")
    @classmethod
    def _provider_named(cls, url: str, info: ValidationInfo) -> str:
        if info.data.get("gateway") == "sandbox" and not url.startswith(("http://", "https://")):
            raise ValueError("支付网关为 sandbox 时须填 http(s) 地址 / the gateway sandbox needs its http(s) address")
        return url

    @field_validator("gateway_secret")
    @classmethod
    def _provider_secret(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("gateway") == "sandbox" and not _is_base64(secret.get_secret_value().removeprefix("whsec_")):
            raise ValueError(
                "支付网关为 sandbox 时须填与它共享的密钥(whsec_… 的 base64)"
                " / the gateway sandbox needs the secret shared with it (base64, whsec_…)"
            )
        return secret

    @field_validator("database_url")
    @classmethod
    def _database_of_each(cls, given: SecretStr) -> SecretStr:
        url = given.get_secret_value()
        if url and not _is_postgresql(url):
            raise ValueError(
                "须为 postgresql://用户:密码@主机/aftersales_{service} 这样的地址"
                " / must be an address like postgresql://user:password@host/aftersales_{service}"
            )
        if url and SERVICE not in url:
            raise ValueError(
                "须含 {service},因为每个服务有自己的数据库 / must hold {service}: each service has its own database"
            )
        return given

    @field_validator("kafka_servers")
    @classmethod
    def _servers_named(cls, servers: str, info: ValidationInfo) -> str:
        if not servers:
            return servers
        found = [_SERVER.fullmatch(server) for server in servers.split(",")]
        if not all(one and int(one[2]) <= 65535 for one in found):
            raise ValueError("须为 主机:端口,用逗号分开 / must be host:port, separated by commas")
        database_url = info.data.get("database_url")
        if database_url is not None and not database_url.get_secret_value():
            raise ValueError(
                f"用 Kafka 时须设 {PREFIX}DATABASE_URL(PostgreSQL),因为一个服务的几个进程共用它的数据库"
                f" / Kafka needs {PREFIX}DATABASE_URL (PostgreSQL): the processes of a service share its database"
            )
        return servers

    @field_validator("kafka_prefix")
    @classmethod
    def _fit_for_topics(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("只能用小写字母、数字和 . _ -,至多 100 个 / may hold a-z, 0-9 and . _ - only, 100 at most")
        return prefix

    @field_validator("kafka_username", "kafka_password")
    @classmethod
    def _known_to_brokers(cls, given: Any, info: ValidationInfo) -> Any:
        text = given.get_secret_value() if isinstance(given, SecretStr) else given
        if not text and str(info.data.get("kafka_security")).startswith("SASL"):
            raise ValueError(
                "AFTERSALES_KAFKA_SECURITY 为 SASL 时必填 / is required where AFTERSALES_KAFKA_SECURITY is SASL"
            )
        return given

    @field_validator("kafka_ca")
    @classmethod
    def _certificates_there(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and not os.access(file, os.R_OK):
            raise ValueError(f"无法读取 {file} / cannot read {file}")
        if file is not None and not str(info.data.get("kafka_security")).endswith("SSL"):
            raise ValueError(
                "AFTERSALES_KAFKA_SECURITY 不是 SSL 或 SASL_SSL,用不到证书"
                " / is of no use unless AFTERSALES_KAFKA_SECURITY is SSL or SASL_SSL"
            )
        return file

    @field_validator("kafka_retention_days")
    @classmethod
    def _kept_at_all(cls, days: int) -> int:
        if days == 0:
            raise ValueError("至少 1 天,或 -1 表示永久 / must be at least 1, or -1 for ever")
        return days

    @field_validator("api_url")
    @classmethod
    def _api_named(cls, url: str) -> str:
        named = [_OF_SERVICE.fullmatch(one) for one in url.split(",")]
        origins = [one[1] if one else "" for one in named] if "=" in url else [url.replace(SERVICE, "service")]
        if url and not all(map(_ORIGIN.fullmatch, origins)):
            raise ValueError(
                "须为 http(s)://主机[:端口],主机里可用 {service},不带路径;或逐个服务写 服务=地址,用逗号分开"
                " / must be http(s)://host[:port] without a path; the host may hold {service};"
                " or service=address for each of them, separated by commas"
            )
        return url.removesuffix("/")

    @field_validator("console_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        if url and not _ORIGIN.fullmatch(url):
            raise ValueError("须为 https://主机[:端口],不带路径 / must be https://host[:port] without a path")
        return url.removesuffix("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_provider(cls, url: str) -> str:
        if url and not is_safe_address(url):
            raise ValueError(
                "须为 https 地址,不带 ? 和 #(本机可用 http)"
                " / must be an https address without ? and # (http on this machine)"
            )
        return url

    @field_validator("oidc_client_id")
    @classmethod
    def _client_of_provider(cls, client_id: str, info: ValidationInfo) -> str:
        issuer = info.data.get("oidc_issuer")
        if issuer and not client_id:
            raise ValueError("AFTERSALES_OIDC_ISSUER 已设时必填 / is required where AFTERSALES_OIDC_ISSUER is set")
        if issuer == "" and client_id:
            raise ValueError("须同时设 AFTERSALES_OIDC_ISSUER / goes with AFTERSALES_OIDC_ISSUER only")
        return client_id

    @field_validator("oidc_scopes")
    @classmethod
    def _openid_asked(cls, scopes: str) -> str:
        if "openid" not in scopes.split():
            raise ValueError("须含 openid / must hold openid")
        return scopes

    @field_validator("oidc_roles_claim")
    @classmethod
    def _claim_named(cls, claim: str) -> str:
        if not claim:
            raise ValueError("不能为空 / must not be empty")
        return claim

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector_named(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("须为 http(s) 地址 / must be an http(s) address")
        return url

    @field_validator("clock_file")
    @classmethod
    def _clock_by_hand(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("clock") == "system":
            raise ValueError("只用于 AFTERSALES_CLOCK=manual / goes with AFTERSALES_CLOCK=manual only")
        return file

    @contextmanager
    def for_reading(self) -> Iterator["Settings"]:
        """The same, for reading only: nothing is kept beside databases of a server, neither secrets nor photos."""
        if not self.database_url.get_secret_value():
            yield self
            return
        with TemporaryDirectory(prefix="aftersales-") as nowhere:
            yield self.model_copy(update={"data_dir": Path(nowhere), "media_url": ""})

    def database_of(self, service: str) -> str:
        """Where a service keeps its database."""
        url = self.database_url.get_secret_value()
        return url.replace(SERVICE, service) if url else f"sqlite+aiosqlite:///{self.data_dir / service}.db"


def load_settings(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """The settings in force; values given here come before the environment. Raises `SettingsInvalid`."""
    mistakes: list[str] = []
    read: dict[str, object] = {}
    for name, value in _ours(environ).items():
        field, from_file = field_of(name)
        if field is None:
            mistakes.append(_unknown(name))
        elif field in read:
            mistakes.append(f"{name}: 与 {PREFIX}{field.upper()} 只能设一个 / set only one of the two")
        else:
            read[field] = _from_file(name, value, mistakes) if from_file else value
    if mistakes:
        raise SettingsInvalid(mistakes)
    try:
        return Settings.model_validate({**read, **given})
    except ValidationError as error:
        raise SettingsInvalid([_said(one) for one in error.errors(include_input=False)]) from None


def sources(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variable that each setting comes from, by field; the others have their defaults."""
    named = {name: field_of(name)[0] for name in _ours(environ)}
    return {field: name for name, field in named.items() if field is not None}


def field_of(name: str) -> tuple[str | None, bool]:
    """The field that an environment variable sets, None for no such one, and whether it names a file to read."""
    field = name.removeprefix(PREFIX)
    known = {field.upper() for field in Settings.model_fields}
    if field in known:
        return field.lower(), False
    base = field.removesuffix("_FILE")
    return (base.lower(), True) if base != field and base in known else (None, False)


def is_safe_address(url: str) -> bool:
    """Whether secrets may be sent there: over TLS, or within this machine."""
    try:
        split = urlsplit(url)
        known = bool(split.hostname) and not split.query and not split.fragment and split.username is None
    except ValueError:
        return False
    return known and (split.scheme == "https" or (split.scheme == "http" and split.hostname in _LOOPBACK))


def _ours(environ: Mapping[str, str] | None) -> dict[str, str]:
    environ = os.environ if environ is None else environ
    return {name: value for name, value in sorted(environ.items()) if name.startswith(PREFIX)}


def _unknown(name: str) -> str:
    near = get_close_matches(name, [PREFIX + field.upper() for field in Settings.model_fields], n=1)
    zh, en = (f",是否想写 {near[0]}?", f", did you mean {near[0]}?") if near else ("", "")
    return f"{name}: 没有这个设置{zh} / no such setting{en}"


def _said(error: Any) -> str:
    rule = _RULES.get(error["type"], "{msg}")
    return f"{PREFIX}{str(error['loc'][0]).upper()}: " + rule.format_map({**error.get("ctx", {}), "msg": error["msg"]})


def _from_file(name: str, path: str, mistakes: list[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        mistakes.append(f"{name}: 无法读取文件 {path} / cannot read the file: {reason}")
        return ""


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        return False


def _is_postgresql(url: str) -> bool:
    try:
        read = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return read.drivername in ("postgresql", "postgresql+asyncpg") and bool(read.database)
