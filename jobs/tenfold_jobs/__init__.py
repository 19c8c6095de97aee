"""What runs and ends: Ray jobs, and the ``tenfold`` command."""
