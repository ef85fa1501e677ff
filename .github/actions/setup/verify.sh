# What setup.sh includes to verify signatures of manifests, as `larder fetch --verify-key` does, but for the serial: a
# runner has no state to compare it with. Needs OpenSSL 3, which runners have; and larder itself where identities count. What
# does not hold in every respect does not count, and too few signatures that count end the job.

# The bytes on stdin in hexadecimal digits, and back.
to_hex() { od -An -v -tx1 | tr -d ' \n'; }
from_hex() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')"; }

# The id of a key as programs show it: its bytes in the other order.
id_of() {
    local hex=$1 shown=''
    while [ -n "$hex" ]; do shown=${hex:0:2}$shown hex=${hex:2}; done
    printf '%s' "$shown" | tr a-f A-F
}

# Whether the pattern "$1" matches the name "$2", segment by segment. Empty: no segments are left.
matches() {
    local head=${1%%/*} rest='' left=''
    if [ -z "$1" ]; then [ -z "$2" ]; return; fi
    case $1 in */*) rest=${1#*/} ;; esac
    case $2 in */*) left=${2#*/} ;; esac
    if [ "$head" = '**' ]; then
        matches "$rest" "$2" || { [ -n "$2" ] && matches "$1" "$left"; }
        return
    fi
    [ -n "$2" ] || return 1
    case ${2%%/*} in $head) matches "$rest" "$left" ;; *) return 1 ;; esac
}

# Whether the trusted comment "$1" is a statement that holds for the name "$2", the manifest with the digest "$3", and the
# label "$4". Says otherwise why it does not.
states() {
    local word mark='' scope='' serial='' manifest='' label='' expires='' words=() now
    case $1 in *[[:cntrl:]]*) echo 'its comment has control characters'; return 1 ;; esac
    IFS=' ' read -r -a words <<< "$1"
    for word in ${words[@]+"${words[@]}"}; do
        case $word in
            larder:*) [ -z "$mark" ] || { echo 'it states its format twice'; return 1; }; mark=$word ;;
            scope=*) [ -z "$scope" ] || { echo 'it states scope twice'; return 1; }; scope=$word ;;
            serial=*) [ -z "$serial" ] || { echo 'it states serial twice'; return 1; }; serial=$word ;;
            manifest=*) [ -z "$manifest" ] || { echo 'it states manifest twice'; return 1; }; manifest=$word ;;
            label=*) [ -z "$label" ] || { echo 'it states label twice'; return 1; }; label=$word ;;
            expires=*) [ -z "$expires" ] || { echo 'it states expires twice'; return 1; }; expires=$word ;;
        esac
    done
    [ "$mark" = larder:1 ] || { echo 'it does not state for which names it holds'; return 1; }
    [[ $scope =~ ^scope=[A-Za-z0-9._*-]+(/[A-Za-z0-9._*-]+)*$ ]] || { echo 'it states no usable scope'; return 1; }
    [[ $serial =~ ^serial=[1-9][0-9]{0,15}$ ]] || { echo 'it states no usable serial'; return 1; }
    [ "$manifest" = "manifest=$3" ] || { echo 'it states another manifest'; return 1; }
    [ -z "$label" ] || [ "$label" = "label=$4" ] || { echo "it states the ${label/=/ }"; return 1; }
    matches "${scope#scope=}" "$2" || { echo "it holds for ${scope#scope=}"; return 1; }
    [ -n "$expires" ] || return 0
    [[ $expires =~ ^expires=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$ ]] ||
        { echo 'it states no usable time'; return 1; }
    # Digits of the same width are in the order of the times that they state.
    now=$(date -u +%Y-%m-%dT%H:%M:%S)
    [[ ${expires:8:19} > $now ]] || { echo "it expired at ${expires#expires=}"; return 1; }
}

# Whether the signature in the file "$1" is that of the bytes in the file "$2", by the key in the file "$3".
signs() { openssl pkeyutl -verify -pubin -keyform DER -inkey "$3" -rawin -in "$2" -sigfile "$1" > /dev/null 2>&1; }

# Whether the signature file "$1" counts for the name "$2", the digest "$3" and the label "$4". Sets `signer`, or `why`.
counts() {
    local untrusted='' signature='' comment='' global='' more='' hex
    {
        IFS= read -r untrusted; IFS= read -r signature; IFS= read -r comment; IFS= read -r global; IFS= read -r more
    } < "$1" || true
    why='it is no signature of minisign'
    case $untrusted in 'untrusted comment:'*) ;; *) return 1 ;; esac
    case $comment in 'trusted comment: '*) comment=${comment#trusted comment: } ;; *) return 1 ;; esac
    [[ $signature =~ ^[A-Za-z0-9+/]{99}=$ && $global =~ ^[A-Za-z0-9+/]{86}==$ && -z $more ]] || return 1
    hex=$(openssl base64 -d -A <<< "$signature" | to_hex)
    [ "${hex:0:4}" = 4544 ] || return 1
    signer=${hex:4:16}
    why="it is of the key $(id_of "$signer"), which is none of them"
    [ -f "$work/$signer.key" ] || return 1
    from_hex "${hex:20}" > "$work/signature"
    openssl base64 -d -A <<< "$global" > "$work/global"
    { cat "$work/signature"; printf '%s' "$comment"; } > "$work/comment"
    why='it is of other bytes, or damaged'
    signs "$work/signature" "$work/hash" "$work/$signer.key" && signs "$work/global" "$work/comment" "$work/$signer.key" ||
        return 1
    why=$(states "$comment" "$2" "$3" "$4")
}

# Keeps the keys of INPUT_VERIFY_KEYS under their ids in "$work", and sets `keys` to them.
read_keys() {
    local line hex
    keys=()
    while IFS= read -r line; do
        line=${line//[$' \t\r']/}
        case $line in '' | untrustedcomment:*) continue ;; esac
        [[ $line =~ ^RW[A-Za-z0-9+/]{54}$ ]] ||
            fail "verify-keys has a line that is no public key of minisign: those have 56 characters and begin with RW."
        hex=$(openssl base64 -d -A <<< "$line" | to_hex)
        [ "${hex:0:4}" = 4564 ] && [ "${#hex}" = 84 ] || fail "$line is no public key of minisign."
        [ ! -e "$work/${hex:4:16}.key" ] && ! grep -qs "${hex:20}" "$work/raw" || fail "verify-keys has a key twice: $line"
        printf '%s\n' "${hex:20}" >> "$work/raw"
        # The algorithm in front of the key, as in RFC 8410.
        from_hex "302a300506032b6570032100${hex:20}" > "$work/${hex:4:16}.key"
        keys+=("$line")
    done <<< "$INPUT_VERIFY_KEYS"
    [ "${#keys[@]}" -gt 0 ] || fail 'verify-keys is given, and has no key. Leave it out to verify no signatures.'
}

# Ends the job unless "$1" signers can reach the threshold. "$2" says where they are listed.
check_threshold() {
    [[ $INPUT_THRESHOLD =~ ^[1-9][0-9]{0,2}$ ]] || fail 'threshold is a whole number from 1 on.'
    [ "$INPUT_THRESHOLD" -le "$1" ] || fail "threshold is $INPUT_THRESHOLD, and $2 $1."
}

# Ends the job unless as many keys as needed have signed the manifest in "$1". "$2" is its digest, "$3" its label, "$4" the
# version that it is of. Sets `signed_by`.
verify() {
    local name=${INPUT_NAME%%@*} work inline why='' reasons='' signer='' keys have=0
    work=$(mktemp -d "$RUNNER_TEMP/larder.XXXXXX")
    read_keys
    check_threshold "${#keys[@]}" 'the number of verify-keys is'
    openssl dgst -blake2b512 -binary -out "$work/hash" "$1" 2> /dev/null && [ "$(wc -c < "$work/hash")" -eq 64 ] ||
        fail 'Signatures cannot be verified here: there is no OpenSSL 3 on the PATH.'
    download "versions/$4/attachments" "$work/list" /dev/null
    jq -r '[.attachments[] | select(.media_type == "text/x-minisign" and .file == null) | .inline | strings
        | select(length <= 2048)] | .[:64][]' "$work/list" > "$work/signatures" ||
        fail "The list of what is attached to $INPUT_NAME cannot be read."
    signed_by=
    while IFS= read -r inline; do
        openssl base64 -d -A <<< "$inline" > "$work/file" || continue
        if ! counts "$work/file" "$name" "$2" "$3"; then
            reasons="$reasons
$why"
        elif [ ! -e "$work/$signer.counted" ]; then
            : > "$work/$signer.counted"
            have=$((have + 1))
            signed_by=${signed_by:+$signed_by,}$(id_of "$signer")
        fi
    done < "$work/signatures"
    rm -rf "$work"
    if [ "$have" -lt "$INPUT_THRESHOLD" ]; then
        if [ -z "$reasons" ] && [ "$have" -eq 0 ]; then
            reasons='
no signature is attached'
        fi
        fail "$INPUT_NAME is signed by $have of the $INPUT_THRESHOLD keys that are needed; nothing was installed.$reasons"
    fi
}

# Ends the job unless the program `larder` finds that as many identities and keys as needed have signed the manifest with the
# digest "$1".
verify_identities() {
    local work key keys=() issuer identity more identities=0 options=()
    command -v larder > /dev/null ||
        fail 'verify-identities needs larder on the PATH. Set it up in a step before, with verify-keys.'
    [ -n "$INPUT_SIGSTORE_ROOT" ] || fail 'verify-identities needs sigstore-root: the file that says which authorities count.'
    while IFS=$' \t\r' read -r issuer identity more; do
        [ -n "$issuer" ] || continue
        case $issuer in https://*) ;; *) identity='' ;; esac
        [ -n "$identity" ] && [ -z "$more" ] ||
            fail 'verify-identities has a line that is not ISSUER IDENTITY, such as https://token.actions.githubusercontent.com and the address of a workflow.'
        options+=(--verify-identity "$issuer" "$identity")
        identities=$((identities + 1))
    done <<< "$INPUT_VERIFY_IDENTITIES"
    [ "$identities" -gt 0 ] || fail 'verify-identities is given, and has no identity. Leave it out to verify none.'
    work=$(mktemp -d "$RUNNER_TEMP/larder.XXXXXX")
    if [ "$INPUT_VERIFY_KEYS" != none ]; then
        read_keys
        for key in "${keys[@]}"; do options+=(--verify-key "$key"); done
    fi
    check_threshold "$((identities + ${#keys[@]}))" 'the number of verify-identities and verify-keys is'
    # The tokens of the job may be for another server.
    LARDER_TOKEN=${INPUT_TOKEN:-} LARDER_TOKEN_FILE='' larder get --server "${INPUT_SERVER%/}" \
        --threshold "$INPUT_THRESHOLD" --sigstore-root "$INPUT_SIGSTORE_ROOT" "${options[@]}" -- "$INPUT_NAME" \
        > "$work/manifest" 2> "$work/why" || fail "$INPUT_NAME is not signed as needed; nothing was installed.
$(cat "$work/why")"
    [ "sha256:$(sha256 "$work/manifest")" = "$1" ] || fail "$INPUT_NAME has changed since. Run the job again."
    rm -rf "$work"
}
