"""An IPython kernel that ends with the process that started it, even while a cell holds the interpreter's lock.

ipykernel watches its parent from a Python thread, which cannot run while compiled code keeps the lock; the system can.
"""

import sys
from pathlib import Path

from lib.reproduce.guard import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    if sys.path[0] == "" or Path(sys.path[0]) == Path.cwd():
        del sys.path[0]  # as ipykernel_launcher does; IPython adds it again

    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
