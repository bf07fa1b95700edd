from typing import Any, final

__pyx_capi__: dict[str, Any]  # Cython's
__test__: dict[str, str]

@final
class KeptMethod:
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
