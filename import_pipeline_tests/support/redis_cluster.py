"""A real cluster of two Valkeys, each of which serves half of the keys."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis

from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import RedisServer

SLOTS = ((0, 8191), (8192, 16383))
START_SECONDS = 60.0


def cluster_url(*nodes: RedisServer) -> str:
    """The address of a cluster that names those nodes."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@contextmanager
def cluster() -> Iterator[list[RedisServer]]:
    """Yield the two nodes, when each knows that all keys are served."""
    with ExitStack() as stack:
        ports = [free_port(), free_port()]  # by default 10,000 above the other, which may be too high
        options = {"cluster_enabled": "yes", "cluster_node_timeout": "2000"}
        nodes = [stack.enter_context(RedisServer(cluster_port=str(port), **options)) for port in ports]
        for node, slots in zip(nodes, SLOTS, strict=True):
            send_command(node, "CLUSTER", "ADDSLOTSRANGE", *slots)
        send_command(nodes[0], "CLUSTER", "MEET", "127.0.0.1", nodes[1].port, ports[1])
        deadline = time.monotonic() + START_SECONDS
        while not all(is_complete(node) for node in nodes):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield nodes


def send_command(node: RedisServer, *command: str | int) -> object:
    """Send a command to that node alone."""
    with redis.Redis.from_url(node.url()) as client:
        return client.execute_command(*command)


def is_complete(node: RedisServer) -> bool:
    """Return True once the node serves its keys and knows of all others."""
    found = send_command(node, "CLUSTER", "INFO")
    assert isinstance(found, bytes)
    lines = found.decode().split()
    return {"cluster_state:ok", "cluster_known_nodes:2"} <= {*lines}
