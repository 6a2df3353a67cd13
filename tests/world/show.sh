# What the demos share: talking, the journal, the second operator, the run with
# its expected end, and what is shown after it. Sourced, in the root, after
# `build` (where tranship was built), `work` and `rollback` are set.

greetings=apps.samples.greetings
reversed=apps.samples.greetings.reversed
workloads=(hello-world-consumer hello-world-streams hello-world-producer)
began=$SECONDS

say() { printf '\n[%3ds] %s\n' $((SECONDS - began)) "$*"; }
tranship() { "$build/tranship" "$@"; }
app() { "$build/apps/$1" --bootstrap "${@:2}"; }

# The journal of the newest run, and its id.
journal() { ls -t "$TRANSHIP_STATE"/runs/*/journal.jsonl 2>/dev/null | head -n 1; }
run_id() { basename "$(dirname "$(journal)")"; }

# Waits until the journal holds a line with all the given texts.
wait_for() {
  local file text lines
  while sleep 0.2; do
    file=$(journal) || continue
    [ -n "$file" ] || continue
    lines=$(cat "$file")
    for text in "$@"; do lines=$(grep -F -- "$text" <<<"$lines") || continue 2; done
    return 0
  done
}

# The second operator: another process, which says yes when the run asks.
approve() {
  local file run step
  wait_for '"kind":"approval.asked"'
  sleep 1
  file=$(journal)
  run=$(run_id)
  step=$(grep -F '"kind":"approval.asked"' "$file" | tail -n 1 |
    grep -o '"step":"[^"]*"' | cut -d'"' -f4)
  printf '\n[second terminal] $ tranship approve %s "%s"\n' "$run" "$step"
  tranship approve "$run" "$step"
}

# A run did not end as it should: where it stands, and what the engine said last.
give_up() {
  tranship status "$(run_id)" || true
  tail -n 30 "$TRANSHIP_STATE"/bridges/*.log || true
  exit 1
}

# Runs a runbook; somebody approves, or breaks something (a function break_it).
run_book() { # FILE -p NAME=VALUE..
  local code=0 wanted=0
  if [ -n "$rollback" ]; then
    wanted=5
    break_it &
  else
    approve &
  fi
  helper=$!
  tranship run "$@" --yes || code=$?
  kill "$helper" 2>/dev/null || true
  wait "$helper" 2>/dev/null || true
  helper=
  say "the run ended with exit code $code (expected: $wanted)"
  [ "$code" = "$wanted" ] || give_up
}

stop_app() { # NAME CLUSTER FILE -p NAME=VALUE..
  tranship app stop "$3" "$1" --on "$2" "${@:4}"
}

# The applications stop one after the other, each when it has read everything;
# then what they wrote down is held against what the cluster holds.
audit_home() { # CLUSTER BOOTSTRAP FILE -p NAME=VALUE..
  local home=$1 bootstrap=$2 book=$3
  shift 3
  say "the applications go on for a moment, then stop; the last one drains"
  sleep 2
  stop_app hello-world-producer "$home" "$book" "$@"
  app caughtup "$bootstrap" --group reverser --from "$greetings"
  stop_app hello-world-streams "$home" "$book" "$@"
  app caughtup "$bootstrap" --group greeter --from "$reversed"
  stop_app hello-world-consumer "$home" "$book" "$@"
  say "the audit: what the applications wrote down against what $home holds"
  audit_code=0
  app audit "$bootstrap" --cluster "$home" --trail "$work/trails" || audit_code=$?
  say "report and journal"
  tranship report "$(run_id)"
  tranship journal verify "$(run_id)" || true
  journal
}
