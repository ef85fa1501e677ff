#!/bin/sh
# Runs a command each time that what a name selects changes: a service is restarted after a promotion, and after a rollback.
#
#   run-hook.sh [-d DIR] [-s FILE] [-w SECONDS] NAME[@SELECTOR] COMMAND [ARGUMENT...]
#
#   -d DIR      where files of dynamic releases are put; the one before stays beside the newest. Default: .
#   -s FILE     remembers what the command was run for, so that a restart does not run it again
#   -w SECONDS  how long one request waits for a change. Default: 30
#
# LARDER_SERVER is the address of the server. If it asks for a token, LARDER_HEADERS is a file with the line
# "Authorization: Bearer TOKEN". The command finds in its environment LARDER_NAME, LARDER_VERSION, LARDER_GENERATION and
# LARDER_MANIFEST, and for dynamic releases LARDER_FILE, which was fetched and verified, LARDER_COMMAND and LARDER_PORT (as JSON
# unless they are strings). If it fails it is run again, after 1 second, then 2, up to a minute. Needs curl, jq and sha256sum.

set -u
directory=. state='' wait=30
while getopts d:s:w: option; do
  case $option in
    d) directory=$OPTARG ;;
    s) state=$OPTARG ;;
    w) wait=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -lt 2 ] || [ -z "${LARDER_SERVER:-}" ]; then
  echo 'usage: LARDER_SERVER=URL run-hook.sh [-d DIR] [-s FILE] [-w SECONDS] NAME[@SELECTOR] COMMAND [ARGUMENT...]' >&2
  exit 2
fi
name=${1%%@*} target=$1
shift
# One version is asked for, not the history.
case $target in *@*) ;; *) target=$target@active ;; esac
LARDER_SERVER=${LARDER_SERVER%/}

say() { echo "run-hook: $target: $*" >&2; }

mkdir -p "$directory" && directory=$(cd "$directory" && pwd) || exit 1
work=$(mktemp -d) || exit 1
child=
stop() {
  trap '' TERM INT HUP
  [ -z "$child" ] || kill "$child" 2> /dev/null
  rm -rf "$work"
  exit 143
}
trap stop TERM INT HUP

# Runs a command so that a signal is answered at once, and not when the command ends.
run() {
  "$@" &
  child=$!
  wait "$child"
  code=$?
  child=
  return "$code"
}

request() { run curl -sSg --connect-timeout 10 ${LARDER_HEADERS:+-H "@$LARDER_HEADERS"} "$@"; }

pause=1
back_off() {
  run sleep "$pause"
  pause=$((pause * 2))
  [ "$pause" -le 60 ] || pause=60
}

is_right() { printf '%s  %s\n' "$1" "$2" | sha256sum -c --status - 2> /dev/null; }

answer() { jq -r "$1" "$work/answer"; }

# Puts the packaged server of a dynamic release into $file.
fetch() {
  digest=$(answer '.runtime.artifact.digest // empty | ltrimstr("sha256:")')
  url=$(answer '.runtime.artifact.url // empty')
  file=$directory/$version-$(answer '.runtime.artifact.name // empty | split("/") | last')
  if [ -z "$digest" ]; then
    say "version $version names no entrypoint"
    return 1
  fi
  case $url in /*) url=$LARDER_SERVER$url ;; esac
  if ! { [ -f "$file" ] && is_right "$digest" "$file"; }; then
    request -fL --speed-limit 1 --speed-time 60 -o "$file.part" "$url" || return 1
    if ! is_right "$digest" "$file.part"; then
      say "what $url sent is not sha256:$digest"
      rm -f "$file.part"
      return 1
    fi
    mv "$file.part" "$file" || return 1
  fi
  [ "$(answer .runtime.artifact.executable)" != true ] || chmod +x "$file"
}

# Removes what was put into the directory, but for this file and the one before.
clean() {
  for old in "$directory"/[0-9]*-*; do
    [ "$old" = "$file" ] || [ "$old" = "$before" ] || rm -f "$old"
  done
}

# Runs the command for the version in the answer, unless it was run for it.
switch() {
  version=$(answer .number) manifest=$(answer .manifest)
  [ "$version $manifest" != "$last" ] || return 0
  file=
  if [ "$(answer .kind)" = dynamic ]; then
    fetch || return 1
    LARDER_COMMAND=$(answer '.runtime.command | if type == "string" then . else tojson end')
    LARDER_PORT=$(answer '.runtime.port | if type == "string" then . else tojson end')
    LARDER_FILE=$file
    export LARDER_FILE LARDER_COMMAND LARDER_PORT
  fi
  LARDER_NAME=$name LARDER_VERSION=$version LARDER_GENERATION=$generation LARDER_MANIFEST=$manifest
  export LARDER_NAME LARDER_VERSION LARDER_GENERATION LARDER_MANIFEST
  run "$@" || {
    say "the command failed for version $version with status $?; it is run again in ${pause}s"
    return 1
  }
  last="$version $manifest"
  if [ -n "$state" ]; then
    printf '%s\n' "$last" > "$state.new" && mv "$state.new" "$state" || return 1
  fi
  if [ -n "$file" ]; then
    [ -z "$before" ] || clean
    before=$file
  fi
}

last='' before='' after=0
[ -z "$state" ] || [ ! -f "$state" ] || last=$(cat "$state")
while :; do
  began=$(date +%s)
  request -m $((wait + 15)) -o "$work/answer" -D "$work/head" -w '%{http_code}' \
    "$LARDER_SERVER/versions/$target?wait=${wait}s&after=$after" > "$work/status" || echo 000 > "$work/status"
  status=$(cat "$work/status")
  generation=$(tr -d '\r' < "$work/head" 2> /dev/null | sed -n 's/^[Ll]arder-[Gg]eneration: *//p')
  case $status in
    200)
      if switch "$@"; then
        pause=1 after=$generation
      else
        # It may have changed by the time that it is tried again.
        back_off
        after=0
      fi
      ;;
    204)
      # An older state than before, as after a restored backup, is news, too.
      [ "$generation" = "$after" ] || after=0
      # The server stops, or needs the connection for others.
      [ $(($(date +%s) - began)) -ge 1 ] || run sleep 1
      ;;
    404 | 410)
      say "there is no such version ($status)"
      if [ -n "$generation" ] && [ "$generation" != "$after" ]; then
        after=$generation
      else
        back_off
      fi
      ;;
    *)
      say "the server answers $status; it is asked again in ${pause}s"
      back_off
      ;;
  esac
  : > "$work/head"
done
