"""Several processes, on one host or many, that train together by JAX's distributed runtime."""

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
    """Makes this process one of several, by `jax.distributed.initialize`.

    To be called before anything else asks for JAX's devices.

    Args:
      coordinator: HOST:PORT of process 0, which listens there. This and the two below are None
        where the cluster says them (Slurm, Open MPI, Kubernetes, TPU pods).
      num_processes: how many there are.
      process_id: which of them this is, from 0 on.
      wait: for the others, in seconds. Default 300, as JAX has it.

    Raises:
      ValueError: an argument is out of range, or missing outside of a cluster.
      OSError: nobody listens at the coordinator's address, or process 0 cannot.
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
        if None not in arguments:  # JAX would end the process, with a stack trace of C++
            _listen(address) if process_id == 0 else _reach(address, wait)
    try:
        jax.distributed.initialize(*arguments, initialization_timeout=wait)
    except (ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        if None in arguments:
            reason += ": where no cluster says them, give coordinator, num_processes and process_id"
        raise ValueError(f"cannot join other processes: {reason}") from error


def _address(coordinator):
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            f"coordinator must be HOST:PORT, such as 10.0.0.1:1234, got {coordinator!r}"
        )
    return host.strip("[]"), int(port)


def _listen(address):
    """Tries whether the port is free."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", address[1]))
        except OSError as error:
            raise OSError(f"cannot listen on port {address[1]}: {error.strerror}") from error


def _reach(address, wait):
    """Waits until somebody listens there."""
    end = time.monotonic() + wait
    while True:
        try:
            return socket.create_connection(address, timeout=wait).close()
        except OSError as error:
            if time.monotonic() > end or isinstance(error, socket.gaierror):
                host, port = address
                raise OSError(
                    f"no coordinator at {host}:{port} within {wait} s ({error.strerror or error}): "
                    "start process 0 there, and let its port be reached from here"
                ) from error
            time.sleep(min(1, wait / 10))
