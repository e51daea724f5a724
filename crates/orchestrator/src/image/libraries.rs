//! The shared libraries that a program of this machine needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::fault::Fault;

/// One entry of a program's list of libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Library {
    /// A library and where this machine has it.
    Shared { name: String, path: PathBuf },
    /// The loader, which programs name by its full path.
    Loader(PathBuf),
}

/// What `program` needs at run time; nothing when it is statically linked.
pub(crate) fn of(program: &Path) -> Result<Vec<Library>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .context("running ldd, which comes with the C library (package libc-bin)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("not a dynamic executable") || text.contains("statically linked") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        anyhow::bail!("ldd {}: {}", program.display(), said.trim());
    }
    parse(&text).map_err(|missing| {
        Fault::unavailable(
            format!(
                "{} needs {missing}, which this machine lacks",
                program.display()
            ),
            "install the package that has it, or build the program again",
        )
        .into()
    })
}

/// Reads ldd's list; fails with the name of a library that was not found.
fn parse(text: &str) -> Result<Vec<Library>, String> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some((name, rest)) = line.split_once(" => ") {
            let path = rest.split(" (").next().unwrap_or_default().trim();
            if path == "not found" {
                return Err(name.to_owned());
            }
            libraries.push(Library::Shared {
                name: name.to_owned(),
                path: PathBuf::from(path),
            });
        } else if line.starts_with('/') {
            let path = line.split(" (").next().unwrap_or_default();
            libraries.push(Library::Loader(PathBuf::from(path)));
        }
        // What is left is the kernel's own (linux-vdso), which is no file.
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_loader_are_told_apart() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f00)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f01)\n";
        let expected = [
            Library::Shared {
                name: "libc.so.6".to_owned(),
                path: PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"),
            },
            Library::Loader(PathBuf::from("/lib64/ld-linux-x86-64.so.2")),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_library_this_machine_lacks_is_named() {
        let text = "\tlibcapnp.so => not found\n";
        assert_eq!(parse(text).unwrap_err(), "libcapnp.so");
    }

    #[test]
    fn this_very_program_has_a_loader() {
        let libraries = of(&std::env::current_exe().unwrap()).unwrap();
        let loader = |library: &Library| matches!(library, Library::Loader(path) if path.exists());
        assert!(libraries.iter().any(loader), "{libraries:?}");
    }
}
