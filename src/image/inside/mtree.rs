//! Stage 7: a listing as BSD mtree (FreeBSD's mtree(5)), which bsdtar and mtree read. Rows in, text out. Pure.

use super::row::{Row, What};

/// The text, in the order of the rows. What mtree has no words for stands there as a remark.
pub fn mtree(rows: &[Row<'_>]) -> String {
    let mut text = String::from("#mtree v2.0\n");
    for row in rows {
        let path = if row.path.is_empty() { ".".to_string() } else { format!("./{}", encoded(row.path)) };
        let kind = match &row.what {
            What::Whiteout => {
                text += &format!("# removed {path}\n");
                continue;
            }
            What::Lower(target) => {
                text += &format!("# {path} is a hard link to ./{} of a lower layer\n", encoded(target));
                continue;
            }
            What::Directory { opaque } => {
                if *opaque {
                    text += &format!("# emptied {path}\n");
                }
                "dir"
            }
            What::File { .. } => "file",
            What::Link(_) => "link",
            What::Character(..) => "char",
            What::Block(..) => "block",
            What::Fifo => "fifo",
        };
        text += &format!("{path} type={kind}");
        text += &keywords(row);
        text.push('\n');
    }
    text
}

fn keywords(row: &Row<'_>) -> String {
    let mut words = String::new();
    let mut word = |word: String| {
        words.push(' ');
        words.push_str(&word);
    };
    if let Some(held) = row.held {
        word(format!("mode={:04o}", held.mode));
        word(format!("uid={}", held.uid));
        word(format!("gid={}", held.gid));
        if let Some((seconds, nanos)) = held.modified {
            word(format!("time={seconds}.{nanos:09}"));
        }
    }
    if row.links > 1 {
        word(format!("nlink={}", row.links));
    }
    match &row.what {
        What::File { size, digest, .. } => {
            word(format!("size={size}"));
            if let Some(digest) = digest {
                word(format!("sha256digest={}", digest.hex()));
            }
        }
        What::Link(target) => word(format!("link={}", encoded(target))),
        What::Character(major, minor) | What::Block(major, minor) => word(format!("device=native,{major},{minor}")),
        _ => {}
    }
    words
}

/// A name in vis(3)'s octal form, which has no blanks and nothing that mtree gives a meaning.
fn encoded(name: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\\#=*?[".contains(byte);
    name.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("\\{byte:03o}") }).collect()
}
