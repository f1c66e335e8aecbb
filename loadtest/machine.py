"""The machine that figures were measured on, in words."""

import os
import platform
from pathlib import Path

import psutil

_BF16_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}


def describe_machine() -> str:
    """Processor, cores this process may use, bfloat16 instructions, memory."""
    name, flags = platform.machine(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    arithmetic = " and ".join(text for flag, text in _BF16_FLAGS.items() if flag in flags) or "no bfloat16"
    if "amx_bf16" not in flags:
        arithmetic += ", no AMX"
    memory = psutil.virtual_memory().total / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {name} ({arithmetic}), {memory:.0f} GiB memory"


def load_average() -> float:
    """Runnable processes of the whole machine, averaged over a minute: tells whether others disturbed a run."""
    return os.getloadavg()[0]
