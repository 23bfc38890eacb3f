"""Joins several processes, on one host or many, through JAX's distributed runtime."""

import socket
import time

import jax

from adaptive_jax.validation import steps as whole_number


def join(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    wait: int = 300,
) -> None:
    """Joins this process to others with `jax.distributed.initialize`.

    Call it before anything else asks for JAX's devices.

    Args:
      coordinator: HOST:PORT on which process 0 listens. On a cluster that JAX detects (Slurm,
        Open MPI, Kubernetes, TPU pods), this and the next two may be None, the default.
      num_processes: The number of processes.
      process_id: The index of this process, from 0.
      wait: The number of seconds to wait for the other processes. Default 300, as in JAX.

    Raises:
      ValueError: An argument is out of range, or missing outside of a cluster.
      OSError: Nobody listens at the coordinator's address, or process 0 cannot listen there.
    """
    wait = whole_number("wait", wait)
    if num_processes is not None:
        num_processes = whole_number("num_processes", num_processes)
    if process_id is not None:
        process_id = whole_number("process_id", process_id, minimum=0)
        if num_processes is not None and process_id >= num_processes:
            raise ValueError(
                f"process_id must be less than num_processes, {num_processes}, got {process_id}"
            )
    arguments = coordinator, num_processes, process_id
    if coordinator is not None:
        address = _address(coordinator)
        # JAX's runtime aborts the process, with a C++ stack trace, if it cannot use the address.
        # Python cannot catch that, so the address is tried first.
        if None not in arguments:
            _listen(address) if process_id == 0 else _reach(address, wait)
    try:
        jax.distributed.initialize(*arguments, initialization_timeout=wait)
    except (ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        if None in arguments:
            reason += ": outside of a cluster, give coordinator, num_processes and process_id"
        raise ValueError(f"cannot join other processes: {reason}") from error


def _address(coordinator):
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            f"coordinator must be HOST:PORT, such as 10.0.0.1:1234, got {coordinator!r}"
        )
    return host.strip("[]"), int(port)


def _listen(address):
    """Raises an OSError if the port is not free."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", address[1]))
        except OSError as error:
            raise OSError(f"cannot listen on port {address[1]}: {error.strerror}") from error


def _reach(address, wait):
    """Waits until the coordinator listens, or raises an OSError."""
    end = time.monotonic() + wait
    while True:
        try:
            return socket.create_connection(address, timeout=wait).close()
        except OSError as error:
            if time.monotonic() > end or isinstance(error, socket.gaierror):
                host, port = address
                raise OSError(
                    f"no coordinator at {host}:{port} within {wait} s ({error.strerror or error}): "
                    "start process 0 there, and open its port to this host"
                ) from error
            time.sleep(min(1, wait / 10))
