"""What passed by: flows, messages, headers, connections. No I/O and no clock in here."""
