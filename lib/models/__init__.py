"""What looks: small networks that train in seconds on a CPU and in full size on a GPU.

Import the module you need, for example ``from lib.models import mae``; importing this package loads none of them.
"""
