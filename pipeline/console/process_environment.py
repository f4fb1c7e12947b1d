"""What a command and its child processes find in the environment, where containers and batch systems leave it out.

DVC, MLflow, PyTorch and Ray ask for the user's name and home folder, and end with tracebacks where there are none; they
count CPU cores by affinity, not by a container's quota.
"""

import os
import pwd
from contextlib import suppress

from yolox_core.cpus import quota_cores

HOME = "/"  # what Docker and Kubernetes set for a user id without a name: nobody else's, and caches cope with it


def complete_environment() -> None:
    """Set USER and HOME where neither the environment nor the system knows them, and OMP_NUM_THREADS below a quota."""
    user = None
    with suppress(KeyError):  # a user id without a name
        user = pwd.getpwuid(os.getuid())
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):  # those getpass asks for
        os.environ["USER"] = user.pw_name if user else f"uid{os.getuid()}"
    if not os.environ.get("HOME"):
        os.environ["HOME"] = user.pw_dir if user else HOME
    quota = quota_cores()
    if quota is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(quota))
