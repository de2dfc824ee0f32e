"""Classic scripts: files (or cells) written for mitmproxy's scripting API since 2012.

A script is recognised (`eras`), its body executed in a namespace in which `libmproxy`, `netlib` and
`mitmproxy` resolve to stand-ins (`loader`, `compat`), its functions registered as handlers
(`script`), its file watched (`reload`). `manager.Scripts` is what people hold.
"""
