"""Documents that edgevit writes and reads back, and their JSON Schemas."""
