"""The pages of those who keep the services running."""

from aiohttp import web

from services.console.pages.operations import audit, dead_letters, overview, runs, time, what_if


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/operations", overview.page),
        web.get("/operations/dead-letters", dead_letters.groups),
        web.get("/operations/dead-letters/{service}", dead_letters.messages),
        web.get("/operations/dead-letters/{service}/message", dead_letters.message),
        web.get("/operations/dead-letters/{service}/preview", dead_letters.preview),
        web.post("/operations/dead-letters/{service}/{action:redrive|discard}", dead_letters.give),
        web.get("/operations/runs", runs.page),
        web.get("/operations/start/{kind}", runs.form),
        web.post("/operations/start/{kind}", runs.start),
        web.get("/operations/runs/{id}", runs.one),
        web.post("/operations/runs/{id}", runs.steer),
        web.get("/operations/runs/{id}/file", runs.file),
        web.get("/operations/what-if", what_if.form),
        web.post("/operations/what-if", what_if.start),
        web.get("/operations/time", time.page),
        web.get("/operations/audit", audit.page),
    ]
