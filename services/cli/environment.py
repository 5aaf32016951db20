"""What a command works with: the settings in force, whether they can be worked with, and words for what it tells."""

import os
import sys
from pathlib import Path

from services.cli.failure import Failure
from services.kernel.http.identity import Tokens
from services.kernel.logging import set_up
from services.kernel.settings import Settings, load_settings
from services.policy import policy_in_force
from services.token_secret import token_secret
from services.wording.words import Language, Words, usual_language


def settings_in_force(**options: object) -> Settings:
    """Settings from the environment, and over them the options that were given. Raises `SettingsInvalid`."""
    return load_settings(None, **{name: value for name, value in options.items() if value is not None})


def to_answer(data_dir: Path | None, language: Language | None) -> tuple[Settings, Words]:
    """What a command that only answers works with: settings and words; from here on, only errors are logged."""
    set_up("error", "pretty")
    settings = settings_in_force(data_dir=data_dir)
    return settings, words_in(settings, language)


def log_beside_the_answer(settings: Settings, json: bool) -> None:
    """Log for whoever collects it. A person at a terminal, and a program that asks for JSON, read the same in the
    answer: there, only errors are logged."""
    set_up("error" if json or sys.stderr.isatty() else settings.log_level, "pretty")


def words_in(settings: Settings, language: Language | None) -> Words:
    """What things are called: by the policy in force, in a language that was asked for, else in the usual one."""
    return Words(policy_in_force(settings), language or usual_language(os.environ))


def tokens_of(settings: Settings) -> Tokens:
    """What signs and checks tokens here; draws the data folder's secret where there is none yet."""
    if not settings.token_secret.get_secret_value():
        make_folder(settings.data_dir)
    try:
        return Tokens(token_secret(settings))
    except ValueError:
        file = settings.data_dir / "token.secret"
        raise Failure(
            "secret_damaged",
            f"签名密钥文件 {file} 已损坏(太短)。恢复它,或删除后重新签发令牌。",
            f"The secret in {file} is damaged (too short). Restore it, or delete it and make new tokens.",
        ) from None


def make_folder(folder: Path) -> None:
    """Make the data folder; `Failure` where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error.strerror or str(error)) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unwritable(folder, "Permission denied")


def unwritable(folder: Path, reason: str) -> Failure:
    """The data folder cannot be used."""
    return Failure(
        "data_dir_unwritable",
        f"数据目录 {folder} 无法写入({reason})。请用 --data-dir 或 AFTERSALES_DATA_DIR 指定可写的目录。",
        f"The data folder {folder} cannot be written ({reason})."
        " Name one that can with --data-dir or AFTERSALES_DATA_DIR.",
    )
