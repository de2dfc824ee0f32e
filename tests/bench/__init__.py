"""How fast the proxy is, beside mitmdump and beside no proxy: `python -m tests.bench`.

All subjects are measured in one run, in turns, since a machine's speed changes by the minute: what
counts is the ratio of figures taken next to each other. The load and the origin are bare loops over
canned bytes, far cheaper than any of the proxies. Beside requests per second stands the processor
time that the proxy's process took for each, which hardly depends on what else the machine does.
"""
