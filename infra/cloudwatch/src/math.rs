//! Metric math, as far as the template's alarms use it: numbers, ids, `+ - * /`, comparisons,
//! `FILL` with a number or `REPEAT`, and `IF`.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>

use crate::{Unreadable, number::Number};

/// Points of consecutive periods, the newest last; `None`: a period has none.
pub type Points = Vec<Option<Number>>;

/// An expression that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expression {
    Number(Number),
    /// The id of a metric or of another expression.
    Id(String),
    Operation(Box<Self>, Operator, Box<Self>),
    Fill(Box<Self>, With),
    If(Box<Self>, Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

/// What a missing point is filled with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum With {
    Number(Number),
    /// The last point before it.
    Repeat,
}

/// What an expression gives.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Scalar(Number),
    Points(Points),
}

impl Expression {
    /// # Errors
    /// The text has what is not known here.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable::Expression(text.to_owned());
        let tokens = tokens(text).ok_or_else(unreadable)?;
        let mut parser = Parser {
            tokens: &tokens,
            next: 0,
        };
        let expression = parser.comparison().ok_or_else(unreadable)?;
        if parser.next == tokens.len() {
            Ok(expression)
        } else {
            Err(unreadable())
        }
    }

    /// All ids that it uses.
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => vec![],
            Self::Id(id) => vec![id],
            Self::Fill(inner, _) => inner.ids(),
            Self::Operation(left, _, right) => {
                [left, right].iter().flat_map(|it| it.ids()).collect()
            }
            Self::If(condition, yes, no) => {
                let parts = [condition, yes, no];
                parts.iter().flat_map(|it| it.ids()).collect()
            }
        }
    }

    /// Its points over so many periods; `of` gives those of an id. `None`: an id is not known, or
    /// the expression gives one number for all periods, which an alarm cannot watch.
    pub fn points(&self, of: &impl Fn(&str) -> Option<Points>) -> Option<Points> {
        match self.value(of)? {
            Value::Points(points) => Some(points),
            Value::Scalar(_) => None,
        }
    }

    fn value(&self, of: &impl Fn(&str) -> Option<Points>) -> Option<Value> {
        Some(match self {
            Self::Number(number) => Value::Scalar(*number),
            Self::Id(id) => Value::Points(of(id)?),
            Self::Operation(left, operator, right) => {
                let apply = |left: Number, right: Number| operator.apply(left, right);
                joined(&left.value(of)?, &right.value(of)?, apply)
            }
            Self::Fill(inner, with) => match inner.value(of)? {
                Value::Points(points) => Value::Points(filled(points, *with)),
                Value::Scalar(_) => return None,
            },
            Self::If(condition, yes, no) => {
                let (condition, yes, no) = (condition.value(of)?, yes.value(of)?, no.value(of)?);
                chosen(&condition, &yes, &no)
            }
        })
    }
}

impl Operator {
    /// `None` where the operation has no result, such as a division by zero.
    fn apply(self, left: Number, right: Number) -> Option<Number> {
        let as_number = |holds: bool| Some(Number::whole(i64::from(holds)));
        match self {
            Self::Plus => left.plus(right),
            Self::Minus => left.minus(right),
            Self::Times => left.times(right),
            Self::Over => left.over(right),
            Self::Above => as_number(left > right),
            Self::AtLeast => as_number(left >= right),
            Self::Below => as_number(left < right),
            Self::AtMost => as_number(left <= right),
            Self::Equal => as_number(left == right),
            Self::Unequal => as_number(left != right),
        }
    }
}

impl Value {
    fn at(&self, period: usize) -> Option<Number> {
        match self {
            Self::Scalar(number) => Some(*number),
            Self::Points(points) => points.get(period).copied().flatten(),
        }
    }

    fn periods(&self) -> Option<usize> {
        match self {
            Self::Scalar(_) => None,
            Self::Points(points) => Some(points.len()),
        }
    }
}

/// A period has a point where both sides have one.
fn joined(left: &Value, right: &Value, apply: impl Fn(Number, Number) -> Option<Number>) -> Value {
    let at = |period| apply(left.at(period)?, right.at(period)?);
    match left.periods().or(right.periods()) {
        Some(periods) => Value::Points((0..periods).map(at).collect()),
        // Two numbers: a division by zero of two has no use here.
        None => Value::Scalar(at(0).unwrap_or(Number::ZERO)),
    }
}

fn chosen(condition: &Value, yes: &Value, no: &Value) -> Value {
    let at = |period| {
        let holds = condition.at(period)? != Number::ZERO;
        if holds { yes } else { no }.at(period)
    };
    let periods = condition.periods().or(yes.periods()).or(no.periods());
    match periods {
        Some(periods) => Value::Points((0..periods).map(at).collect()),
        None => Value::Scalar(at(0).unwrap_or(Number::ZERO)),
    }
}

/// Of a metric without any point in the range that CloudWatch looks at nothing is filled.
fn filled(points: Points, with: With) -> Points {
    if points.iter().all(Option::is_none) {
        return points;
    }
    let mut last = None;
    points
        .into_iter()
        .map(|point| {
            last = point.or(last);
            match with {
                With::Number(number) => Some(point.unwrap_or(number)),
                With::Repeat => last,
            }
        })
        .collect()
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Number(Number),
    Word(String),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |is_part: fn(char) -> bool| {
            let end = rest.find(|it: char| !is_part(it)).unwrap_or(rest.len());
            rest.split_at(end)
        };
        let signs = [
            (">=", Token::Operator(Operator::AtLeast)),
            ("<=", Token::Operator(Operator::AtMost)),
            ("==", Token::Operator(Operator::Equal)),
            ("!=", Token::Operator(Operator::Unequal)),
            (">", Token::Operator(Operator::Above)),
            ("<", Token::Operator(Operator::Below)),
            ("+", Token::Operator(Operator::Plus)),
            ("-", Token::Operator(Operator::Minus)),
            ("*", Token::Operator(Operator::Times)),
            ("/", Token::Operator(Operator::Over)),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        let (token, after) = if first.is_ascii_digit() {
            let (number, after) = word(|it| it.is_ascii_digit() || it == '.');
            (Token::Number(Number::parse(number)?), after)
        } else if first.is_ascii_alphabetic() {
            let (word, after) = word(|it| it.is_ascii_alphanumeric() || it == '_');
            (Token::Word(word.to_owned()), after)
        } else {
            signs
                .into_iter()
                .find_map(|(sign, token)| Some((token, rest.strip_prefix(sign)?)))?
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned()?;
        self.next += 1;
        Some(token)
    }

    fn expect(&mut self, token: &Token) -> Option<()> {
        (self.take()?.eq(token)).then_some(())
    }

    /// Takes the next token if it is one of these operators.
    fn operator(&mut self, of: &[Operator]) -> Option<Operator> {
        match self.peek() {
            Some(Token::Operator(operator)) if of.contains(operator) => {
                let operator = *operator;
                self.next += 1;
                Some(operator)
            }
            Some(_) | None => None,
        }
    }

    fn comparison(&mut self) -> Option<Expression> {
        use Operator::{Above, AtLeast, AtMost, Below, Equal, Unequal};
        let of = [Above, AtLeast, Below, AtMost, Equal, Unequal];
        self.chain(&of, Self::sum)
    }

    fn sum(&mut self) -> Option<Expression> {
        self.chain(&[Operator::Plus, Operator::Minus], Self::product)
    }

    fn product(&mut self) -> Option<Expression> {
        self.chain(&[Operator::Times, Operator::Over], Self::part)
    }

    fn chain(
        &mut self,
        of: &[Operator],
        part: fn(&mut Self) -> Option<Expression>,
    ) -> Option<Expression> {
        let mut left = part(self)?;
        while let Some(operator) = self.operator(of) {
            let right = part(self)?;
            left = Expression::Operation(Box::new(left), operator, Box::new(right));
        }
        Some(left)
    }

    fn part(&mut self) -> Option<Expression> {
        match self.take()? {
            Token::Number(number) => Some(Expression::Number(number)),
            Token::Open => {
                let inner = self.comparison()?;
                self.expect(&Token::Close)?;
                Some(inner)
            }
            Token::Word(word) => self.word(word),
            Token::Operator(_) | Token::Close | Token::Comma => None,
        }
    }

    fn word(&mut self, word: String) -> Option<Expression> {
        if self.peek() != Some(&Token::Open) {
            // Ids begin with a small letter.
            let is_id = word.starts_with(|it: char| it.is_ascii_lowercase());
            return is_id.then_some(Expression::Id(word));
        }
        self.expect(&Token::Open)?;
        let first = Box::new(self.comparison()?);
        self.expect(&Token::Comma)?;
        let read = match word.as_str() {
            "FILL" => {
                let token = self.take()?;
                let with = if let Token::Number(number) = token {
                    With::Number(number)
                } else {
                    (token == Token::Word("REPEAT".to_owned())).then_some(With::Repeat)?
                };
                Expression::Fill(first, with)
            }
            "IF" => {
                let yes = Box::new(self.comparison()?);
                self.expect(&Token::Comma)?;
                Expression::If(first, yes, Box::new(self.comparison()?))
            }
            _unknown => return None,
        };
        self.expect(&Token::Close)?;
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[Option<i64>]) -> Points {
        values.iter().map(|it| it.map(Number::whole)).collect()
    }

    fn evaluated(text: &str, series: &[(&str, &[Option<i64>])]) -> Option<Points> {
        let of = |id: &str| {
            let (_, values) = series.iter().find(|(name, _)| *name == id)?;
            Some(points(values))
        };
        Expression::parse(text).unwrap().points(&of)
    }

    #[test]
    fn a_share_has_a_point_where_both_sides_have_one_and_the_divisor_is_not_zero() {
        let bad = ("bad", [Some(1), None, Some(3), Some(0)].as_slice());
        let total = ("total", [Some(2), Some(5), Some(0), Some(4)].as_slice());
        let half = Number::parse("0.5");
        let expected = vec![half, None, None, Some(Number::ZERO)];
        assert_eq!(evaluated("bad / total", &[bad, total]), Some(expected));
        let whole = evaluated("IF(total > 0, bad / total * 2, 7)", &[bad, total]);
        assert_eq!(whole, Some(points(&[Some(1), None, Some(7), Some(0)])));
        // Division binds closer than addition, and both go from left to right.
        let all = evaluated("8 - total - 1 + 4 / 2 * 3", &[total]);
        assert_eq!(all, Some(points(&[Some(11), Some(8), Some(13), Some(9)])));
    }

    #[test]
    fn missing_points_are_filled_unless_there_is_none_at_all() {
        let some = ("some", [None, Some(4), None].as_slice());
        let none = ("none", [None, None, None].as_slice());
        let all = |text| evaluated(text, &[some, none]);
        assert_eq!(
            all("FILL(some, 0)"),
            Some(points(&[Some(0), Some(4), Some(0)]))
        );
        assert_eq!(
            all("FILL(some, REPEAT)"),
            Some(points(&[None, Some(4), Some(4)]))
        );
        assert_eq!(all("FILL(none, 0)"), Some(points(&[None; 3])));
        assert_eq!(
            all("FILL(some, 0) + FILL(none, 0)"),
            Some(points(&[None; 3]))
        );
    }

    #[test]
    fn what_is_not_known_here_is_refused_and_a_number_alone_is_no_series() {
        for text in [
            "",
            "m1 +",
            "Bad",
            "RATE(m1)",
            "FILL(m1)",
            "IF(m1, 2)",
            "(m1",
            "m1 m2",
            "m1 ? 2",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
        assert_eq!(evaluated("1 + 2", &[]), None);
        assert_eq!(evaluated("unknown", &[]), None);
        let ids = Expression::parse("IF(a >= 3, FILL(b, 0), c)").unwrap();
        assert_eq!(ids.ids(), ["a", "b", "c"]);
    }
}
