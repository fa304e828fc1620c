"""What is done with a bundle on other machines, one or a fleet of them."""
