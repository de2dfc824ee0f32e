"""Flows beyond one process: Parquet datasets, and many captures read in parts.

| module | what it knows |
|---|---|
| `layout` | how a Parquet dataset of flows lies on disk: columns, folders, versions |
| `places` | folders for it, here or wherever fsspec reaches |
| `writing` | `flows.to_parquet(...)`, with constant memory |
| `parts` | which files are meant, and how they are cut into parts |
| `reading` | the rows, and the flows, of one part |

Nothing here needs Dask: `nbproxy.scanning` gives the parts to it. A part can be pickled, and
whoever reads it opens the files by itself.
"""
