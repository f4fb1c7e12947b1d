"""Modules under the names that they had until they moved; gone in the next release.

A model that an earlier release registered carries that release's `yolox_core` and imports it by those names. A process
that has imported this release's before gets the names from here: yolox_core/__init__.py searches this folder, too.
"""
