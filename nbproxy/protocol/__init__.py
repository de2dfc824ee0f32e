"""One stream object per protocol, each over its sans-I/O library; framing rules in one place.

A stream object has a pull interface: whoever needs the next piece awaits it. An await that need not
wait runs straight through. The same code runs over sockets, over TLS and over memory (in tests).
"""
