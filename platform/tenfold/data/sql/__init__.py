"""Databases as places to pull from: tables and single SELECTs of any SQLAlchemy URL."""

from tenfold.data.sql.place import SqlPlace

__all__ = ["SqlPlace"]
