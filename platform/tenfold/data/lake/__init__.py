"""Lake tables as places to pull from: Delta and Iceberg, each pull at one version of the table.

A plan names the version and the files that make it up, so that workers share the read and a table
that others write to meanwhile stays what it was when the plan was made.
"""
