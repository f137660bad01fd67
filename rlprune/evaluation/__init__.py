"""How good a plan is: the evaluator, its workers, rewards, and the problem that every searcher is given."""
