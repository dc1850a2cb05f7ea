from tests.support.effort import effort
from tests.support.fault_world import world

__all__ = ["effort", "world"]
