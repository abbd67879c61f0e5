//! The HTTP of the servers in these tests: one request and one answer on a byte stream, whole or broken in a chosen way.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection that can be reset.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the close a reset.
    fn reset(&self);
}

impl Line for TcpStream {
    fn reset(&self) {
        let _ = self.set_zero_linger();
    }
}

impl Line for TlsStream<TcpStream> {
    fn reset(&self) {
        let _ = self.get_ref().0.set_zero_linger();
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter, decoded.
    pub fn all(&self, name: &str) -> Vec<String> {
        pairs(&self.query).into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }
}

/// The pairs of a query or form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let (mut out, mut bytes) = (Vec::new(), text.bytes());
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                    out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
                }
                byte => out.push(byte),
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let pair = |part: &str| part.split_once('=').map_or((decode(part), String::new()), |(a, b)| (decode(a), decode(b)));
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// How an answer is sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum How {
    #[default]
    Whole,
    /// With chunked coding, so without a length.
    Chunked,
    /// Closed after so many bytes of the body.
    Cut(usize),
    /// Reset after so many bytes of the body.
    Reset(usize),
    /// Silent after so many bytes of the body.
    Stall(usize),
    /// So many bytes at a time, with pauses.
    Drip(usize, Duration),
    /// The head a byte at a time, with pauses.
    DripHead(Duration),
    /// The body again and again without an end.
    Endless,
    /// Closed without an answer.
    Nothing,
    /// Silent without an answer.
    Silence,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub how: How,
}

impl Response {
    pub fn new(status: u16) -> Response {
        Response { status, ..Response::default() }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Response {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn without(mut self, name: &str) -> Response {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Response {
        self.body = body.into();
        self
    }

    pub fn how(mut self, how: How) -> Response {
        self.how = how;
        self
    }

    /// A JSON document.
    pub fn json(status: u16, body: &Value) -> Response {
        Response::new(status).header("Content-Type", "application/json").body(body.to_string())
    }

    /// An error as the API words it.
    pub fn error(status: u16, code: &str) -> Response {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"the fault registry says {code}"}}]}}"#);
        Response::new(status).header("Content-Type", "application/json").body(body)
    }
}

/// Reads the head of a request; `None` at the end of the connection.
pub async fn read_head(line: &mut dyn Line, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        // Whoever speaks TLS to a plain port is told so.
        if buffer.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            line.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(None);
        }
        if buffer.len() > 256 << 10 || line.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_string();
    let target = first.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| {
        line.split_once(':').map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_string()))
    };
    let headers = lines.filter_map(header).collect();
    Ok(Some(Request { method, path: path.into(), query: query.into(), headers, body: Vec::new() }))
}

/// Reads the body of a request, or the first `most` bytes of it.
pub async fn read_body(
    line: &mut dyn Line,
    buffer: &mut Vec<u8>,
    request: &mut Request,
    most: Option<usize>,
) -> io::Result<()> {
    if request.header("expect").is_some() {
        line.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if request.header("transfer-encoding").is_some() {
        return read_chunks(line, buffer, request).await;
    }
    let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wanted = most.unwrap_or(length).min(length);
    while buffer.len() < wanted {
        if line.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    request.body = buffer.drain(..wanted).collect();
    Ok(())
}

async fn read_chunks(line: &mut dyn Line, buffer: &mut Vec<u8>, request: &mut Request) -> io::Result<()> {
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            if line.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let size = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or("0").trim(), 16).unwrap_or(0);
        buffer.drain(..end + 2);
        while buffer.len() < size + 2 {
            if line.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        request.body.extend(buffer.drain(..size));
        buffer.drain(..2);
        if size == 0 {
            return Ok(());
        }
    }
}

/// Sends an answer; `false` when the connection must not be used again.
pub async fn write(line: &mut dyn Line, response: &Response, head_only: bool) -> io::Result<bool> {
    if response.how == How::Nothing {
        return Ok(false);
    }
    if response.how == How::Silence {
        return stall().await;
    }
    let chunked = response.how == How::Chunked;
    let mut head = format!("HTTP/1.1 {} Word\r\n", response.status);
    for (key, value) in &response.headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else if response.how == How::Endless {
        head.push_str("Connection: close\r\n");
    } else if response.get("content-length").or(response.get("transfer-encoding")).is_none()
        && response.status != 204
        && response.status != 304
    {
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    head.push_str("\r\n");
    if let How::DripHead(pause) = response.how {
        for byte in head.as_bytes() {
            line.write_all(&[*byte]).await?;
            line.flush().await?;
            tokio::time::sleep(pause).await;
        }
    } else {
        line.write_all(head.as_bytes()).await?;
    }
    if head_only {
        line.flush().await?;
        return Ok(true);
    }
    write_body(line, response).await
}

/// Sends a body, whole or broken.
async fn write_body(line: &mut dyn Line, response: &Response) -> io::Result<bool> {
    let body = &response.body;
    match response.how {
        How::Whole | How::DripHead(_) => line.write_all(body).await?,
        How::Chunked => {
            for chunk in body.chunks(1000) {
                line.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                line.write_all(chunk).await?;
                line.write_all(b"\r\n").await?;
            }
            line.write_all(b"0\r\n\r\n").await?;
        }
        How::Cut(count) => {
            line.write_all(&body[..count.min(body.len())]).await?;
            line.flush().await?;
            line.shutdown().await?;
            return Ok(false);
        }
        How::Reset(count) => {
            line.write_all(&body[..count.min(body.len())]).await?;
            line.flush().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            line.reset();
            return Ok(false);
        }
        How::Stall(count) => {
            line.write_all(&body[..count.min(body.len())]).await?;
            line.flush().await?;
            return stall().await;
        }
        How::Drip(count, pause) => {
            for piece in body.chunks(count.max(1)) {
                line.write_all(piece).await?;
                line.flush().await?;
                tokio::time::sleep(pause).await;
            }
        }
        How::Endless => {
            let much = body.repeat(((64 << 10) / body.len().max(1)).max(1));
            loop {
                line.write_all(&much).await?;
            }
        }
        How::Nothing | How::Silence => {}
    }
    line.flush().await?;
    Ok(true)
}

/// Longer than any test waits.
async fn stall() -> io::Result<bool> {
    tokio::time::sleep(Duration::from_secs(120)).await;
    Ok(false)
}
