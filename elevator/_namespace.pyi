"""System calls for namespaces, in C (native/namespace.c). Python has them only since version 3.12."""

def unshare(flags: int, /) -> None:
    """Move the calling thread to new namespaces of the kinds in *flags*. Raise OSError if that fails."""

def setns(fd: int, flags: int, /) -> None:
    """Move the calling thread to the namespace that *fd* refers to. Raise OSError if that fails.

    *flags* is the kind that the namespace must have; 0 allows any kind.
    """
