//! A script's text, read from its front.

pub(crate) struct Text<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Text<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The number of the line that is being read.
    pub(crate) fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    /// Steps over spaces and comments.
    pub(crate) fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let skipped = match trimmed {
                comment if comment.starts_with("//") => comment.find('\n').unwrap_or(comment.len()),
                comment if comment.starts_with("/*") => {
                    comment.find("*/").map_or(comment.len(), |end| end + 2)
                }
                _ => 0,
            };
            self.at += rest.len() - trimmed.len() + skipped;
            if skipped == 0 {
                return;
            }
        }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.skip();
        self.rest().is_empty()
    }

    pub(crate) fn starts_with(&mut self, what: &str) -> bool {
        self.skip();
        self.rest().starts_with(what)
    }

    /// Takes `what` if it comes next.
    pub(crate) fn eat(&mut self, what: &str) -> bool {
        let found = self.starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    pub(crate) fn expect(&mut self, what: &str) -> Result<(), String> {
        if self.eat(what) { Ok(()) } else { Err(self.unexpected(what)) }
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest().chars().take(20).collect();
        format!("line {}: {wanted} is wanted at `{found}`", self.line())
    }

    /// Everything up to `end`, which is taken as well.
    pub(crate) fn until(&mut self, end: char) -> Result<&'a str, String> {
        let len = self.rest().find(end).ok_or_else(|| self.unexpected(&format!("`{end}`")))?;
        let found = &self.rest()[..len];
        self.at += len + end.len_utf8();
        Ok(found)
    }

    /// The letters, digits and underscores that come next.
    pub(crate) fn word(&mut self) -> &'a str {
        self.skip();
        self.while_(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    pub(crate) fn while_(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// A whole number, in decimal or after `0x`.
    pub(crate) fn number(&mut self) -> Result<i64, String> {
        self.skip();
        let negative = self.eat("-");
        let digits = self.while_(|c| c.is_ascii_alphanumeric());
        let number = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let number = number.map_err(|_| self.unexpected("a number"))?;
        Ok(if negative { -number } else { number })
    }

    /// Seconds, as microseconds: `1`, `.01`, `0.2`; two points that follow are not taken.
    pub(crate) fn seconds_us(&mut self) -> Result<u64, String> {
        self.skip();
        let whole = self.while_(|c| c.is_ascii_digit());
        let after = self.rest().strip_prefix('.').filter(|after| !after.starts_with('.'));
        let fraction = match after {
            Some(_) => {
                self.at += 1;
                self.while_(|c| c.is_ascii_digit())
            }
            None => "",
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(self.unexpected("a time"));
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().expect("digits") };
        let micros: u64 = format!("{fraction:0<6}")[..6].parse().expect("digits");
        Ok(whole * 1_000_000 + micros)
    }
}
