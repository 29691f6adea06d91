"""The command line: one module per verb, loaded only when its verb is called.

Workers and beat are started as ``python -m``; nothing here imports them.
"""
