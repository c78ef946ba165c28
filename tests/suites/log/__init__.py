"""What every log must do. An adapter's tests inherit the suites and give the fixtures that say which log it is:

``url`` and ``options`` as the settings have them; ``compacting``: a log, and the name of a compacted topic on it that
is cleaned as soon as it can be; ``forgetful``: a log, and the name of a topic on it that keeps nothing for long.
"""
