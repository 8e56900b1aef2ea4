"""What a mail of the platform is made of."""
