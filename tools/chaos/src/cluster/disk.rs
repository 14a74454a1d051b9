//! A disk of limited size that can be filled: an ext4 image on a loop device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::process::{is_root, run};

/// Size of the image. The file is sparse, so it takes the space of its content.
const IMAGE_BYTES: u64 = 24 * 1024 * 1024 * 1024;

/// The disk of a node, or an ordinary folder.
pub(crate) struct Disk {
    pub(crate) folder: PathBuf,
    can_fill: bool,
}

impl Disk {
    /// Without root or loop devices, as in many containers, the disk cannot be filled.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        fs::create_dir(folder)?;
        let can_fill = is_root() && mount(folder).is_ok();
        Ok(Self { folder: folder.to_owned(), can_fill })
    }

    /// Takes all free space. Returns false if this disk cannot be filled.
    pub(crate) fn fill(&self) -> Result<bool, Error> {
        if !self.can_fill {
            return Ok(false);
        }
        let state = rustix::fs::statvfs(&self.folder)?;
        let mut free = state.f_bavail * state.f_frsize;
        // PostgreSQL writes at the same time, and the file system needs blocks of its own.
        while free > 64 * 1024 {
            let grown = run(Command::new("fallocate")
                .arg("--length")
                .arg((self.ballast_bytes() + free).to_string())
                .arg(self.ballast()));
            free = if grown.is_ok() { 0 } else { free / 2 };
        }
        Ok(true)
    }

    /// Frees the space again.
    pub(crate) fn free(&self) -> Result<(), Error> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast_bytes(&self) -> u64 {
        fs::metadata(self.ballast()).map_or(0, |file| file.len())
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

fn mount(folder: &Path) -> Result<(), Error> {
    let image = folder.with_extension("image");
    File::create(&image)?.set_len(IMAGE_BYTES)?;
    // Without a journal: the machine survives the run.
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(&image))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(folder)).map(drop)
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.can_fill {
            // Lazily: PostgreSQL may still be ending.
            run(Command::new("umount").arg("-l").arg(&self.folder)).ok();
        }
    }
}
