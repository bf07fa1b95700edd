from asyncio import Event
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    Never,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

from ._channel import Channel, ChannelPark, Receiver, SendCase, Sender, Watch
from ._core import Driver, Routine

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_S_co = TypeVar("_S_co", covariant=True)  # what the select returns by now
_H = TypeVar("_H")  # what a handler returns
_C = TypeVar("_C")  # what on_close returns

_Awaited: TypeAlias = Receiver[_T] | Channel[_T] | Routine[_T] | ForeignCase[_T] | None
_Source: TypeAlias = _Awaited[Any] | SendCase

__test__: dict[str, str]  # Cython's

@final
class Selected:
    __match_args__ = ("index", "value", "ok", "source")
    def __init__(self, _: Never, /) -> None: ...
    @property
    def index(self) -> int: ...
    @property
    def value(self) -> Any: ...
    @property
    def ok(self) -> bool: ...
    @property
    def source(self) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: SupportsIndex, /) -> Any: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

# Without sources a builder; each method adds to what the select may return.
@overload
def select(*, biased: bool = False) -> Select[Never]: ...
@overload
async def select(
    source: _Source,
    /,
    *sources: _Source,
    timeout: float | timedelta | None = None,  # noqa: ASYNC109
    default: Any = ...,
    biased: bool = False,
) -> Selected: ...
@overload
async def select(
    *,
    timeout: float | timedelta,  # noqa: ASYNC109
    default: Any = ...,
    biased: bool = False,
) -> Selected: ...

@final
class Select(Generic[_S_co]):
    @overload
    def recv(
        self, source: _Awaited[_T], handler: None = None, *, on_close: None = None
    ) -> Select[_S_co | _T]: ...
    @overload
    def recv(
        self, source: _Awaited[_T], handler: Callable[[_T], _H], *, on_close: None = None
    ) -> Select[_S_co | _H]: ...
    @overload
    def recv(
        self, source: _Awaited[_T], handler: None = None, *, on_close: Callable[[], _C]
    ) -> Select[_S_co | _T | _C]: ...
    @overload
    def recv(
        self, source: _Awaited[_T], handler: Callable[[_T], _H], *, on_close: Callable[[], _C]
    ) -> Select[_S_co | _H | _C]: ...
    @overload
    def send(
        self, tx: Sender[_T] | Channel[_T] | None, value: _T, handler: None = None, /
    ) -> Select[_S_co | None]: ...
    @overload
    def send(
        self, tx: Sender[_T] | Channel[_T] | None, value: _T, handler: Callable[[], _H], /
    ) -> Select[_S_co | _H]: ...
    @overload
    def timeout(self, seconds: float | timedelta, handler: None = None) -> Self: ...
    @overload
    def timeout(
        self,
        seconds: float | timedelta,
        handler: Callable[[], _H],
    ) -> Select[_S_co | _H]: ...
    @overload
    def default(self, handler: None = None) -> Select[_S_co | None]: ...
    @overload
    def default(self, handler: Callable[[], _H]) -> Select[_S_co | _H]: ...
    def biased(self) -> Self: ...
    async def run(self) -> _S_co: ...
    def __await__(self) -> object: ...  # raises SelectError: await what run() returns

@overload
def case(awaitable: Event, /) -> ForeignCase[bool]: ...
@overload
def case(awaitable: Awaitable[_T], /) -> ForeignCase[_T]: ...

@final
class ForeignCase(Generic[_T_co]):
    def __init__(self, _: Never, /) -> None: ...

@final
class Selector:
    def __init__(self, *cases: _Source, biased: bool = False) -> None: ...
    def add(self, source: _Source, /) -> int: ...
    def remove(self, key: int, /) -> None: ...
    async def next(self) -> Selected: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Selected: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...

# Not for users; here because stubtest asks for every name of the module.

def let_explorer_choose(enabled: bool, /) -> None: ...

@final
class SelectDriver(Driver): ...

@final
class CaseNode(ChannelPark): ...

@final
class Hub(Driver): ...

@final
class SelectorWatch(Watch): ...

@final
class NextPark(ChannelPark): ...
