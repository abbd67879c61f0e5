//! Stage 10, the shell: arguments in, an exit code out. One file for each command, one writer to the terminal. Reads the command
//! line and the environment; everything else is done by the stages above.

mod args;
mod build;
mod carry;
mod check;
mod ci;
mod completions;
mod doctor;
mod explain;
mod finish;
mod fmt;
mod init;
mod inputs;
mod inside;
mod local;
mod login;
mod man;
mod papers;
mod plan;
mod prepare;
mod prompt;
mod receipt;
mod release;
mod remote;
pub(crate) mod render;
mod reproduce;
mod resolve;
mod resume;
mod revision;
mod scan;
mod schema;
mod session;
mod several;
mod sign;
mod signals;
mod signer;
mod tag;
mod targets;
mod terminal;
mod update;
mod update_db;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::cli::args::{Arguments, Check, Command};
use crate::cli::session::Session;
use crate::cli::terminal::Terminal;
use crate::error::{Error, Result};

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments = resolve::own_files(arguments);
    let json = json(&arguments);
    let parsed = args::grammar().try_get_matches_from(arguments).and_then(|it| Arguments::from_arg_matches(&it));
    let arguments = match parsed {
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
        Command::Schema { of } => return schema::run(terminal, *of),
        Command::Completions { shell } => return completions::run(terminal, *shell),
        Command::Complete { at, words } => return completions::words(terminal, *at, words),
        Command::Man { dir } => return man::run(terminal, dir.as_deref()),
        Command::Check(Check { explain: None, .. }) => {}
        Command::Scan(options) if options.attach.is_none() => {}
        _ if terminal.sarif() => {
            return Err(Error::usage("only the findings of `check` and `scan` are SARIF").hint("say `--format json`"));
        }
        Command::Check(Check { explain: Some(code), .. }) => return explain::run(terminal, code),
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
        Command::Init(options) => init::run(session, options).await,
        Command::Fmt(options) => fmt::run(session, options).await,
        Command::Check(options) if options.several.wanted() => several::check(session, &options.several).await,
        Command::Check(_) => check::run(session).await,
        Command::Plan(several) if several.wanted() => several::plan(session, several).await,
        Command::Plan(_) => plan::run(session).await,
        Command::Resolve(options) => resolve::run(session, options).await,
        Command::Build(options) => build::run(session, options).await,
        Command::Push(options) => build::push(session, options).await,
        Command::Release(options) => release::run(session, options).await,
        Command::Provenance(options) => papers::provenance(session, options).await,
        Command::Reproduce(options) => reproduce::run(session, options).await,
        Command::Sbom(options) => papers::sbom(session, options).await,
        Command::Inspect(options) => inside::inspect(session, options).await,
        Command::Files(options) => inside::files(session, options).await,
        Command::Diff(options) => inside::diff(session, options).await,
        Command::History(options) => inside::history(session, options).await,
        Command::Pull(options) => carry::pull(session, options).await,
        Command::Copy(options) => carry::copy(session, options).await,
        Command::Save(options) => carry::save(session, options).await,
        Command::Load { file } => carry::load(session, file).await,
        Command::Tag(options) => tag::run(session, options).await,
        Command::Images(options) => local::images(session, options).await,
        Command::Rm(options) => local::remove(session, options).await,
        Command::Prune(options) => local::prune(session, options).await,
        Command::Run(options) => local::run(session, options).await,
        Command::Watch(options) => local::watch(session, options).await,
        Command::Tags(options) => remote::tags(session, options).await,
        Command::Sign(options) => sign::run(session, options).await,
        Command::Attest(options) => sign::attest(session, options).await,
        Command::Keygen(options) => sign::keygen(session, options).await,
        Command::Scan(options) => scan::run(session, options).await,
        Command::UpdateDb(options) => update_db::run(session, options).await,
        Command::Update(options) => update::update(session, options).await,
        Command::Outdated => update::outdated(session).await,
        Command::Verify(options) => verify::run(session, options).await,
        Command::Login(options) => login::login(session, options).await,
        Command::Logout { host } => login::logout(session, host).await,
        Command::Doctor { name } => doctor::run(session, name.as_deref()).await,
        Command::Schema { .. } | Command::Completions { .. } | Command::Complete { .. } | Command::Man { .. } => {
            Err(Error::bug("this command needs no runtime"))
        }
    }
}
