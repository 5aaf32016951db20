"""Routes of the commands on a case: found by name at once.

The framework would try the pattern of one command after the other, and there are some forty of them: that took as long
as all the rest that it does for a request.
"""

from collections.abc import Iterator
from typing import Any

from aiohttp import web

_PATH = "/v1/cases/{case_id}/"
_METHOD = "POST"


class CaseCommandRoute(web.RouteDef):
    """`POST /v1/cases/{case_id}/{command}`, the command in kebab-case. All services of a server share one table."""

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        """Enter the command into the router's table, which is made for the first one."""
        table = next((one for one in router.resources() if isinstance(one, _CaseCommands)), None)
        if table is None:
            table = _CaseCommands(_PATH + "{command}")
            router.register_resource(table)
        return [table.enter(self.path.removeprefix(_PATH), self.path, self.handler)]


def case_command_route(name: str, handler: Any) -> CaseCommandRoute:
    """The route of a command on a case."""
    return CaseCommandRoute(_METHOD, _PATH + name.replace("_", "-"), handler, {})


class _CaseCommands(web.DynamicResource):
    """All commands on cases by the last part of their address."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._commands: dict[str, web.ResourceRoute] = {}

    def enter(self, command: str, path: str, handler: Any) -> web.ResourceRoute:
        if command in self._commands:
            raise ValueError(f"two services take the command {command}")
        route = self._commands[command] = web.ResourceRoute(_METHOD, handler, web.DynamicResource(path))
        return route

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        match = self._match(request.rel_url.path_safe)
        route = self._commands.get(match["command"]) if match else None
        if match is None or route is None:
            return None, set()
        found = web.UrlMappingMatchInfo(match, route) if request.method == _METHOD else None
        return found, {_METHOD}

    def __len__(self) -> int:
        return len(self._commands)

    def __iter__(self) -> Iterator[web.ResourceRoute]:
        return iter(self._commands.values())
