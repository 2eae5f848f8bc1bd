"""The ports to one elevator: the lab's elevator server over TCP, or the I/O card on a serial line.

Start with elevator_server.py: an answered sweep becomes `Inputs`, and wanted `Outputs` become messages of 4 bytes.
io_card.py (bytes) and card_port.py (the line) do the same for the card. Both ports share panel_client.py (times, and
what a reply confirms) and panel_outputs.py (which outputs a message must change). server_side.py is for the other end:
programs that act as an elevator server.

Imports core. Both ports never block, keep one sweep outstanding and write differences; the sweep of a card also repeats
outputs, because other programs may change them. The protocols are the course's and cannot change.
"""
