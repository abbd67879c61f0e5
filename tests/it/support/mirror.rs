//! A web server of files, for mirrors of packages: what it holds can change while it runs, and it remembers what was asked for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

/// The files by path, and the paths that were asked for.
type Shelf = Arc<Mutex<(BTreeMap<String, Vec<u8>>, Vec<String>)>>;

/// A server that runs until the test ends.
pub struct Mirror {
    shelf: Shelf,
    port: u16,
}

impl Mirror {
    /// An empty one on a port of its own.
    pub fn start() -> Mirror {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf = Shelf::default();
        let own = shelf.clone();
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = own.clone();
                spawn(move || drop(answer(stream, &shelf)));
            }
        });
        Mirror { shelf, port }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts a file there, without a `/` in front.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.shelf.lock().unwrap().0.insert(path.to_string(), content.into());
    }

    /// Takes a file away.
    pub fn take(&self, path: &str) -> Option<Vec<u8>> {
        self.shelf.lock().unwrap().0.remove(path)
    }

    /// A file as it is.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.shelf.lock().unwrap().0[path].clone()
    }

    /// The paths that were asked for since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf.lock().unwrap().1)
    }
}

fn answer(stream: TcpStream, shelf: &Shelf) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    // Of all that can be escaped, only `%` itself stands in a name here.
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').replace("%25", "%");
    let found = {
        let mut shelf = shelf.lock().unwrap();
        shelf.1.push(path.clone());
        shelf.0.get(&path).cloned()
    };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
