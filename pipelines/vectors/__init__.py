"""How vectors are bought: in which portions, how many at once, and where they wait."""
