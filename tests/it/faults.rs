//! Faults on command for the servers of these tests: which requests, how many of them, and what happens to their answers.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::http::{How, Request, Response};

/// Changes an answer.
type Edit = Box<dyn Fn(&Request, Response) -> Response + Send>;

/// What happens instead of, or to, the answers to some requests.
pub struct On {
    method: &'static str,
    path: String,
    skip: usize,
    times: usize,
    cut_body: Option<usize>,
    keep_body: Option<usize>,
    held: bool,
    reply: Option<Response>,
    edit: Option<Edit>,
    gate: Option<Arc<Notify>>,
}

/// Requests of a method (`*`: any) whose path and query contain a text: all of them, answered as usual.
pub fn on(method: &'static str, path: impl Into<String>) -> On {
    let path = path.into();
    On {
        method,
        path,
        skip: 0,
        times: usize::MAX,
        cut_body: None,
        keep_body: None,
        held: false,
        reply: None,
        edit: None,
        gate: None,
    }
}

impl On {
    /// Leaves the first ones alone.
    pub fn skip(self, skip: usize) -> On {
        On { skip, ..self }
    }

    /// Only so many of them.
    pub fn times(self, times: usize) -> On {
        On { times, ..self }
    }

    /// Answers with this and does nothing.
    pub fn reply(self, response: Response) -> On {
        On { reply: Some(response), ..self }
    }

    /// Answers with this status and does nothing.
    pub fn status(self, status: u16) -> On {
        self.reply(Response::error(status, "FAULT"))
    }

    /// Does the work and changes the answer.
    pub fn edit(self, edit: impl Fn(&Request, Response) -> Response + Send + 'static) -> On {
        On { edit: Some(Box::new(edit)), ..self }
    }

    /// Does the work and sends the answer in another way.
    pub fn how(self, how: How) -> On {
        self.edit(move |_, response| response.how(how.clone()))
    }

    /// Does the work and sends the answer once the gate is opened.
    pub fn until(self, gate: &Arc<Notify>) -> On {
        On { gate: Some(gate.clone()), ..self }
    }

    /// Resets the connection after so many bytes of the request's body; they are kept in the session.
    pub fn cut_body(self, count: usize) -> On {
        On { cut_body: Some(count), ..self }
    }

    /// Reads so many bytes of the request's body and no more, and keeps the connection.
    pub fn hold_body(self, count: usize) -> On {
        On { cut_body: Some(count), held: true, ..self }
    }

    /// Does the work with the first bytes of the request's body only.
    pub fn keep_body(self, count: usize) -> On {
        On { keep_body: Some(count), ..self }
    }
}

/// All faults of a server; the first one that fits a request counts.
#[derive(Default)]
pub struct Rules(Vec<On>);

/// What the rules say about one request.
#[derive(Default)]
pub struct Rule {
    pub index: Option<usize>,
    pub cut_body: Option<usize>,
    pub held: bool,
    pub keep_body: Option<usize>,
    pub reply: Option<Response>,
    pub gate: Option<Arc<Notify>>,
}

impl Rules {
    pub fn add(&mut self, on: On) {
        self.0.push(on);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Finds what happens to a request, and counts it.
    pub fn take(&mut self, request: &Request) -> Rule {
        let target = format!("{}?{}", request.path, request.query);
        for (index, on) in self.0.iter_mut().enumerate() {
            if (on.method != "*" && on.method != request.method) || !target.contains(&on.path) || on.times == 0 {
                continue;
            }
            if on.skip > 0 {
                on.skip -= 1;
                continue;
            }
            on.times = on.times.saturating_sub(usize::from(on.times != usize::MAX));
            let (cut_body, keep_body, held) = (on.cut_body, on.keep_body, on.held);
            let (reply, gate) = (on.reply.clone(), on.gate.clone());
            return Rule { index: Some(index), cut_body, held, keep_body, reply, gate };
        }
        Rule::default()
    }

    /// Changes the answer as the rule wants it.
    pub fn edit(&self, index: Option<usize>, request: &Request, response: Response) -> Response {
        match index.and_then(|index| self.0.get(index)).and_then(|on| on.edit.as_ref()) {
            Some(edit) => edit(request, response),
            None => response,
        }
    }
}
