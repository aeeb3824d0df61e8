"""The build: plan, make, decide, emit."""

from instructify.build.plan import Plan, PlannedTask, make_plan
from instructify.build.run import BuildResult, build

__all__ = ["BuildResult", "Plan", "PlannedTask", "build", "make_plan"]
