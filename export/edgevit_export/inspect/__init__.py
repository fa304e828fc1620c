"""Looking inside exported models."""
