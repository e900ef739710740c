"""The physics of CT and MR noise: simulating it, measuring it, and describing its texture."""
