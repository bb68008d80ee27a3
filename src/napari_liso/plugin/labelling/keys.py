"""Keys that act on the map while a dock is shown, and are what they were afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["Action", "Held", "Keys", "key_code"]

Action = Callable[[], Any]
#: What happens on a press, or that and what happens on the release.
Held = tuple[Action, Action]

# What each of our functions is bound over. One that is unbound while another of ours lies
# over it leaves a mark, so that it is passed over when that one goes.
_BELOW: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_GONE: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class Keys:
    """Some keys of a viewer, bound and given back together.

    napari asks the active layer first and the viewer after it. Keys are bound to the
    viewer, so that layers keep theirs; those that must win are bound to the active
    layer as well, wherever `claims` says so.

    Parameters
    ----------
    viewer
        Whose keys they are.
    actions
        Key as Qt writes it (``"Shift+N"``), and what to call.
    claims
        Tells whether these keys win over those of a layer; None: never.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        actions: Mapping[str, Action | Held],
        claims: Callable[[Any], bool] | None = None,
    ) -> None:
        self._viewer = viewer
        self._claims = claims
        self._actions = {key_code(key): action for key, action in actions.items()}
        self._bound: list[tuple[Any, dict[int, Callable[[Any], Any]]]] = []
        self._on = False

    @property
    def on(self) -> bool:
        """Whether the keys are bound."""
        return self._on

    def switch(self, on: bool) -> None:
        """Bind the keys, or give them back."""
        if on == self._on:
            return
        self._on = on
        active_changed = self._viewer.layers.selection.events.active
        if on:
            self._bind(self._viewer)
            if self._claims is not None:
                active_changed.connect(self._follow)
                self._follow()
        else:
            if self._claims is not None:
                active_changed.disconnect(self._follow)
            for provider, functions in reversed(self._bound):
                _give_back(provider, functions)
            self._bound.clear()

    def _follow(self, event: object = None) -> None:
        """Hold the keys of the active layer, and of no other."""
        for provider, functions in self._bound[1:]:
            _give_back(provider, functions)
        del self._bound[1:]
        active = self._viewer.layers.selection.active
        if self._on and active is not None and self._claims is not None and self._claims(active):
            self._bind(active)

    def _bind(self, provider: Any) -> None:
        # functions of their own for each provider: each has its place in a pile of bindings
        functions = {code: _binding(action) for code, action in self._actions.items()}
        for code, function in functions.items():
            _BELOW[function] = provider.bind_key(code, function, overwrite=True)
        self._bound.append((provider, functions))


def key_code(key: str) -> int:
    """Return napari's code of a key that is written as Qt does; Ctrl is Command on a Mac."""
    from app_model.types import KeyCode, KeyMod

    *modifiers, name = key.split("+")
    code = int(KeyCode.from_string(name))
    for modifier in modifiers:
        code |= int({"Ctrl": KeyMod.CtrlCmd, "Shift": KeyMod.Shift}[modifier])
    return code


def _binding(action: Action | Held) -> Callable[[Any], Any]:
    """Return a function in the form that napari calls."""
    if isinstance(action, tuple):
        pressed, released = action

        def hold(_provider: Any) -> Iterator[None]:
            pressed()
            yield
            released()

        return hold

    def press(_provider: Any) -> None:
        action()

    return press


def _give_back(provider: Any, functions: dict[int, Callable[[Any], Any]]) -> None:
    """Bind what was bound before, unless somebody has bound the key since."""
    for code, function in functions.items():
        _GONE[function] = True
        restored = provider.bind_key(code, None)
        while restored is not None and restored in _GONE:
            restored = _BELOW.get(restored)
        if restored is not None:
            provider.bind_key(code, restored, overwrite=True)
