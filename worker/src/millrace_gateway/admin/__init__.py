"""What operators of the platform ask of the gateway: schedules, models, pipelines, dead letters, results of jobs."""

from millrace_gateway.admin.router import router

__all__ = ["router"]
