"""The tasks as data, NN.toml for each lesson, and the worlds in which a learner finds them."""
