"""Comes first on PYTHONPATH while chapters run: every Python that they start begins with this.

In the `cpu` profile a connection that leaves this machine is an error. And no Python is told that pytest
started it: a kernel that is told so leaves the output of child processes and of C code out of the notebook.
"""

import os
import socket
from typing import Any

os.environ.pop("PYTEST_CURRENT_TEST", None)

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _check(address: Any) -> None:
    if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
        raise ConnectionRefusedError(f"{address[0]}: the chapters run without a network in the cpu profile")


def _local_connect(self: socket.socket, address: Any) -> None:
    _check(address)
    _connect(self, address)


def _local_connect_ex(self: socket.socket, address: Any) -> int:
    _check(address)
    return _connect_ex(self, address)


if os.environ.get("COURSE_PROFILE", "cpu") == "cpu":
    socket.socket.connect = _local_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = _local_connect_ex  # type: ignore[method-assign, assignment]
