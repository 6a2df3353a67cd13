# What befalls a run in tests. Sourced after show.sh.

# Runs up to each of the steps, and takes everything back again.
there_and_back() { # "STEP .." FILE -p NAME=VALUE..
  local steps=$1 step code
  shift
  for step in $steps; do
    say "as far as step $step, and back"
    tranship run "$@" --until "$step" --yes
    code=0
    tranship undo "$(run_id)" --yes || code=$?
    say "the run was taken back with exit code $code (expected: 5)"
    [ "$code" = 5 ] || give_up
  done
}

# Runs to the end with kill -9 in every step, soon after it was entered; each
# time the run is resumed.
killed_in_every_step() { # FILE -p NAME=VALUE..
  local last pid code entered step killed=() words=(run "$@" --yes)
  last=$(journal || true)
  approve & # the journal that comes next is this run's
  helper=$!
  while :; do
    "$build/tranship" "${words[@]}" &
    pid=$!
    step=
    while [ -z "$step" ] && kill -0 "$pid" 2>/dev/null; do
      sleep 0.05
      file=$(journal) || continue
      [ "$file" != "$last" ] || continue
      entered=$(grep -F '"kind":"step.enter"' "$file" | grep -o '"step":"[^"]*"' |
        cut -d'"' -f4 | awk '!seen[$0]++' || true)
      step=$(grep -vxF -f <(printf '%s\n' "${killed[@]}") <<<"$entered" | head -n 1 || true)
    done
    if [ -n "$step" ]; then
      sleep "0.$((RANDOM % 10))"
      kill -9 "$pid" 2>/dev/null || true
      killed+=("$step")
    fi
    code=0
    wait "$pid" 2>/dev/null || code=$?
    words=(resume "$(run_id)")
    [ "$code" = 137 ] || break
    say "killed in step $step; resumed"
  done
  kill "$helper" 2>/dev/null || true
  wait "$helper" 2>/dev/null || true
  helper=
  say "killed in ${#killed[@]} steps (${killed[*]}), the run ended with exit code $code (expected: 0)"
  [ "$code" = 0 ] || give_up
}
