"""Launcher and shim: the small processes that start, wait for, account and end a run's tree.

Only what starts fast and stays small is imported here, of the standard library alone: no ``subprocess``, ``json`` or
``socket``. These processes are started with ``python -I -S``.
"""
