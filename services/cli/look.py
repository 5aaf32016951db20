"""What commands that show one document have in common: where it is read, as whom, and how it is shown."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.case_reading import reading
from services.cli.environment import to_answer
from services.cli.failure import Failure, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.kernel.actor import ROLES
from services.kernel.settings import Settings
from services.wording.words import Language, Words


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Whom to ask for a document, and how the answer is told."""

    url: Annotated[str, typer.Option(help="A running server; else the database is read. 服务地址。")] = ""
    token: Annotated[str, typer.Option(help="Token for --url. 令牌。", show_default=False)] = ""
    data_dir: Annotated[Path | None, DataDir] = None
    lang: Annotated[Language | None, InLanguage] = None
    json: Annotated[bool, AsJson] = False

    def begin(self) -> tuple[Settings, Words]:
        """The settings to work by and the words to answer in; from here on, only errors are logged."""
        return to_answer(self.data_dir, self.lang)


@dataclass(frozen=True, kw_only=True)
class Look(Asked):
    """The options of a command that shows a document as a role sees it."""

    role: Annotated[str, typer.Option(help="Whose next actions are shown. 以何岗位查看。")] = "store_manager"

    def show(self, sheet: Callable[[Console, Words, Mapping[str, Any]], None], *path: str, **query: str | None) -> None:
        """Show the document at a path of the API, with what stands behind the question mark where it is said."""
        with told(self.json):
            if self.role not in ROLES:
                roles = ", ".join(ROLES)
                zh = f"--role:没有岗位 {self.role}。可选:{roles}。"
                raise Failure("invalid", zh, f"--role: no role {self.role}; {roles}.")
            settings, words = self.begin()
            said = {name: value for name, value in query.items() if value is not None}
            document = asyncio.run(self._read(settings, path, said))
            if self.json:
                show_json(document)
            else:
                sheet(paper(), words, document)

    async def _read(self, settings: Settings, path: tuple[str, ...], query: Mapping[str, str]) -> dict[str, Any]:
        async with reading(settings, self.role, self.url, self.token) as read:
            return await read(*path, **query)
