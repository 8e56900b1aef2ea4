"""What the dashboard process serves over HTTP."""
