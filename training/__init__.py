"""How the shipped weights were made: train, evaluate and export."""
