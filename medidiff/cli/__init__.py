"""The command line: one file a verb, each imported when it is called.

`main` is the command. The verbs share `options` and their `types`. What a run says goes through `progress`
(`lines` for people, `events` for programs), tables through `columns`, errors through `messages`, all of it to
a `console` that cannot stop a run; `cancel` is how a run is stopped.
"""
