from typing_extensions import disjoint_base

__test__: dict[str, str]  # Cython's

@disjoint_base
class Ring: ...
