//! Between stages 0 and 1: which program runs a script. First bytes in, the interpreter and its argument out, read as the kernel reads them
//! (Linux, `fs/binfmt_script.c`). Pure.

/// The first line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter's path, as it stands; empty where the kernel would find none.
    pub interpreter: String,
    /// All that stands behind it: one argument, blanks included.
    pub argument: Option<String>,
}

/// What a script starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starts {
    /// Its interpreter and nothing else.
    Interpreter,
    /// A program that `env` looks for.
    ByEnv(String),
    /// Two or more words that `env` takes for the name of one program.
    Words(String),
    /// Something that cannot be told from here.
    Unknown,
}

/// The first line of a script; `None` where the kernel would not take it for one.
pub(super) fn read(head: &[u8]) -> Option<Script> {
    let rest = head.strip_prefix(b"#!")?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | 0));
    let line = rest.get(..end.unwrap_or(rest.len()))?;
    let from = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let to = line.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    let line = line.get(from..to).unwrap_or_default();
    let split = line.iter().position(blank);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A path that does not end within what the kernel reads is refused by it.
    let cut = end.is_none() && split.is_none() && head.len() as u64 >= super::HEAD;
    let (interpreter, argument) = match split {
        _ if cut => (&[][..], None),
        None => (line, None),
        Some(at) => {
            let (interpreter, rest) = line.split_at(at);
            let from = rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len());
            (interpreter, rest.get(from..).map(text))
        }
    };
    Some(Script { interpreter: text(interpreter), argument })
}

impl Script {
    /// What it starts, if `env` is asked to find it.
    pub fn starts(&self) -> Starts {
        if self.interpreter.rsplit('/').next() != Some("env") {
            return Starts::Interpreter;
        }
        let Some(argument) = &self.argument else { return Starts::Unknown };
        let Some(options) = argument.strip_prefix('-') else {
            let one = !argument.contains([' ', '\t']);
            return if one { Starts::ByEnv(argument.clone()) } else { Starts::Words(argument.clone()) };
        };
        // `-S` makes words of what the kernel hands over as one; other options may stand before it, in one word.
        let split = match options.split_once('S') {
            Some((before, rest)) if before.bytes().all(|byte| b"iv0".contains(&byte)) => rest,
            _ => match options.strip_prefix("-split-string") {
                Some(rest) => rest.strip_prefix('=').unwrap_or(rest),
                None => return Starts::Unknown,
            },
        };
        let mut words = split.split([' ', '\t']).filter(|word| !word.is_empty());
        let name = words.find(|word| !word.contains('='));
        match name {
            Some(name) if !name.starts_with('-') && !name.contains(['\'', '"', '\\', '$', '#']) => {
                Starts::ByEnv(name.to_string())
            }
            _ => Starts::Unknown,
        }
    }
}
