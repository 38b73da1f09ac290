//! Where things are: the checkout, the compiled programs, and a place for what the benchmarks
//! install.

use std::path::{Path, PathBuf};

use crate::failure::{ErrorContext, Failure, MeasureResult};

/// The root of the checkout.
pub(crate) fn root() -> MeasureResult<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize()
        .during(format!("finding {}", root.display()))
}

/// The directory with the release build of everything: this program is in it.
pub(crate) fn release() -> MeasureResult<PathBuf> {
    let me = std::env::current_exe().during("finding this program")?;
    let directory = me.parent().map(Path::to_path_buf);
    directory.ok_or_else(|| Failure::new("this program has no directory"))
}

/// `target/measure`: environments of the peers, and files handed to them. Made when it is missing.
pub(crate) fn scratch() -> MeasureResult<PathBuf> {
    let release = release()?;
    let scratch = release.parent().unwrap_or(&release).join("measure");
    std::fs::create_dir_all(&scratch).during(format!("making {}", scratch.display()))?;
    Ok(scratch)
}
