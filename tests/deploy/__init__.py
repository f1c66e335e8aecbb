"""Tests of deploy/: the shipped files, run by the programs that will read them."""
