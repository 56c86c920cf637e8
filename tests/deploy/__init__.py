"""What is deployed fits the code: image, compose file, scripts, settings."""
