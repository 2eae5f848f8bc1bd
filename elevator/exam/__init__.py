"""The bench that examines any controller that speaks the elevator server's protocol.

sandbox.py gives each controller a host: a network namespace with one network interface, which needs no root where the
system allows user namespaces. switch.py joins the hosts in user space. It can lose, delay, duplicate, corrupt and cut
off frames, and it counts and captures them. netlink.py configures interfaces, and frames.py reads and builds frames.
"""
