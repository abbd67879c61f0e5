# Completions of stillframe for fish. The program itself is asked for what may follow; it asks no network.
complete --command stillframe --no-files --keep-order --arguments '(stillframe complete (count (commandline --current-process --tokenize --cut-at-cursor)) -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token) 2>/dev/null)'
