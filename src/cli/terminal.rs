//! Stage 10: the one writer to the terminal. Results go to stdout, everything else to stderr.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::error::ErrorKind;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::args::{Format, Global};
use super::render;
use crate::error::{Error, Kind, Report, Result, printable};
use crate::event::{Event, Sink};

/// The terminal as the options want it. Cheap to clone.
#[derive(Clone)]
pub struct Terminal(Arc<Inner>, Option<Arc<Mutex<Vec<Value>>>>);

struct Inner {
    format: Format,
    quiet: bool,
    verbose: u8,
    color: bool,
    colored: bool,
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<String, ProgressBar>>,
    notes: Mutex<Vec<String>>,
}

/// Prints what clap has to say and returns the exit code; a mistake as the one JSON document, if that is wanted.
pub fn usage(error: &clap::Error, json: bool) -> u8 {
    if !error.use_stderr() {
        let _ = error.print();
        return 0;
    }
    if json {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_string(),
            _ => printable(lines.next().unwrap_or_default().trim_start_matches("error: ")),
        };
        let hints = lines.filter(|line| !line.starts_with("For more information")).map(printable).collect();
        let document = failure(Kind::Usage, &message, &[], hints);
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        let _ = write(&(text + "\n"));
    } else {
        let _ = error.print();
    }
    Kind::Usage.exit_code()
}

/// The document of a failure.
fn failure(kind: Kind, message: &str, causes: &[String], hints: Vec<String>) -> Value {
    json!({
        "error": { "kind": kind.name(), "exit": kind.exit_code(), "message": message, "causes": causes, "hints": hints },
        "findings": [],
        "notes": [],
    })
}

/// Writes to stdout. A reader that has gone away is no failure; a full disk is.
fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("writing to stdout", cause)),
        _ => Ok(()),
    }
}

impl Terminal {
    /// A terminal for these options. `NO_COLOR` and a stream that is no terminal turn colours off; bars need a terminal.
    pub fn new(options: &Global) -> Terminal {
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (color, colored) = (stderr && wanted, stdout && wanted);
        let bars = (stderr && !dumb && !options.quiet).then(MultiProgress::new);
        let inner = Inner {
            format: options.format,
            quiet: options.quiet,
            verbose: options.verbose,
            color,
            colored,
            bars,
            running: Mutex::default(),
            notes: Mutex::default(),
        };
        Terminal(Arc::new(inner), None)
    }

    /// The same terminal, which keeps documents to itself until somebody asks for them.
    pub fn holding(&self) -> Terminal {
        Terminal(self.0.clone(), Some(Arc::default()))
    }

    /// The documents that were kept since the last time.
    pub fn held(&self) -> Vec<Value> {
        self.1.as_ref().map(|held| std::mem::take(&mut *self.lock(held))).unwrap_or_default()
    }

    /// Whether the result is one JSON document, of our own kind or SARIF.
    pub fn json(&self) -> bool {
        self.0.format != Format::Text
    }

    /// Whether that is SARIF.
    pub fn sarif(&self) -> bool {
        self.0.format == Format::Sarif
    }

    /// Whether the result may have colours.
    pub fn colored(&self) -> bool {
        self.0.colored
    }

    /// Whether the result goes to a terminal.
    pub fn interactive(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Writes the result. A reader that has gone away is no failure; a full disk is.
    pub fn result(&self, text: &str) -> Result<()> {
        write(text)
    }

    /// Writes the one JSON document, with the findings and notes added to it. SARIF knows nothing but those.
    pub fn document(&self, document: Value, report: &Report) -> Result<()> {
        self.written(document, report, None)
    }

    fn written(&self, mut document: Value, report: &Report, failure: Option<&Error>) -> Result<()> {
        if self.sarif() {
            document = render::sarif(report, &self.lock(&self.0.notes), failure);
        } else if let Some(map) = document.as_object_mut() {
            map.insert("findings".into(), render::json(report));
            map.insert("notes".into(), json!(*self.lock(&self.0.notes)));
        }
        if let Some(held) = &self.1 {
            self.lock(held).push(document);
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        self.result(&(text + "\n"))
    }

    /// Shows findings that do not end the work; as JSON they go into the document instead.
    pub fn report(&self, report: &Report) {
        let silent = self.0.quiet && report.errors().next().is_none();
        if !self.json() && !silent {
            self.say(render::text(report, self.0.color).trim_end());
            self.annotate(report);
        }
    }

    /// Shows findings at their lines, where a workflow of GitHub runs this.
    fn annotate(&self, report: &Report) {
        if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            self.say(render::annotations(report).trim_end());
        }
    }

    /// Shows what ended the work and returns the exit code.
    pub fn error(&self, error: &Error) -> u8 {
        self.clear();
        if self.json() {
            let document = failure(error.kind(), error.message(), &error.causes(), error.hints().to_vec());
            let empty = Report::default();
            if self.written(document, error.report().unwrap_or(&empty), Some(error)).is_err() {
                self.say(render::error(error, self.0.color).trim_end());
            }
        } else {
            let text = match error.report() {
                Some(report) => render::text(report, self.0.color) + &render::error(error, self.0.color),
                None => render::error(error, self.0.color),
            };
            self.say(text.trim_end());
            if let Some(report) = error.report() {
                self.annotate(report);
            }
        }
        error.kind().exit_code()
    }

    /// Where the stages' events go.
    pub fn sink(&self) -> Sink {
        let terminal = self.clone();
        Arc::new(move |event| terminal.event(event))
    }

    fn event(&self, event: Event) {
        match event {
            Event::Note { text } => {
                if !self.0.quiet && !self.json() {
                    self.say(&format!("note: {}", printable(&text)));
                }
                self.lock(&self.0.notes).push(text);
            }
            Event::Wait { why } if !self.0.quiet && (!self.json() || self.0.verbose > 0) => {
                self.say(&format!("waiting: {}", printable(&why)))
            }
            Event::Detail { text } if self.0.verbose > 0 => self.say(&format!("  {}", printable(&text))),
            Event::Begin { what, total } => self.begin(what, total),
            Event::Step { what, done } => {
                if let Some(bar) = self.lock(&self.0.running).get(&what) {
                    bar.set_position(done);
                }
            }
            Event::End { what, how } => self.end(&what, how),
            Event::Wait { .. } | Event::Detail { .. } => {}
        }
    }

    fn begin(&self, what: String, total: u64) {
        let Some(bars) = &self.0.bars else { return };
        // It is added first: a bar that is not would draw itself on a line of its own.
        let bar = bars.add(if total > 0 { ProgressBar::new(total) } else { ProgressBar::new_spinner() });
        let template = if total > 0 {
            "  {msg:36} {bar:24} {bytes:>11} of {total_bytes} {bytes_per_sec}"
        } else {
            "  {msg:36} {spinner} {bytes:>11} {bytes_per_sec}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(printable(&what));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.lock(&self.0.running).insert(what, bar);
    }

    fn end(&self, what: &str, how: &str) {
        let bar = self.lock(&self.0.running).remove(what);
        let done = bar.as_ref().map_or(0, ProgressBar::position);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let shown = self.0.bars.is_some() || self.0.verbose > 0;
        if shown && !self.0.quiet {
            let size = if done > 0 { format!(" ({})", indicatif::HumanBytes(done)) } else { String::new() };
            self.say(&format!("  {}: {how}{size}", printable(what)));
        }
    }

    /// Writes whole lines to stderr, above any bars. Nobody may be listening any more, which is no failure.
    fn say(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        match &self.0.bars {
            Some(bars) => bars.suspend(|| drop(writeln!(std::io::stderr(), "{text}"))),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Writes a question, without the end of a line, to where the answer is typed.
    pub fn ask(&self, question: &str) {
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
    }

    fn clear(&self) {
        for bar in std::mem::take(&mut *self.lock(&self.0.running)).into_values() {
            bar.finish_and_clear();
        }
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
