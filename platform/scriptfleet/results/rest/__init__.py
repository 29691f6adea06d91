"""REST under /api/v1: one module for each noun, put together in routes.py. Thin over the stores and the Client."""
