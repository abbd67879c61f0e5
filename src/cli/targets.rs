//! Stage 10: whether everything can be written where it is wanted, asked before anything is built or sent. A plan and the
//! destinations of the command line in; all mistakes out. Looks at directories.

use std::path::Path;

use crate::error::{Finding, Kind, Report, Result, printable};
use crate::plan::Plan;
use crate::ship::Destination;

/// Fails with all that is wrong with the destinations and the receipt's path.
pub fn check(plan: &Plan, destinations: &[Destination], receipt: Option<&Path>) -> Result<()> {
    let mut report = Report::default();
    for destination in destinations {
        if *destination == Destination::Registry && plan.names.is_empty() {
            report.add(
                Finding::error("destination", "the manifest does not say where to push to")
                    .help("add `name = \"registry.example.com/team/app\"` under `[image]`"),
            );
        }
        if let [first, _, ..] = plan.images.as_slice()
            && destination.single()
        {
            let platforms: Vec<String> = plan.images.iter().map(|image| image.platform.to_string()).collect();
            let what = format!("`{destination}` takes one platform, the image has {}", platforms.join(", "));
            report.add(
                Finding::error("destination", what).help(format!("choose one, as in `--platform {}`", first.platform)),
            );
        }
        match destination {
            Destination::Layout(path) => directory(path, destinations, &mut report),
            Destination::Archive(path) | Destination::DockerArchive(path) => file(path, destinations, &mut report),
            Destination::Store | Destination::Docker | Destination::Podman | Destination::Registry => {}
        }
    }
    if let Some(receipt) = receipt {
        file(receipt, destinations, &mut report);
    }
    report.pass().map(|_| ())
}

/// A file can be written: its directory is there, and it is no directory itself.
pub fn file(path: &Path, destinations: &[Destination], report: &mut Report) {
    if path.is_dir() {
        let what = format!("`{}` is a directory", printable(&path.to_string_lossy()));
        report.add(Finding::error("destination", what).kind(Kind::Local).help("name a file"));
    }
    directory(path, destinations, report);
}

/// The directory around a path is there, or will be by this very run.
fn directory(path: &Path, destinations: &[Destination], report: &mut Report) {
    let Some(around) = path.parent().filter(|around| !around.as_os_str().is_empty()) else { return };
    let made = |other: &Destination| matches!(other, Destination::Layout(layout) if layout == around);
    if around.is_dir() || destinations.iter().any(made) {
        return;
    }
    let (shown, around) = (printable(&path.to_string_lossy()), printable(&around.to_string_lossy()));
    report.add(
        Finding::error("destination", format!("`{shown}` cannot be written: there is no directory `{around}`"))
            .kind(Kind::Local)
            .help(format!("make the directory first: `mkdir -p {around}`")),
    );
}
