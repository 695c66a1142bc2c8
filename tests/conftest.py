"""Sockets to other machines are refused in every test: the cpu profile needs no network."""

import pytest
from pytest_socket import socket_allow_hosts


@pytest.fixture(autouse=True)
def only_this_machine():
    """Refuses every connection that leaves 127.0.0.1."""
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
