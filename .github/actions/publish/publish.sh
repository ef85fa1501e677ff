#!/usr/bin/env bash
# The one step of this action. Everything comes in through variables, and nothing of it is ever part of a command.
# `larder` exchanges the job's identity for a token by itself. Needs jq; runners have it.
set -euo pipefail

# A line break would end the runner's command and could begin another one.
fail() {
    local text=${1//'%'/%25}
    printf '::error title=Larder::%s\n' "${text//$'\n'/%0A}" >&2
    exit 1
}

command -v larder > /dev/null || fail 'There is no larder on the PATH. Install it first, for instance with the setup action.'

label=$INPUT_LABEL
if [ -z "$label" ]; then
    if [ "$GITHUB_REF_TYPE" = tag ]; then label=$GITHUB_REF_NAME; else label=$GITHUB_REF_NAME:${GITHUB_SHA::7}; fi
fi
arguments=(--json "--label=$label" "--commit=$GITHUB_SHA")
if [ "$INPUT_STAGE" = true ]; then arguments+=(--stage); fi
if [ -n "$INPUT_PART$INPUT_PARTS" ]; then
    if [ -z "$INPUT_PART" ] || [ -z "$INPUT_PARTS" ]; then fail 'The inputs part and parts belong together: give both, or none.'; fi
    arguments+=("--part=$INPUT_PART" "--parts=$INPUT_PARTS")
fi

files=()
# Patterns are expanded, words are not split.
shopt -s nullglob
IFS=
while read -r line; do
    line=${line%$'\r'}
    [ -n "$line" ] || continue
    found=($line)
    [ "${#found[@]}" -gt 0 ] || fail "Nothing matches $line."
    files+=("${found[@]}")
done <<< "$INPUT_FILES"
[ "${#files[@]}" -gt 0 ] || fail 'The input files names no file.'

receipt=$(larder publish "${arguments[@]}" -- "$INPUT_NAME" "${files[@]}") || fail "$INPUT_NAME was not published; the log says why."
version=$(jq -er .version <<< "$receipt")
# Absent while parts are missing.
manifest=$(jq -r '.manifest // ""' <<< "$receipt")
if [ -n "$INPUT_COPY_TO" ] && [ -n "$manifest" ]; then
    larder copy -- "$INPUT_NAME@$version" "$INPUT_COPY_TO" || fail "$INPUT_NAME@$version was published, but not copied to $INPUT_COPY_TO."
fi
{
    printf 'version=%s\nmanifest=%s\n' "$version" "$manifest"
    jq -er '"complete=\(has("manifest"))", "unchanged=\(.unchanged // false)"' <<< "$receipt"
} >> "$GITHUB_OUTPUT"
