"""Recipes of other tools into recipes of this language, and what cannot come along. No torch, nothing is executed."""
