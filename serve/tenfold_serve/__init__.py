"""What keeps running: the Ray Serve application, its monitor and its supervisor."""
