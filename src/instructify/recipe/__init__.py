"""Recipes: strict YAML into checked models."""
