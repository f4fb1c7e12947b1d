"""The store that the tests of the registry use."""

from tests.pipeline.registry.conftest import empty_store, project

__all__ = ["empty_store", "project"]
