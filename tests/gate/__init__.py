"""Whether the code still does, to the bit, what it did: runs are recorded with one state of it, repeated with another.

``python -m tests.gate record FOLDER`` and, later, ``python -m tests.gate replay FOLDER``. The product is driven through
its command line alone, so it may be arranged anew in between.
"""
