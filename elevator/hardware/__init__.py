"""The connection to one elevator: to the lab's elevator server over TCP, or to the I/O card on a serial line.

- panel_client.py is the client of a panel, for both protocols and without I/O. It decodes the reply to a *sweep*, a
  request for all inputs, and encodes changed outputs. panel_outputs.py computes which outputs to change.
- elevator_server.py contains the codec of the elevator server, and the connection to it.
- io_card.py is the codec of the card, card_client.py identifies the card and resynchronises with it, and card_port.py
  is the connection to it.
- server_side.py splits a stream into messages, for programs that act as an elevator server.

Of the rest of the project, this package imports only core. The connections do not block, except to look up the server's
host name. Each has at most one sweep outstanding. It writes all outputs once after connecting, and then only changed
ones. The connection to the card also repeats some outputs in each sweep, and all of them after a halt, because other
programs may change them. The course defines both protocols.
"""
