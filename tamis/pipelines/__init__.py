"""Recipes, the plan and its cost, and running steps on an engine."""
