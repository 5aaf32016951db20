"""The pages of one case."""

from aiohttp import web

from services.console.pages.case import doing, live, money, page, photos


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/cases/{case_id}", page.page),
        web.get("/cases/{case_id}/timeline", page.earlier),
        web.get("/cases/{case_id}/do/{command}", doing.form),
        web.post("/cases/{case_id}/do/{command}", doing.give),
        web.get("/cases/{case_id}/money", money.page),
        web.post("/cases/{case_id}/photos", photos.take),
        web.get("/cases/{case_id}/live", live.of_case),
        web.get("/files/{sha256:[0-9a-f]{64}}", photos.file),
    ]
