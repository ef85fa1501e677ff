# The programs of the peers, without touching the machine: those on the path, else those of the Debian packages, unpacked
# below the directory $1. Says for each its name, its path, where its libraries are if not where they usually are, and the
# version of its package, with tabs between them.
set -eu
mkdir -p "$1"
cd "$1"
PATH=$PATH:/usr/sbin:/sbin

fetch() {
    apt-get download -q "$@" >>fetch.log 2>&1 || {
        tail -n 5 fetch.log >&2
        echo "could not get the packages $*: is this Debian or Ubuntu, and does \`apt-get update\` help?" >&2
        exit 1
    }
    for package in "$@"; do dpkg -x "$(ls -t "$package"_*.deb | head -n 1)" root; done
}

libraries() {
    # Words such as libssl3, of lines such as "  Depends: libssl3". The C library belongs to the machine.
    apt-cache depends "$1" | sed -n 's/^ *Depends: \(lib[^ ]*\|zlib1g\)$/\1/p' | grep -v '^libc6$'
}

# The directories of unpacked libraries.
unpacked() {
    find root/usr/lib root/lib -name '*.so.*' -printf "$PWD/%h\n" 2>/dev/null | sort -u | paste -sd:
}

# Whether a program misses libraries.
lacks() { ldd "$1" 2>/dev/null | grep -q 'not found'; }

for name in nginx docker-registry; do
    library_path='' version='of the machine'
    program=$(command -v "$name" || true)
    if [ -z "$program" ]; then
        program=$(ls "$PWD"/root/usr/*bin/"$name" 2>/dev/null || true)
        if [ -z "$program" ]; then
            fetch "$name"
            program=$(ls "$PWD"/root/usr/*bin/"$name")
        fi
        version=$(dpkg-deb -f "$(ls -t "$name"_*.deb | head -n 1)" Version)
        if lacks "$program"; then
            [ -n "$(unpacked)" ] || fetch $(libraries "$name")
            library_path=$(unpacked)
        fi
    elif dpkg-query -W "$name" >/dev/null 2>&1; then
        version=$(dpkg-query -W -f '${Version}' "$name")
    fi
    printf '%s\t%s\t%s\t%s\n' "$name" "$program" "$library_path" "$version"
done
