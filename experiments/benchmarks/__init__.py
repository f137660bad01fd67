"""Scripts behind the figures of the documentation. They are run from a checkout; the wheel has none of them.

Each file states one benchmark: its flags, its cases, what is measured of one, and the tables. The harness
does the rest.
"""
