"""Jobs: who runs a training, and what everybody may know of it while it runs."""

from lib_lora.jobs.status import IDLE, Status
from lib_lora.jobs.worker import Jobs

__all__ = ["IDLE", "Jobs", "Status"]
