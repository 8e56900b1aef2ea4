"""What a period costs: pure, in whole numbers and decimals."""
