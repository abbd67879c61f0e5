//! Stage 8: the rules on the user of an image. Pure.

use super::view::View;
use super::{Found, Subject};
use crate::error::printable;
use crate::manifest::rules::{ROOT_USER, USER_NAME};

/// The name and the number of root.
const ROOT: [&str; 2] = ["root", "0"];

/// Whether the image runs as root, and whether its user is a number.
pub(super) fn judge(_: &Subject<'_>, view: &View<'_>) -> Vec<Found> {
    let image = &view.image;
    let user = image.user.split(':').next().unwrap_or_default();
    let place = image.plan.config.user.as_ref().map_or(&image.plan.base.1, |(_, place)| place);
    let numeric = user.bytes().all(|byte| byte.is_ascii_digit());
    let root = user.is_empty() || ROOT.contains(&user) || numeric && user.bytes().all(|byte| byte == b'0');
    let shown = printable(image.user);
    if root {
        let what = match (user.is_empty(), &image.plan.config.user) {
            (true, _) => "the image runs as root, because nothing names a user".to_string(),
            (false, Some(_)) => format!("the image runs as root, its user is `{shown}`"),
            (false, None) => format!("the image runs as root, the base's user is `{shown}`"),
        };
        let finding = ROOT_USER.finding(what).at(place, "");
        let help = "set `user` under `[image]`, as in `user = \"65532:65532\"` or a user of the image";
        return vec![Found::new(&ROOT_USER, finding.help(help))];
    }
    if !numeric {
        let what = format!("the user of the image is the name `{shown}`, which Kubernetes cannot tell from root");
        let finding = USER_NAME.finding(what).at(place, "").help("set `user` under `[image]` to its number");
        return vec![Found::new(&USER_NAME, finding)];
    }
    Vec::new()
}
