//! Spellings of platforms, architectures and C libraries.

/// The one spelling of an operating system, of a word in lower case.
pub(super) fn platform(word: &str) -> Option<&'static str> {
    Some(match word {
        "linux" | "ubuntu" | "debian" | "alpine" => "linux",
        "darwin" | "macos" | "osx" | "mac" | "macosx" | "apple" => "darwin",
        "windows" | "win" | "win32" | "win64" => "windows",
        "freebsd" => "freebsd",
        "netbsd" => "netbsd",
        "openbsd" => "openbsd",
        "dragonfly" | "dragonflybsd" => "dragonfly",
        "android" | "androideabi" => "android",
        "ios" => "ios",
        "solaris" => "solaris",
        "illumos" => "illumos",
        "aix" => "aix",
        "plan9" => "plan9",
        "wasi" | "wasip1" | "wasip2" => "wasi",
        _ => return None,
    })
}

/// The one spelling of an architecture, of a word in lower case.
pub(super) fn architecture(word: &str) -> Option<&'static str> {
    Some(match word {
        "amd64" | "x86_64" | "x86-64" | "x64" | "64bit" | "amd64v1" => "amd64",
        "arm64" | "aarch64" | "aarch_64" | "armv8" | "arm64v8" | "arm64e" => "arm64",
        "386" | "i386" | "i486" | "i586" | "i686" | "x86" | "x86_32" | "ia32" | "32bit" => "386",
        "armv7" | "armhf" | "armv7l" | "armv7a" | "armv7hf" | "arm32v7" | "armv7h" | "thumbv7neon" => "armv7",
        "armv6" | "armv6l" | "armv6hf" | "armv6h" | "arm32v6" => "armv6",
        "armv5" | "armv5l" | "armv5te" | "armel" => "armv5",
        "arm" | "arm32" => "arm",
        "universal" | "universal2" | "fat" => "universal",
        "riscv64" | "riscv64gc" => "riscv64",
        "ppc64le" | "powerpc64le" | "ppc64el" | "ppcle_64" => "ppc64le",
        "ppc64" | "powerpc64" => "ppc64",
        "s390x" => "s390x",
        "loong64" | "loongarch64" => "loong64",
        "mips64le" | "mips64el" => "mips64le",
        "mips64" => "mips64",
        "mipsle" | "mipsel" => "mipsle",
        "mips" => "mips",
        "wasm32" | "wasm" => "wasm32",
        _ => return None,
    })
}

/// The one spelling of a C library or ABI, of a word in lower case.
pub(super) fn libc(word: &str) -> Option<&'static str> {
    Some(match word {
        "musl" | "musleabi" | "musleabihf" | "alpine" => "musl",
        "gnu" | "glibc" | "gnueabi" | "gnueabihf" => "gnu",
        "msvc" => "msvc",
        "static" => "static",
        _ => return None,
    })
}
