"""System calls for namespaces, in C (native/namespace.c). Python has them only since version 3.12."""

def unshare(flags: int, /) -> None:
    """Move the calling thread to new namespaces of the kinds in *flags*; raise OSError."""

def setns(fd: int, flags: int, /) -> None:
    """Move the calling thread to the namespace that *fd* refers to; raise OSError. *flags* is its kind, or 0."""
