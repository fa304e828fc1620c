"""Pictures for tests: as arrays, as files of any form, and changed at random."""
