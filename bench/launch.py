"""Runs one shell command and tells how long it took and how much memory its largest process had. A process of its own, because Linux counts
the memory of whoever starts a program among the program's own."""

import os
import sys
import time

begun = time.perf_counter()
child = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1]], os.environ)
_, status, usage = os.wait4(child, 0)
took = time.perf_counter() - begun
with open(sys.argv[2], "w") as out:
    out.write(f"{took} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}")
