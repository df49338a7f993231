"""How attempts are spread over workers: the contract in `base`, one module an executor."""

from vla_bench.harness.executors.base import AttemptWorker, Done, Executor, Job, WorkerFactory, executor_class

__all__ = ["AttemptWorker", "Done", "Executor", "Job", "WorkerFactory", "executor_class"]
