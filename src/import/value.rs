//! Between stages 1 and 2: a text that may hold variables, before it is known how they are written down. Pure.

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// As it stands.
    Text(String),
    /// A variable of `[vars]`, and its default.
    Var(String, String),
    /// A fact of the platform, and what it is for `linux/amd64`.
    Platform(&'static str, &'static str),
}

/// A text with variables in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(Vec<Part>);

impl Value {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Value {
        Value(vec![Part::Text(text.into())])
    }

    /// A variable with its default.
    pub fn var(name: &str, default: String) -> Value {
        Value(vec![Part::Var(name.into(), default)])
    }

    /// A fact of the platform that is built for.
    pub fn platform(name: &'static str, amd64: &'static str) -> Value {
        Value(vec![Part::Platform(name, amd64)])
    }

    /// The same with a character behind it.
    pub fn push(&mut self, character: char) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.push(character),
            _ => self.0.push(Part::Text(character.into())),
        }
    }

    /// The same with another value behind it.
    pub fn extend(&mut self, other: &Value) {
        for part in &other.0 {
            match part {
                Part::Text(text) => text.chars().for_each(|character| self.push(character)),
                part => self.0.push(part.clone()),
            }
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.plain().is_empty()
    }

    /// With every variable replaced by its default.
    pub fn plain(&self) -> String {
        self.written(&|_, default| default.into(), &|_, amd64| amd64.into(), &|text, _| text.into())
    }

    /// As a path: platforms stay open, variables are replaced by their defaults.
    pub fn path(&self) -> String {
        self.written(&|_, default| escape(default, false), &|name, _| braces(name), &escape)
    }

    /// As a string of the manifest, with everything open.
    pub fn template(&self) -> String {
        self.written(&|name, _| braces(name), &|name, _| braces(name), &escape)
    }

    /// The variables in it.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|part| match part {
            Part::Var(name, default) => Some((name.as_str(), default.as_str())),
            _ => None,
        })
    }

    fn written(
        &self,
        var: &dyn Fn(&str, &str) -> String,
        platform: &dyn Fn(&str, &str) -> String,
        text: &dyn Fn(&str, bool) -> String,
    ) -> String {
        let part = |(at, part): (usize, &Part)| match part {
            Part::Text(plain) => text(plain, at + 1 < self.0.len()),
            Part::Var(name, default) => var(name, default),
            Part::Platform(name, amd64) => platform(name, amd64),
        };
        self.0.iter().enumerate().map(part).collect()
    }
}

fn braces(name: &str) -> String {
    format!("{{{{ {name} }}}}")
}

/// A text that no template changes; `more` says that braces may follow.
pub fn escape(text: &str, more: bool) -> String {
    let mut escaped = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        escaped += &rest[..at];
        let next = rest[at + 1..].chars().next();
        let opens = match next {
            Some(next) => "{%#".contains(next),
            None => more,
        };
        escaped += if opens { "{{ '{' }}" } else { "{" };
        rest = &rest[at + 1..];
    }
    escaped + rest
}

/// A string of TOML.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            control if control.is_control() => out += &format!("\\u{:04X}", u32::from(control)),
            other => out.push(other),
        }
    }
    out + "\""
}

/// A list of strings of TOML.
pub fn list<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    format!("[{}]", words.join(", "))
}

/// A key of TOML: bare where it may be.
pub fn key(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !text.is_empty() && text.bytes().all(bare) { text.into() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_a_text_stay_a_text() {
        assert_eq!(escape("a {b} c", false), "a {b} c");
        assert_eq!(escape("{{ .Name }}{%{#", false), "{{ '{' }}{ .Name }}{{ '{' }}%{{ '{' }}#");
        let mut value = Value::text("{");
        value.extend(&Value::var("V", "1".into()));
        assert_eq!(value.template(), "{{ '{' }}{{ V }}");
        assert_eq!(value.plain(), "{1");
    }

    #[test]
    fn strings_and_keys_are_those_of_toml() {
        let text = "a \"b\" \\ \n\t\u{1}é";
        let read: toml::Table = format!("x = {}\n{} = 1", quoted(text), key("a.b")).parse().unwrap();
        assert_eq!(read["x"].as_str(), Some(text));
        assert!(read.contains_key("a.b"));
    }
}
