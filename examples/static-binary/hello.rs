fn main() {
    println!("hello from a static binary, {} arguments", std::env::args().count() - 1);
}
