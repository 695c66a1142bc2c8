"""Put first on PYTHONPATH while chapters run: a connection that leaves this machine is an error."""

import socket

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _check(address: object) -> None:
    if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
        raise ConnectionRefusedError(f"{address[0]}: the chapters run without a network in the cpu profile")


def _local_connect(self: socket.socket, address):
    _check(address)
    return _connect(self, address)


def _local_connect_ex(self: socket.socket, address):
    _check(address)
    return _connect_ex(self, address)


socket.socket.connect = _local_connect
socket.socket.connect_ex = _local_connect_ex
