#!/usr/bin/env bash
# The two steps of this action. `resolve` finds out which bytes are wanted, `install` gets them from the cache or the
# server, verifies them, and puts them on the PATH. Everything comes in through variables, and nothing of it is ever
# part of a command. Needs curl, jq, tar or unzip for archives, and openssl for signatures; runners have them.
set -euo pipefail
# Characters are bytes, whatever the job's language is.
export LC_ALL=C
. "${BASH_SOURCE[0]%/*}/verify.sh"

# A line break would end the runner's command and could begin another one.
fail() {
    local text=${1//'%'/%25}
    text=${text//$'\r'/%0D}
    printf '::error title=Larder::%s\n' "${text//$'\n'/%0A}" >&2
    exit 1
}

# Sets an output. What servers say must not be able to set a second one.
output() {
    case $2 in *[$'\r\n']*) fail "The $1 has a line break." ;; esac
    printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
}

sha256() {
    if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# Downloads "$1" of the server to "$2", and the headers of the answer to "$3". The token travels in a file: arguments are
# visible to other processes.
download() {
    local server=${INPUT_SERVER%/} headers
    headers=$(mktemp "$RUNNER_TEMP/larder.XXXXXX")
    if [ -n "${INPUT_TOKEN:-}" ]; then printf 'Authorization: Bearer %s\n' "$INPUT_TOKEN" > "$headers"; fi
    if ! curl -fsSL --retry 5 --connect-timeout 10 --speed-time 60 --speed-limit 1 "${@:4}" \
        -H "@$headers" -o "$2" -D "$3" "$server/$1"; then
        rm -f "$headers" "$2"
        fail "$server/$1 cannot be downloaded. Check the address and the name, and whether the server needs a token for it."
    fi
    rm -f "$headers"
}

resolve() {
    local manifest=$RUNNER_TEMP/larder-manifest.json answer=$RUNNER_TEMP/larder-answer system machine digest file
    local blob name label version resolved signed_by=''
    case $INPUT_NAME in *[!A-Za-z0-9._/@:+-]* | '') fail "$INPUT_NAME is no name of a version: write NAME or NAME@SELECTOR." ;; esac
    download "manifests/$INPUT_NAME" "$manifest" "$answer"
    digest=sha256:$(sha256 "$manifest")
    case $INPUT_NAME in
        *@sha256:*) [ "${INPUT_NAME#*@}" = "$digest" ] || fail "The manifest of $INPUT_NAME is damaged: it has $digest." ;;
    esac
    # In variables first: a failure inside of an argument would go unnoticed.
    label=$(jq -r '.version // ""' "$manifest") || fail "The manifest of $INPUT_NAME cannot be read."
    if [ "$INPUT_VERIFY_IDENTITIES" != none ]; then
        verify_identities "$digest"
    elif [ "$INPUT_VERIFY_KEYS" != none ]; then
        # A name that follows another one is signed where it leads to.
        resolved=$(tr -d '\r' < "$answer" | sed -n 's/^[Ll]arder-[Rr]esolved: //p' | tail -n 1)
        case $resolved in *[!A-Za-z0-9._/@:+-]* | '') resolved=${INPUT_NAME%%@*}@$digest ;; esac
        verify "$manifest" "$digest" "$label" "$resolved"
    elif [ "$INPUT_THRESHOLD" != 1 ]; then
        fail 'threshold needs verify-keys or verify-identities.'
    fi
    case $RUNNER_OS in Linux) system=linux ;; macOS) system=darwin ;; *) fail "This action does not know $RUNNER_OS." ;; esac
    case $RUNNER_ARCH in X64) machine=amd64 ;; ARM64) machine=arm64 ;; *) fail "This action does not know $RUNNER_ARCH." ;; esac
    # With a name, the file of that name. Without, all files that say they are for this machine.
    file=$(jq -c --arg file "${INPUT_FILE:-}" --arg system "$system" --arg machine "$machine" '
        [.artifacts[] | select(if $file != "" then .name == $file else .platform == $system and .arch == $machine end)]
        | if length == 1 then .[0] else empty end' "$manifest") || fail "The manifest of $INPUT_NAME cannot be read."
    if [ -z "$file" ]; then
        fail "$INPUT_NAME has not exactly one file ${INPUT_FILE:-for $system and $machine}. Set the input file to one of:
$(jq -r '.artifacts[].name' "$manifest")"
    fi
    blob=$(jq -r .blob <<< "$file")
    name=$(jq -r .name <<< "$file")
    version=$(tr -d '\r' < "$answer" | sed -n 's/^[Ll]arder-[Vv]ersion: //p' | tail -n 1)
    case ${name##*/} in '' | . | ..) fail "The manifest of $INPUT_NAME has a file without a usable name: $name" ;; esac
    [[ $blob =~ ^sha256:[0-9a-f]{64}$ ]] || fail "The manifest of $INPUT_NAME has no usable digest: $blob"
    output manifest "$digest"
    output label "$label"
    output version "$version"
    output file "$name"
    output digest "$blob"
    output signed-by "$signed_by"
    output cached "${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/larder/${blob#sha256:}"
}

install() {
    local hex=${RESOLVED_DIGEST#sha256:} name=${RESOLVED_FILE##*/} part target
    mkdir -p "$RESOLVED_CACHED"
    if [ ! -f "$RESOLVED_CACHED/blob" ] || [ "$(sha256 "$RESOLVED_CACHED/blob")" != "$hex" ]; then
        # Jobs that share a machine may do this at the same time.
        part=$(mktemp "$RESOLVED_CACHED/part.XXXXXX")
        download "blobs/$RESOLVED_DIGEST" "$part" /dev/null --retry-all-errors
        if [ "$(sha256 "$part")" != "$hex" ]; then
            rm -f "$part"
            fail "$name is damaged: it has not the digest $RESOLVED_DIGEST of the manifest."
        fi
        mv -f "$part" "$RESOLVED_CACHED/blob"
    fi
    target=$(mktemp -d "$RUNNER_TEMP/larder.XXXXXX")
    case $name in
        *.tar.gz | *.tgz) tar -xzf "$RESOLVED_CACHED/blob" -C "$target" ;;
        *.zip) unzip -q "$RESOLVED_CACHED/blob" -d "$target" ;;
        *)
            cp "$RESOLVED_CACHED/blob" "$target/${INPUT_COMMAND:-$name}"
            chmod 755 "$target/${INPUT_COMMAND:-$name}"
            ;;
    esac
    target=$target/${INPUT_DIRECTORY:-.}
    [ -d "$target" ] || fail "$RESOLVED_FILE has no directory $INPUT_DIRECTORY."
    output path "$target"
    printf '%s\n' "$target" >> "$GITHUB_PATH"
}

case ${1:-} in
    resolve | install) "$1" ;;
    *) fail 'Say which step to run: resolve or install.' ;;
esac
