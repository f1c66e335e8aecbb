"""Run as a program: becomes tritonserver, having arranged that it dies with the supervisor.

The parent-death signal must be set in the child. A `preexec_fn` would run Python between fork and exec, which may
deadlock in a process with threads (the supervisor has some), so a fresh interpreter does it and then turns into the
server: `python -I -S launch.py SUPERVISOR_PID PROGRAM ARGUMENT...`. The signal follows the *thread* that started the
child, hence one supervisor thread starts every server and outlives it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Set the parent-death signal and exec the program that the arguments name."""
    supervisor, program = int(sys.argv[1]), sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # The supervisor may have died before the call above: then nobody will ever send the signal.
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()
