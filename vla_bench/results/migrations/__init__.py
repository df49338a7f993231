"""The one Alembic history of the results: numbered, written by hand, held equal to the models by a test."""
