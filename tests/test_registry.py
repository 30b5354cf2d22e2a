"""Packages of methods: each is found by its name, by its class, and told apart when misspelt."""

import re
from importlib import import_module

import pytest

from tamis.errors import SettingError
from tamis.registry import Registry

OFFER = ["selectors", "prompting.demonstrations", "prompting.generation", "prompting.reasoning"]


@pytest.mark.parametrize("package", OFFER)
def test_all_that_is_offered_is_there(package):
    pytest.importorskip("torch")
    module = import_module(f"tamis.{package}")
    assert module.names()
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert {module.get(name).__name__ for name in module.names()} <= set(module.__all__)


def test_a_misspelt_method_names_the_nearest():
    registry = Registry("tamis.selectors", "method", {"kcenter": "KCenter"})
    with pytest.raises(
        SettingError, match=re.escape("no method 'kcentre'; did you mean 'kcenter'?")
    ):
        registry.get("kcentre")


def test_what_a_package_does_not_have_is_no_attribute():
    registry = Registry("tamis.selectors", "method", {"kcenter": "KCenter"})
    with pytest.raises(
        AttributeError, match=r"module 'tamis\.selectors' has no attribute 'KCentre'"
    ):
        registry.attribute("KCentre")


def test_a_class_can_live_elsewhere():
    registry = Registry("tamis", "thing", {"a-b": "Dataset"}, homes={"Dataset": "data.load"})
    assert registry.get("a-b").__name__ == "Dataset"
