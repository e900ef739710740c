"""Quality beside other methods on the same held-out slices: ``python benchmarks/quality``.

`ct_cases` and `mr_cases` make each `case`; `ours` and the package `peers` answer it; `scoring` gives the
figures of an answer, `rows` keeps them on disk, `averages` takes means over patients, `table`, `plots` and
`gates` show them. `cost` measures memory.
"""
