"""Instructions by which one process differs from the next: what hangs on where things lie in memory.

Of the processes of unchanged code nearly all that wanders is spent in two places: in the allocators, which
search what lies free, and in Python's cache of attributes, whose entries are chosen by addresses, so that by
chance two of them take each other's place and are searched for anew.
"""

from __future__ import annotations

import re

from torchgauge.measure.valgrind import Dump

_END = r"(\.[\w.]+)?('\d+)?"
"""What compilers (`.part.0`) and callgrind (`'2`, of a recursion) add to a name."""
ALLOCATORS = re.compile(
    r"(_int_(malloc|free|memalign|realloc)\w*|_mid_memalign|malloc_consolidate|unlink_chunk|sysmalloc|systrim|"
    r"tcache_\w+|(alloc|free)_perturb|_?PyObject_(Malloc|Calloc|Realloc|Free)|allocate_from_new_pool|"
    rf"new_arena|insert_to_\w+){_END}"
)
"""The slow paths of glibc's and Python's allocators. What is called for every allocation (`malloc`, `free`,
`operator new`) is not among them."""
ATTRIBUTES = re.compile(rf"_PyType_Lookup(Ref)?{_END}")
"""The look-up of an attribute in a type, through the cache or past it, with all that it calls."""


def instructions(dump: Dump) -> int:
    """Give those of a dump that hang on where things lie in memory."""
    own = sum(cost for name, cost in dump.functions.items() if ALLOCATORS.fullmatch(name))
    return own + sum(cost for name, cost in dump.callees.items() if ATTRIBUTES.fullmatch(name))


def hangs_on_it(function: str) -> bool:
    """Tell whether a function's own instructions are among them."""
    return bool(ALLOCATORS.fullmatch(function) or ATTRIBUTES.fullmatch(function))
