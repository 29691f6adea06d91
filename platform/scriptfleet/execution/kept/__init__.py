"""Warm interpreters that stay between commands: their folder and names; finding, starting, showing, ending them."""
