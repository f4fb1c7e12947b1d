"""The search for circular garbage is off only while it should be, and stays off where it was."""

import gc

import pytest

from pipeline.data.parsing.gc_pause import gc_paused


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_as_it_was_before_also_after_an_error(was_on: bool) -> None:
    @gc_paused()
    def refuse() -> None:
        assert not gc.isenabled()
        with gc_paused():
            pass
        assert not gc.isenabled()
        raise ValueError

    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ValueError):
            refuse()
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()
