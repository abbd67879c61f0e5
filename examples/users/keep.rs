//! Writes a line into the data directory and reads it back.

fn main() -> std::io::Result<()> {
    let path = "/var/lib/keep/line";
    std::fs::write(path, "written by an unprivileged user\n")?;
    print!("{}", std::fs::read_to_string(path)?);
    Ok(())
}
