"""The administrative routes, all behind one check of who asks."""

from fastapi import APIRouter, Depends

from millrace_gateway.admin import dead_letters, jobs, models, pipelines, schedules
from millrace_gateway.auth import admin_required

router = APIRouter(dependencies=[Depends(admin_required)])
for part in (schedules, models, pipelines, dead_letters, jobs):
    router.include_router(part.router)
