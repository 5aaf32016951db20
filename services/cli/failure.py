"""What went wrong, told to a person in both languages (or as JSON) instead of a traceback."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import typer
from sqlalchemy.exc import DBAPIError

from contracts.policy import Mistake, PolicyInvalid
from services.cases.media import MediaAway
from services.cli.output import show_json
from services.kernel.event_store import StoreError
from services.kernel.settings import SettingsInvalid

#: Exit statuses: what was asked for is not there or does not hold; it cannot be begun like this.
NOT_SO: Final = 1
NOT_LIKE_THIS: Final = 2


class InFile(msgspec.Struct, frozen=True):
    """A mistake in a file: the line (0 where it has none), the field, and what is wrong with it."""

    file: str
    line: int
    field: str
    zh: str
    en: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        return f"{where}{self.field}: {self.zh} / {self.en}"


class Failure(Exception):
    """A command cannot do what it was asked for. `mistakes` lists what is to be mended, zh / en each."""

    def __init__(
        self, code: str, zh: str, en: str, *, status: int = NOT_LIKE_THIS, mistakes: Sequence[str | InFile] = ()
    ) -> None:
        super().__init__(en)
        self.code = code
        self.zh = zh
        self.en = en
        self.status = status
        self.mistakes = list(mistakes)


@contextmanager
def told(json: bool) -> Iterator[None]:
    """Tell a failure and end with its status: JSON on standard output if asked for, else text on standard error."""
    try:
        yield
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        _tell(failure, json)
        raise typer.Exit(failure.status) from None


def _tell(failure: Failure, json: bool) -> None:
    if json:
        error = {"code": failure.code, "zh": failure.zh, "en": failure.en, "mistakes": failure.mistakes}
        show_json({"error": error})
        return
    typer.echo(f"{failure.zh}\n{failure.en}", err=True)
    for mistake in failure.mistakes:
        typer.echo(f"  {mistake}", err=True)


def reason_of(error: BaseException) -> str:
    """Why something failed, as a person says it: what the error that caused it tells, or what it is called."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _in_file(mistake: Mistake) -> InFile:
    file, line = (mistake.place.file, mistake.place.line) if mistake.place else ("", 0)
    return InFile(file, line, mistake.path, mistake.message.zh, mistake.message.en)


def file_exists(name: str) -> Failure:
    """A file that was to be new is there."""
    return Failure(
        "file_exists",
        f"{name} 已存在,不会覆盖。请换一个文件名,或先移走它。",
        f"{name} is there already and is not overwritten. Name another file, or move it away first.",
    )


def failure_of(error: Exception) -> Failure | None:
    """The failure that an error amounts to, where somebody at the command line can do something about it."""
    match error:
        case Failure():
            return error
        case SettingsInvalid():
            return Failure(
                "settings_invalid",
                "配置有误,请改正(可用 aftersales config check 查看全部设置):",
                "The configuration is wrong; mend it (aftersales config check shows all settings):",
                mistakes=error.mistakes,
            )
        case PolicyInvalid():
            return Failure(
                "policy_invalid",
                "政策文件有误,请改正:",
                "The policy file is wrong; mend it:",
                mistakes=[_in_file(mistake) for mistake in error.mistakes],
            )
        case MediaAway():
            return Failure(
                "media_away",
                f"存放凭证文件的 {error.place} 用不了:{error.reason}。请检查 AFTERSALES_MEDIA_URL、网络和访问密钥。",
                f"{error.place}, where evidence files are kept, cannot be used: {error.reason}."
                " Check AFTERSALES_MEDIA_URL, the network and the access keys.",
            )
        case StoreError() | DBAPIError():
            return Failure(
                "store_unavailable",
                f"数据库打不开:{error}。请检查数据目录的权限、磁盘空间和文件。",
                f"The database cannot be opened: {error}. Check the data folder's permissions, space and files.",
            )
        case OSError(filename=str(name)):
            return Failure(
                "file_unusable",
                f"无法使用 {name}:{error.strerror}。请检查路径和权限。",
                f"Cannot use {name}: {error.strerror}. Check the path and its permissions.",
            )
        case _:
            return None
