"""Configuration from the environment: `AFTERSALES_…` names, `…_FILE` for secrets, nothing unknown."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "AFTERSALES_"


class SettingsInvalid(Exception):
    """The environment cannot be worked with; `mistakes` names each variable and what is wrong with it."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Settings(BaseSettings):
    """What can be set. Every field is an environment variable with the prefix `AFTERSALES_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

    data_dir: Path = Field(Path("var"), description="Where the embedded store keeps databases, photos and secrets")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    media_url: str = Field("", description="Where photos are kept: a folder or s3://…; empty: in the data folder")
    policy_file: Path | None = Field(None, description="The shop's changes to the policy (YAML)")
    token_secret: SecretStr = Field(
        SecretStr(""), description="Secret that signs tokens, 32 characters or more; empty: made and kept in data_dir"
    )
    gateway: Literal["manual", "sandbox"] = Field("manual", description="Who pays out: finance by hand, or a provider")
    gateway_url: str = Field("", description="Base URL of the provider")
    gateway_secret: SecretStr = Field(SecretStr(""), description="Secret shared with the provider")
    gateway_timeout_seconds: float = Field(10.0, gt=0, le=120, description="How long to wait for the provider")
    ask_every_seconds: float = Field(15.0, gt=0, description="How often open payouts are asked about")
    clock: Literal["system", "manual"] = Field("system", description="manual: the time is set by hand (scenarios)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["auto", "json", "pretty"] = Field("auto", description="auto: pretty on a terminal, else JSON")


def load_settings(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """The settings in force; values given here come before the environment. Raises `SettingsInvalid`."""
    environ = os.environ if environ is None else environ
    values = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {name.upper() for name in Settings.model_fields}
    mistakes: list[str] = []
    read: dict[str, object] = {}
    for name, value in values.items():
        base = name.removesuffix("_FILE")
        if name in known:
            read[name.lower()] = value
        elif name != base and base in known:
            read[base.lower()] = _from_file(PREFIX + name, value, mistakes)
        else:
            mistakes.append(f"{PREFIX}{name}: 没有这个设置 / no such setting; run `aftersales config check`")
    if mistakes:
        raise SettingsInvalid(mistakes)
    try:
        return Settings.model_validate({**read, **given})
    except ValidationError as error:
        raise SettingsInvalid(
            [f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors(include_input=False)]
        ) from None


def _from_file(name: str, path: str, mistakes: list[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        mistakes.append(f"{name}: {error.strerror}: {path}")
        return ""
