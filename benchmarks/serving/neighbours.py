"""What else goes on on the machine while something is measured."""

import os

import psutil


def busy_elsewhere() -> float:
    """Seconds of the processors that other programs have taken until now."""
    of_all, ours = psutil.cpu_times(), os.times()
    of_ours = ours.user + ours.system + ours.children_user + ours.children_system
    return float(of_all.user + of_all.nice + of_all.system - of_ours)
