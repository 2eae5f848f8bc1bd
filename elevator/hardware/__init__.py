"""The ports to one elevator: the lab's elevator server over TCP, or the I/O card on a serial line.

Start with panel.py, which both share: an answered sweep becomes `Inputs`, and wanted `Outputs` become the commands that
are due. elevator_server.py speaks 4-byte messages; io_card.py knows the card's bytes and serial_port.py its line.

Imports core. Both ports never block, keep one sweep outstanding, and write only differences. The protocols are the
course's and cannot change.
"""
