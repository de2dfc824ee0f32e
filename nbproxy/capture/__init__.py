"""One cell's or one block's traffic: sent through the proxy with nothing to set up, and told apart.

| module | what it does |
|---|---|
| `environment` | the variables that send clients through a proxy, and let them trust its CA |
| `bundle` | the files that these variables name: CA certificates, settings of wget |
| `clients` | libraries of this process that need more than variables: urllib, aiohttp |
| `process` | what captures change in this process, and its undoing |
| `block` | `Capture`, which users hold |
| `watch` | which sockets and subprocesses this process makes, and on whose behalf |
| `patches` | where the standard library tells `watch` of them |
| `stacks` | from running code to the cell and the line in it |
| `children` | which subprocess of ours has a connection |
| `origins` | of each request: the capture it belongs to, and the code that asked |
"""
