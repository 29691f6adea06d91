"""The history of the schema, run by Alembic: one file a change, never edited once released."""
