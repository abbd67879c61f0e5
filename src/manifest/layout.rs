//! Stage 1: the layout of a manifest, for `fmt`: the same keys, values and comments in the same order, set out in one way. Text in, text
//! out. Pure.

use std::sync::Arc;

use taplo::formatter::{Options, format};

use super::check;
use crate::error::{Error, Report, Result, Text};

/// Longest line before a list is broken into lines.
const WIDTH: usize = 120;

/// The text as it is set out: equal signs and comments of neighbours below each other, one empty line at most, line feeds. Fails with all
/// mistakes where it is no TOML; whether its keys are right is for `check` to say. What the text means never changes, which is looked at before it is returned.
pub fn layout(text: &Arc<Text>) -> Result<String> {
    let meant = |text: &str| text.parse::<toml::Table>().ok();
    let plain = text.text.replace("\r\n", "\n");
    if meant(&plain).is_none() {
        let mut report = Report::default();
        check::parse(text, &mut report);
        report.pass()?;
    }
    let options = Options {
        align_entries: true,
        align_comments: true,
        align_single_comments: false,
        array_auto_collapse: false,
        column_width: WIDTH,
        indent_string: "  ".to_string(),
        trailing_newline: true,
        allowed_blank_lines: 1,
        reorder_keys: false,
        reorder_arrays: false,
        ..Options::default()
    };
    let set_out = format(&plain, options);
    if meant(&plain) != meant(&set_out) || meant(&plain).is_none() {
        return Err(Error::bug(format!("setting out `{}` would change what it says", text.path)));
    }
    Ok(set_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_out(text: &str) -> Result<String> {
        layout(&Arc::new(Text { path: "image.toml".into(), text: text.into() }))
    }

    #[test]
    fn neighbours_are_aligned_and_comments_stay() {
        let text = "schema=1\r\n\r\n\r\n\r\n# the image\r\n[image]\r\nname=\"a\"   # why\r\nentrypoint   = ['/a']\r\n\
                    [[file]]\r\n  dest=\"/x\"\r\n  content = '''\r\n a = b \r\n'''\r\n";
        let wanted = "schema = 1\n\n# the image\n[image]\nname       = \"a\" # why\nentrypoint = ['/a']\n[[file]]\n\
                      dest = \"/x\"\ncontent = '''\n a = b \n'''\n";
        assert_eq!(set_out(text).unwrap(), wanted);
        assert_eq!(set_out(wanted).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_toml_is_an_error_with_its_place() {
        assert_eq!(set_out("a = \n").unwrap_err().kind().exit_code(), 2);
    }
}
