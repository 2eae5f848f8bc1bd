"""The user interface: a web page with live updates, and the terminal's alternate screen.

web.py serves page.html over HTTP and sends it updates over a WebSocket. screen.py restores the terminal however the
program ends. The callers decide what to show: `sim` shows a building, `demo` a building and its controllers, and
`watch` a group of nodes.

This package imports no other package of the program.
"""
