"""The ports to one elevator: the lab's elevator server over TCP, or the I/O card on a serial line.

Start with panel_client.py, the client of a panel without I/O: an answered sweep becomes `Inputs`, and wanted `Outputs`
become messages. elevator_server.py is the codec and the port of the server. For the card, io_card.py is the codec,
card_client.py identifies and resynchronises it, and card_port.py is the port. panel_outputs.py says which outputs a
message must change. server_side.py is for the other end: programs that act as an elevator server.

Imports core. Both ports never block, keep one sweep outstanding and write differences; the sweep of a card also repeats
outputs, because other programs may change them. The protocols are the course's and cannot change.
"""
