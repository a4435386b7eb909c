"""Jobs: one attribute's search, candidates, trainings, controls, one test, one finished folder."""

from nas.job.run import run_job

__all__ = ["run_job"]
