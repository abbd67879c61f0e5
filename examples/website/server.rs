//! Serves the files below a directory over HTTP/1.0: `server DIRECTORY ADDRESS`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_else(|| "/srv/www".into());
    let address = arguments.next().unwrap_or_else(|| "0.0.0.0:8080".into());
    let listener = TcpListener::bind(&address)?;
    println!("serving {root} on {}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let _ = answer(stream, Path::new(&root));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let inside = Path::new(target).components().all(|part| matches!(part, Component::Normal(_)));
    let path = if target.is_empty() { root.join("index.html") } else { root.join(target) };
    let (status, body) = match std::fs::read(path) {
        Ok(body) if inside => ("200 OK", body),
        _ => ("404 Not Found", b"not found\n".to_vec()),
    };
    write!(stream, "HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
