//! Questions that the rules ask about tokens.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

pub fn trees(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

fn is_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':')
}

/// What follows `::`, or nothing if that is not what comes next.
pub fn after_colons(tokens: &[TokenTree]) -> &[TokenTree] {
    match tokens {
        [first, second, rest @ ..] if is_colon(first) && is_colon(second) => rest,
        _ => &[],
    }
}

/// Whether `::` came last, so that the path began earlier.
pub fn after_path(before: &[TokenTree]) -> bool {
    matches!(before, [.., first, second] if is_colon(first) && is_colon(second))
}

/// Whether an item ends here: at its body or its semicolon.
pub fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => token.to_string() == ";",
    }
}

/// `cfg(test)`, or `cfg(all(test, …))` whatever the rest.
pub fn means_test(attribute: &[TokenTree]) -> bool {
    let text: String = attribute.iter().map(ToString::to_string).collect();
    let text = text.replace(char::is_whitespace, "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}
