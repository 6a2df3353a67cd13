# Ending what a state folder's locks say is running: applications and engines.
# Sourced by the demo and by the keeper of tests.

# Ends the process (group) that holds a lock file, if any does.
end_holder() { # file, pid
  [ -n "$2" ] && [ "$2" -gt 1 ] 2>/dev/null || return 0
  flock -n "$1" true 2>/dev/null && return 0
  kill -TERM -- "-$2" 2>/dev/null || kill -TERM "$2" 2>/dev/null || return 0
  flock -w "${3:-10}" "$1" true 2>/dev/null && return 0
  kill -KILL -- "-$2" 2>/dev/null || kill -KILL "$2" 2>/dev/null || true
}

# Ends every application and every engine of a state folder.
end_holders() { # state folder, seconds to be polite
  local lock
  for lock in "$1"/workloads/*.lock; do # the second line is the pid
    [ ! -e "$lock" ] || end_holder "$lock" "$(sed -n 2p "$lock")" "$2"
  done
  for lock in "$1"/bridges/*.lock; do
    [ ! -e "$lock" ] ||
      end_holder "$lock" "$(grep -oE '"pid": ?[0-9]+' "$lock" | grep -oE '[0-9]+')" "$2"
  done
}
