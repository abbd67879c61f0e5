//! A root directory in which there is nothing but the static program, a project, and the socket of an engine.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::peers::{output, peer};
use crate::project::{Project, release};

/// Binds the project and the directory of the engine's socket, then goes where nothing else is.
const ENTER: &str = "mount --bind \"$1\" \"$2/app\" && mount --bind \"$3\" \"$2/engine\" && root=$2 && shift 3 && \
                     exec unshare --root=\"$root\" --wd=/app /stillframe \"$@\"";

/// Runs the program in a project, with nothing else around; the machine's resolver of names is there, as in any container.
pub fn alone(project: &Project, arguments: &[&str]) -> Output {
    let root = project.out("alone");
    for directory in ["app", "engine", "etc", "home"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    if !root.join("stillframe").exists() {
        fs::copy(release(), root.join("stillframe")).unwrap();
        let _ = fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"));
        let _ = fs::copy("/etc/hosts", root.join("etc/hosts"));
    }
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_string());
    let socket = Path::new(host.strip_prefix("unix://").unwrap());
    let mut command = peer("unshare");
    command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(project.app()).arg(&root).arg(socket.parent().unwrap());
    command.args(arguments).stdin(Stdio::null()).env("HOME", "/home");
    let name = socket.file_name().unwrap().to_str().unwrap();
    command.env("DOCKER_HOST", format!("unix:///engine/{name}"));
    for variable in ["STILLFRAME_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG"] {
        command.env_remove(variable);
    }
    output(&mut command)
}
