"""Demonstrations, generation, reasoning and prompt compression: methods over language models."""
