//! Stage 4: blobs that are read. A descriptor in, verified bytes into a writer out: streamed, resumed, bounded, read to the end.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::Client;
use super::failure::{self, header};
use super::hosts::Endpoint;
use super::retry::Stop;
use super::wire::Answer;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Repository};

/// So many new bytes make an attempt count as a success, so that a long download may break often.
const PROGRESS: u64 = 1 << 20;

/// A blob on its way: what was written so far, and its hash.
struct Flow<'a> {
    descriptor: &'a Descriptor,
    sink: &'a mut (dyn Write + Send),
    hasher: Sha256,
    written: u64,
}

impl Client {
    /// Streams a blob into `sink`. Only when this returns is anything about the bytes known: they are then exactly the
    /// descriptor's. A broken connection is resumed; what was written is never written twice.
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        sink: &mut (dyn Write + Send),
    ) -> Result<()> {
        let context = |cause: Error| cause.context(format!("reading the blob {} of `{repository}`", descriptor.digest));
        let mut flow = Flow { descriptor, sink, hasher: Sha256::new(), written: 0 };
        let readers = self.readers(repository);
        for endpoint in &readers {
            match self.blob_at(endpoint, &mut flow).await {
                // All bytes came, and they are wrong: nobody can take them back from the sink.
                Err(error) if endpoint.mirror && flow.written < descriptor.size => {
                    self.past_mirror(endpoint, &error)?
                }
                other => return other.map_err(context),
            }
        }
        Err(Error::bug("a registry is nowhere"))
    }

    async fn blob_at(&self, endpoint: &Endpoint, flow: &mut Flow<'_>) -> Result<()> {
        let scopes = endpoint.pull();
        let mut turns = self.0.turns(&endpoint.home);
        let mut call = endpoint.call(Method::GET, &format!("blobs/{}", flow.descriptor.digest), &scopes)?;
        loop {
            let before = flow.written;
            call.headers.remove(RANGE);
            if before > 0 {
                let range = HeaderValue::from_str(&format!("bytes={before}-"));
                call.headers.insert(RANGE, range.map_err(|_| Error::bug("a range cannot be sent"))?);
            }
            let stop = match self.0.attempt(&call).await {
                Ok(answer) if answer.status.is_success() => match flow.take(answer).await {
                    Ok(()) => return flow.verify(),
                    Err(stop) => stop,
                },
                Ok(answer) => return Err(self.blob_refused(&call, answer, flow.descriptor).await),
                Err(stop) => stop,
            };
            // It broke after the last byte; there is nothing left to ask for.
            if before < flow.written && flow.written == flow.descriptor.size && matches!(stop, Stop::Again { .. }) {
                return flow.verify();
            }
            if flow.written - before >= PROGRESS {
                turns.progressed();
            }
            turns.after(stop).await?;
        }
    }

    async fn blob_refused(&self, call: &super::Call<'_>, answer: Answer, descriptor: &Descriptor) -> Error {
        let reply = match answer.reply(failure::MOST_BYTES).await {
            Ok(reply) => reply,
            Err(stop) => return stop.into_error(),
        };
        let error = reply.refusal();
        match reply.status {
            StatusCode::UNAUTHORIZED if reply.leg.own => self.0.hint(call, error).await,
            StatusCode::NOT_FOUND if descriptor.rest.contains_key("urls") => {
                error.hint("it is a foreign layer; it is not fetched from the `urls` that its descriptor names")
            }
            _ => error,
        }
    }

    /// Whether a repository holds a blob, by the registry's word.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let context = |cause: Error| cause.context(format!("looking for the blob {digest} in `{repository}`"));
        let endpoint = self.writer(repository);
        let scopes = endpoint.pull();
        let path = format!("blobs/{digest}");
        let call = endpoint.call(Method::HEAD, &path, &scopes)?;
        let reply = self.0.fetch(&call, 0).await.map_err(context)?;
        match reply.status {
            status if status.is_success() => return Ok(true),
            StatusCode::NOT_FOUND => return Ok(false),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {}
            _ => return Err(context(reply.refusal())),
        }
        let call = endpoint.call(Method::GET, &path, &scopes)?;
        let answer = self.0.open(&call).await.map_err(context)?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(context(answer.reply(failure::MOST_BYTES).await.map_err(Stop::into_error)?.refusal())),
        }
    }
}

impl Flow<'_> {
    /// Takes an answer's body to its end.
    async fn take(&mut self, mut answer: Answer) -> Result<(), Stop> {
        let size = self.descriptor.size;
        let length = header(&answer.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
        let mut skip = 0;
        if answer.status == StatusCode::PARTIAL_CONTENT {
            self.check_range(&answer)?;
        } else {
            // The whole again: what is written already is passed over; the hash over all decides.
            skip = self.written;
        }
        // A storage that calls a gzip blob "gzip encoded" sends the blob's own bytes, and its length tells.
        let coding =
            header(&answer.headers, CONTENT_ENCODING.as_str()).unwrap_or("identity").trim().to_ascii_lowercase();
        let coded = !matches!(coding.as_str(), "" | "identity") && length != Some(size);
        if coded {
            return self.decode(answer, &coding, skip).await;
        }
        let expected = if answer.status == StatusCode::PARTIAL_CONTENT { size - self.written.min(size) } else { size };
        if let Some(length) = length.filter(|length| *length != expected) {
            return Err(
                Error::remote(format!("the registry announces {length} bytes, but {expected} are to come")).into()
            );
        }
        while let Some(piece) = answer.piece().await? {
            self.write(&piece, &mut skip)?;
        }
        if self.written < size {
            // Without a length an early end looks like the end.
            return Err(Stop::broken(Error::remote(format!("the blob ended after {} of {size} bytes", self.written))));
        }
        Ok(())
    }

    /// Refuses a part that is not the one that was asked for.
    fn check_range(&self, answer: &Answer) -> Result<()> {
        let text = header(&answer.headers, CONTENT_RANGE.as_str()).unwrap_or_default();
        if is_rest(text, self.written, self.descriptor.size) {
            return Ok(());
        }
        Err(Error::remote(format!(
            "the registry sent another part than asked for: bytes from {} on of {} were asked for, `{}` came",
            self.written,
            self.descriptor.size,
            failure::shown(text)
        )))
    }

    /// Takes a body that something on the way has packed, although the request says not to.
    async fn decode(&mut self, mut answer: Answer, coding: &str, mut skip: u64) -> Result<(), Stop> {
        if !matches!(coding, "gzip" | "x-gzip") || answer.status == StatusCode::PARTIAL_CONTENT {
            return Err(Error::remote(format!("the blob came encoded as `{}`", failure::shown(coding))).into());
        }
        let wrong = |cause: std::io::Error| Error::remote("the blob came encoded as `gzip`, but is not").because(cause);
        let mut decoder = MultiGzDecoder::new(Vec::new());
        while let Some(piece) = answer.piece().await? {
            // Small steps bound what one piece can unfold to.
            for step in piece.chunks(256) {
                decoder.write_all(step).map_err(wrong)?;
                let unfolded = std::mem::take(decoder.get_mut());
                self.write(&unfolded, &mut skip)?;
            }
        }
        let rest = decoder.finish().map_err(|cause| Stop::broken(wrong(cause)))?;
        self.write(&rest, &mut skip)?;
        Ok(())
    }

    fn write(&mut self, piece: &[u8], skip: &mut u64) -> Result<()> {
        let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(piece.len());
        *skip -= passed as u64;
        let fresh = piece.get(passed..).unwrap_or_default();
        let size = self.descriptor.size;
        if fresh.len() as u64 > size - self.written.min(size) {
            return Err(Error::remote(format!("the registry sent more than the {size} bytes of the descriptor")));
        }
        self.sink.write_all(fresh).map_err(|cause| Error::io("writing the blob", cause))?;
        self.hasher.update(fresh);
        self.written += fresh.len() as u64;
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        let size = self.descriptor.size;
        if self.written != size {
            return Err(Error::remote(format!("the registry sent {} bytes, the descriptor says {size}", self.written)));
        }
        let found = Digest::finish(std::mem::take(&mut self.hasher));
        if found != self.descriptor.digest {
            return Err(Error::remote(format!(
                "the registry sent other bytes than asked for: {} was asked for, {found} came",
                self.descriptor.digest
            )));
        }
        Ok(())
    }
}

/// Whether a `Content-Range` is that of the last bytes of `size`, from `written` on.
pub(super) fn is_rest(text: &str, written: u64, size: u64) -> bool {
    let range = text.trim().strip_prefix("bytes").map(str::trim_start).unwrap_or_default();
    let (span, total) = range.split_once('/').unwrap_or((range, "*"));
    let (first, last) = span.split_once('-').unwrap_or_default();
    first.parse() == Ok(written)
        && last.parse::<u64>().ok().and_then(|last| last.checked_add(1)) == Some(size)
        && (total == "*" || total.parse() == Ok(size))
}
