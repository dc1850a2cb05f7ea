from tests.support.effort import effort

__all__ = ["effort"]
