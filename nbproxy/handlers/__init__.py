"""Who handles what: the table of handlers and how each is called.

`registry` holds the handlers and is the engine's dispatcher, `handler` is one row of it, `cells`
says where a function comes from, `calling` runs it (`threads` for the concurrent ones), `reports`
shows what went wrong, `guard` makes a runaway handler interruptible, `table` draws the table.
"""
