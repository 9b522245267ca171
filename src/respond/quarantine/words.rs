//! Small helpers of text.

/// Letters of a line of a comment.
const WIDTH: usize = 92;

/// A text in lines that each begin with `lead`, each ended.
pub(super) fn wrapped(text: &str, lead: &str) -> String {
    let mut out = String::new();
    let mut line = String::from(lead);
    for word in text.split_whitespace() {
        let is_first = line.len() == lead.len();
        if !is_first && line.len() + 1 + word.len() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = String::from(lead);
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_between_words() {
        let text = wrapped(&"word ".repeat(40), "# ");
        assert!(
            text.lines()
                .all(|line| line.len() <= WIDTH && line.starts_with("# "))
        );
        assert_eq!(text.matches("word").count(), 40);
    }
}
