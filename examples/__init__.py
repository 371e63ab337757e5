"""Applications to read, run and change. Each says in its docstring how it is started."""
