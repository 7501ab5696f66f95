"""How a stage runs: on which device, in how many processes, and how a network is applied to many pictures."""
