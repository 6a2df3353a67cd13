#!/bin/bash
# Two clusters for a test, gone when the test is: mirror_world.sh DIR [KEY=VALUE..]
# starts DIR/old and DIR/new, prints their addresses, and takes them down when
# its stdin ends, however the test ended.
set -u
cluster=$(cd "$(dirname "$0")/../../world" && pwd)/cluster
dir=$1
shift
finish() {
  local lock pid
  for lock in "$dir"/state*/bridges/*.lock; do # engines outlive whoever started them
    pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$lock" 2>/dev/null)
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
  done
  "$(dirname "$cluster")/mm2" kill "$dir/mm2" # a MirrorMaker 2, if one was started
  for name in old new; do "$cluster" down "$dir/$name" >/dev/null 2>&1; done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' TERM INT HUP
mkdir -p "$dir"
"$cluster" up "$dir/old" HEAP=400m ID=b2xkb2xkb2xkb2xkb2xkbw "$@" >"$dir/old.up" &
"$cluster" up "$dir/new" HEAP=400m ID=bmV3bmV3bmV3bmV3bmV3bg "$@" >"$dir/new.up" || exit 1
wait $! || exit 1
cat "$dir/old.up" "$dir/new.up"
cat >/dev/null
