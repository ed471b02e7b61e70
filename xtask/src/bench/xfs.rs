//! A file system whose files can share blocks: XFS in a file, mounted for as long as this lives. Only root can have it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tools::Tool;

/// Its length. The file has all its room from the start: otherwise who first writes to a part of it pays for that.
pub(super) const SIZE: u64 = 9 << 30;

/// A mounted file system.
pub(super) struct Xfs {
    file: PathBuf,
    folder: PathBuf,
}

impl Xfs {
    /// Makes one in `parent`. The error is what to say of whatever needed it.
    pub(super) fn mount(parent: &Path) -> Result<Self, String> {
        if let Some(said) = [Tool::MkfsXfs, Tool::Mount].into_iter().find_map(Tool::missing) {
            return Err(said);
        }
        if !fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            return Err("mounting a file with XFS takes root".to_owned());
        }
        let xfs = Self { file: parent.join("xfs.img"), folder: parent.join("xfs") };
        xfs.prepare().map_err(|error| format!("cannot make {}: {error}", xfs.file.display()))?;
        run(Tool::MkfsXfs, &["-q".as_ref(), "-f".as_ref(), "-m".as_ref(), "reflink=1".as_ref(), &xfs.file])?;
        run(Tool::Mount, &["-o".as_ref(), "loop".as_ref(), &xfs.file, &xfs.folder])?;
        Ok(xfs)
    }

    /// Where it is mounted.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where nothing is mounted, nothing happens. The loop device goes with the mount.
    fn unmount(&self) {
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
    }

    fn prepare(&self) -> io::Result<()> {
        // One that was killed may have left its own.
        self.unmount();
        fs::create_dir_all(&self.folder)?;
        let file = File::create(&self.file)?;
        Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE)?)
    }
}

impl Drop for Xfs {
    fn drop(&mut self) {
        self.unmount();
        let removed = fs::remove_dir(&self.folder).and(fs::remove_file(&self.file));
        if let Err(error) = removed {
            eprintln!("warning: {} is still mounted or not removed: {error}", self.folder.display());
        }
    }
}

fn run(tool: Tool, arguments: &[&Path]) -> Result<(), String> {
    let failed = |said: String| format!("{} failed: {}", tool.program(), said.trim());
    let program = tool.path().ok_or_else(|| failed("it is gone".to_owned()))?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
