"""A graphical program in the browser: its X display over a WebSocket."""
