//! Which Debian packages an executable needs: read from the executable itself, so that it does not matter what is installed
//! where it is packed.

use super::DistError;

/// The value of `Depends`, or `None` for an executable that is linked with nothing.
pub(super) fn of(executable: &[u8]) -> Result<Option<String>, DistError> {
    let names = dynamic_strings(executable).ok_or(DistError::NotElf)?;
    let mut packages = Vec::new();
    for name in names.iter().filter(|name| is_library(name)) {
        let package = match name.split('.').next().unwrap_or_default() {
            "libc" | "libm" | "libdl" | "libpthread" | "librt" | "libutil" => with_version(&names),
            linker if linker.starts_with("ld-linux") => with_version(&names),
            "libgcc_s" => "libgcc-s1".to_owned(),
            _ => return Err(DistError::UnknownLibrary((*name).to_owned())),
        };
        packages.push(package);
    }
    packages.sort();
    packages.dedup();
    Ok((!packages.is_empty()).then(|| packages.join(", ")))
}

fn is_library(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so.")
}

/// The C library, no older than the newest of its symbols.
fn with_version(names: &[&str]) -> String {
    let versions = names.iter().filter_map(|name| name.strip_prefix("GLIBC_"));
    let numbers = versions.filter_map(|version| version.split('.').map(|part| part.parse().ok()).collect());
    let newest: Option<Vec<u32>> = numbers.max();
    let shown = |version: Vec<u32>| version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    newest.map_or_else(|| "libc6".to_owned(), |version| format!("libc6 (>= {})", shown(version)))
}

const DYNAMIC_SYMBOLS: u32 = 11;

/// The strings of the dynamic symbols: libraries, versions and names; of what is linked with nothing, none. `None` is for
/// what is no such file.
fn dynamic_strings(elf: &[u8]) -> Option<Vec<&str>> {
    // ELF, 64 bits, little-endian.
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let sections = usize::try_from(number(elf, 0x28, 8)?).ok()?;
    let (length, count) = (number(elf, 0x3a, 2)? as usize, number(elf, 0x3c, 2)? as usize);
    let header = |index: usize| elf.get(sections.checked_add(index * length)?..);
    for index in 0..count {
        let section = header(index)?;
        if number(section, 4, 4)? == u64::from(DYNAMIC_SYMBOLS) {
            let strings = header(number(section, 0x28, 4)? as usize)?;
            let start = usize::try_from(number(strings, 0x18, 8)?).ok()?;
            let length = usize::try_from(number(strings, 0x20, 8)?).ok()?;
            let bytes = elf.get(start..start.checked_add(length)?)?;
            let names = bytes.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
            return Some(names.collect());
        }
    }
    Some(Vec::new())
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            with_version(&["GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.3.4", "GLIBC_PRIVATE"]),
            "libc6 (>= 2.34)"
        );
        assert_eq!(with_version(&["malloc"]), "libc6");
    }

    #[test]
    #[cfg(all(
        target_os = "linux",
        target_env = "gnu",
        target_pointer_width = "64",
        target_endian = "little"
    ))]
    fn this_very_test_needs_the_c_library() {
        let executable = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = of(&executable).unwrap().unwrap();
        assert!(needs.starts_with("libc6 (>= 2."), "{needs}");
        assert!(needs.ends_with(", libgcc-s1"), "{needs}");
    }

    #[test]
    fn what_is_no_executable_is_refused() {
        assert!(matches!(of(b"#!/bin/sh\n"), Err(DistError::NotElf)));
        assert!(matches!(of(b"\x7fELF\x02\x01"), Err(DistError::NotElf)));
    }
}
