//! Lists the accounts that the base has.

fn main() -> std::io::Result<()> {
    for line in std::fs::read_to_string("/etc/passwd")?.lines() {
        println!("{}", line.split(':').next().unwrap_or_default());
    }
    Ok(())
}
