"""What people look at: a terminal that is always given back, and a page over HTTP and WebSocket.

web.py serves page.html and a live connection; screen.py restores the terminal however the program ends. Both show
whatever their callers give them.

Imports nothing of ours.
"""
