//! Stage 10, the shell: arguments in, an exit code out. One file for each command, one writer to the terminal. Reads the command
//! line and the environment; everything else is done by the stages above.

mod args;
mod build;
mod carry;
mod check;
mod completions;
mod doctor;
mod login;
mod papers;
mod plan;
mod prepare;
mod prompt;
mod release;
pub(crate) mod render;
mod reproduce;
mod schema;
mod session;
mod sign;
mod signals;
mod tag;
mod targets;
mod terminal;
mod update;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Arguments, Command};
use crate::cli::session::Session;
use crate::cli::terminal::Terminal;
use crate::error::{Error, Result};

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let json = json(&arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(terminal::usage(&error, json)),
    };
    let terminal = Terminal::new(&arguments.global);
    let code = match run(&arguments, &terminal) {
        Ok(code) => code,
        Err(error) => terminal.error(&error),
    };
    ExitCode::from(code)
}

/// Whether arguments that may be wrong ask for JSON.
fn json(arguments: &[OsString]) -> bool {
    let pairs = arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pairs || arguments.iter().any(|argument| argument == "--format=json")
}

/// Runs one command and returns its exit code.
fn run(arguments: &Arguments, terminal: &Terminal) -> Result<u8> {
    match &arguments.command {
        Command::Schema => return schema::run(terminal),
        Command::Completions { shell } => return completions::run(terminal, *shell),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Error::io("starting the runtime", cause))?;
    let session = Session::new(&arguments.global, terminal)?;
    let code = runtime.block_on(signals::guarded(&session, command(&arguments.command, &session)));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

async fn command(command: &Command, session: &Session<'_>) -> Result<u8> {
    match command {
        Command::Check => check::run(session).await,
        Command::Plan => plan::run(session).await,
        Command::Build(options) => build::run(session, options).await,
        Command::Push(options) => build::push(session, options).await,
        Command::Release(options) => release::run(session, options).await,
        Command::Provenance(options) => papers::provenance(session, options).await,
        Command::Reproduce(options) => reproduce::run(session, &options.reference).await,
        Command::Sbom(options) => papers::sbom(session, options).await,
        Command::Pull(options) => carry::pull(session, options).await,
        Command::Copy(options) => carry::copy(session, options).await,
        Command::Save(options) => carry::save(session, options).await,
        Command::Load { file } => carry::load(session, file).await,
        Command::Tag(options) => tag::run(session, options).await,
        Command::Sign(options) => sign::run(session, options).await,
        Command::Attest(options) => sign::attest(session, options).await,
        Command::Keygen(options) => sign::keygen(session, options).await,
        Command::Update(options) => update::update(session, options).await,
        Command::Outdated => update::outdated(session).await,
        Command::Verify(options) => verify::run(session, options).await,
        Command::Login(options) => login::login(session, options).await,
        Command::Logout { host } => login::logout(session, host).await,
        Command::Doctor { name } => doctor::run(session, name.as_deref()).await,
        Command::Schema | Command::Completions { .. } => Err(Error::bug("this command needs no runtime")),
    }
}
