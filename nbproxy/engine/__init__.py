"""Sockets and tasks: the listener, client connections, exchanges, the upstream pool, tunnels."""
