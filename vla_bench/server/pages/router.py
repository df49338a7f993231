"""`router`: all pages, under one check of their addresses."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from vla_bench.server.pages import about, account, boards, disputes, pictures, policies, runs, site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
router.include_router(site.router)
for part in (boards, policies, runs, pictures, about, account, disputes):
    router.include_router(part.router, dependencies=[Depends(site.check_address)])
