#!/bin/bash
# Two clusters for a test, gone when the test is: mirror_world.sh DIR [KEY=VALUE..]
# starts DIR/old and DIR/new, prints their addresses, and takes them down when
# its stdin ends, however the test ended. old:KEY=VALUE and new:KEY=VALUE are for
# one of them. DISK=SIZE gives `new` a disk of its own, a tmpfs in a mount namespace
# of this process (its id is in DIR/disk), where that is allowed.
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
  [ ! -e "$dir/disk" ] || umount "$dir/new/data"
  rm -rf "$dir"
}
if [[ ${1:-} = DISK=* && -z ${OWN_MOUNTS:-} ]] && unshare -m true 2>/dev/null; then
  OWN_MOUNTS=1 exec unshare -m "$0" "$dir" "$@"
fi
trap finish EXIT
trap 'exit 1' TERM INT HUP
mkdir -p "$dir"
if [[ ${1:-} = DISK=* ]]; then
  mkdir -p "$dir/new/data"
  if [ -n "${OWN_MOUNTS:-}" ] &&
    mount -t tmpfs -o "size=${1#DISK=}" tranship-disk "$dir/new/data" 2>/dev/null; then
    echo $$ >"$dir/disk"
  fi
  shift
fi
old=() new=()
for setting in "$@"; do
  case $setting in
    old:*) old+=("${setting#old:}") ;;
    new:*) new+=("${setting#new:}") ;;
    *) old+=("$setting") new+=("$setting") ;;
  esac
done
"$cluster" up "$dir/old" HEAP=400m ID=b2xkb2xkb2xkb2xkb2xkbw "${old[@]}" >"$dir/old.up" &
"$cluster" up "$dir/new" HEAP=400m ID=bmV3bmV3bmV3bmV3bmV3bg "${new[@]}" >"$dir/new.up" || exit 1
wait $! || exit 1
cat "$dir/old.up" "$dir/new.up"
cat >/dev/null
