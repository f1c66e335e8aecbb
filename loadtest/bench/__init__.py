"""The server against its own ceiling: the same imaging and engine in one process, without a server."""
