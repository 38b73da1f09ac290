//! Who asks. A name stands in the table for good, behind money that moved, so it comes from a verified token and from
//! nowhere else: no header says who somebody is. On a developer's machine, where nothing is real, it is typed in.

use flows::{incoming::Incoming, problem::Problem};
use lambda_http::request::RequestContext;

use crate::settings::{Auth, Claims};

/// The longest name, in characters.
const NAME_MAX: usize = 128;
/// Remembers what was typed in.
const COOKIE: &str = "console_you";

/// A person's name, as the table keeps it.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Person(String);

/// Who stands before the page.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Viewer {
    /// Whom the token names.
    Known(Person),
    /// Whoever types a name in; the one of last time, if there was one.
    TypesIn(Option<Person>),
}

impl Person {
    /// A name, without blanks around it. Not an empty one, a longer one, or one with control characters.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let name = text.trim();
        let fits = !name.is_empty()
            && name.chars().count() <= NAME_MAX
            && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// `Set-Cookie` for a name that was typed in.
    pub(crate) fn cookie(&self) -> String {
        let value: String = form_urlencoded::byte_serialize(self.0.as_bytes()).collect();
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000")
    }
}

impl Viewer {
    /// Who sent this request.
    ///
    /// # Errors
    /// A problem when a token is needed and there is none that names an allowed person.
    pub(crate) fn of(
        auth: &Auth,
        context: Option<&RequestContext>,
        incoming: &Incoming,
    ) -> Result<Self, Problem> {
        match auth {
            Auth::Jwt(claims) => by_token(claims, context).map(Self::Known),
            Auth::Loopback => Ok(Self::TypesIn(remembered(incoming.header("cookie")))),
        }
    }

    /// The name, if one is known before a form is filled in.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Known(person) | Self::TypesIn(Some(person)) => Some(person.name()),
            Self::TypesIn(None) => None,
        }
    }

    /// Whether names are typed in here.
    pub(crate) fn types_in(&self) -> bool {
        match self {
            Self::Known(_) => false,
            Self::TypesIn(_) => true,
        }
    }

    /// Whom a decision is put down to. `typed` is what stands in the form, and counts only where names are typed in.
    ///
    /// # Errors
    /// A problem when there is no name.
    pub(crate) fn decides(&self, typed: Option<&str>) -> Result<Person, Problem> {
        match (self, typed) {
            (Self::Known(person) | Self::TypesIn(Some(person)), None)
            | (Self::Known(person), Some(_)) => Ok(person.clone()),
            (Self::TypesIn(_), Some(typed)) => Person::named(typed)
                .ok_or_else(|| Problem::no_person("Say who you are, in 1 to 128 characters.")),
            (Self::TypesIn(None), None) => Err(Problem::no_person(format!(
                "This console runs on your own machine and knows nobody: send your name in the cookie {COOKIE}."
            ))),
        }
    }
}

fn by_token(claims: &Claims, context: Option<&RequestContext>) -> Result<Person, Problem> {
    let verified = match context {
        Some(RequestContext::ApiGatewayV2(context)) => context
            .authorizer
            .as_ref()
            .and_then(|authorizer| authorizer.jwt.as_ref()),
        Some(_) | None => None,
    };
    let verified = verified.ok_or_else(|| {
        Problem::no_person("Sign in: the request has no token that was verified.")
    })?;
    let claim = |name: &str| verified.claims.get(name).map(String::as_str);
    if let Some(group) = &claims.group
        && !claim(&claims.groups).is_some_and(|listed| lists(listed, group))
    {
        return Err(Problem::not_in_group());
    }
    let named = claim(&claims.person).unwrap_or_default();
    let by_email = claims.person == "email";
    // Whoever can write any address into an account could be two persons.
    if by_email && claim("email_verified").is_some_and(|verified| verified != "true") {
        return Err(Problem::no_person(
            "Your token's email address is not verified. Confirm it with your identity provider, and sign in again.",
        ));
    }
    let person = if by_email {
        Person::named(&named.to_lowercase())
    } else {
        Person::named(named)
    };
    person.ok_or_else(|| {
        Problem::no_person(format!(
            "Your token has no claim `{}` to call you by. Sign in with a token that has it, or let CONSOLE_PERSON_CLAIM name one that all tokens have.",
            claims.person
        ))
    })
}

/// Whether the claim lists the group. The gateway writes an array as `[a b]`; a provider may also give one text.
fn lists(claim: &str, group: &str) -> bool {
    let listed = claim
        .strip_prefix('[')
        .and_then(|claim| claim.strip_suffix(']'));
    claim == group
        || listed
            .unwrap_or(claim)
            .split([' ', ','])
            .any(|one| one.trim_matches('"') == group)
}

fn remembered(cookies: Option<&str>) -> Option<Person> {
    let pairs = cookies?.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim() == COOKIE)?;
    let pair = format!("you={}", value.trim());
    let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    Person::named(&value)
}

#[cfg(test)]
mod tests {
    use lambda_http::http;
    use serde_json::{Value, json};

    use super::*;

    fn claims(group: Option<&str>) -> Claims {
        Claims {
            person: "email".to_owned(),
            group: group.map(str::to_owned),
            groups: "cognito:groups".to_owned(),
        }
    }

    fn verified(claims: &Value) -> RequestContext {
        let context = json!({"authorizer": {"jwt": {"claims": claims}}, "http": {"method": "GET"}});
        RequestContext::ApiGatewayV2(serde_json::from_value(context).unwrap())
    }

    fn name(claims: &Claims, given: &Value) -> Result<String, &'static str> {
        match by_token(claims, Some(&verified(given))) {
            Ok(person) => Ok(person.name().to_owned()),
            Err(problem) => Err(problem.code),
        }
    }

    #[test]
    fn the_verified_token_names_the_person_and_nothing_else_does() {
        let plain = claims(None);
        let li = json!({"email": "Li@Example.com", "sub": "1"});
        assert_eq!(name(&plain, &li), Ok("li@example.com".to_owned()));
        for (given, why) in [
            (json!({}), "no claims"),
            (json!({"sub": "1"}), "another claim would be another person"),
            (json!({"email": " "}), "an empty name"),
            (json!({"email": "a\nb"}), "a control character"),
            (
                json!({"email": "li@example.com", "email_verified": "false"}),
                "an address that anybody may have typed in",
            ),
        ] {
            assert_eq!(name(&plain, &given), Err("no_person"), "{why}");
        }
        let nobody = by_token(&plain, None).err().unwrap();
        assert_eq!((nobody.status.as_u16(), nobody.bring), (401, "Bearer"));

        let request = http::Request::get("/console")
            .header("cookie", "console_you=boss")
            .header("x-amzn-oidc-identity", "boss");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let incoming = Incoming::new(parts, Vec::new());
        let viewer = Viewer::of(&Auth::Jwt(plain), None, &incoming);
        assert_eq!(viewer.err().unwrap().code, "no_person");
    }

    #[test]
    fn a_group_is_found_in_each_form_in_which_it_is_listed() {
        let finance = claims(Some("finance"));
        for listed in [
            "finance",
            "[finance]",
            "[staff finance]",
            "staff finance",
            "staff,finance",
            r#"["staff","finance"]"#,
        ] {
            let given = json!({"email": "li@example.com", "cognito:groups": listed});
            assert!(name(&finance, &given).is_ok(), "{listed}");
        }
        for listed in ["", "[]", "[finances]", "staff", "[not-finance staff]"] {
            let given = json!({"email": "li@example.com", "cognito:groups": listed});
            assert_eq!(name(&finance, &given), Err("not_in_group"), "{listed}");
        }
        let none = json!({"email": "li@example.com"});
        assert_eq!(name(&finance, &none), Err("not_in_group"));
    }

    #[test]
    fn a_name_that_was_typed_in_is_remembered_whatever_it_holds() {
        for typed in ["li", " 李 娜 ", "a;b=c", "O'Brien & Söhne"] {
            let person = Person::named(typed).unwrap();
            let cookie = person.cookie();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
            let sent = format!("theme=dark; {}", cookie.split(';').next().unwrap());
            assert_eq!(remembered(Some(&sent)).unwrap().name(), typed.trim());
        }
        assert!(remembered(Some("other=x")).is_none());
        assert!(Person::named(&"x".repeat(129)).is_none());
    }

    #[test]
    fn what_is_typed_in_counts_only_where_there_is_no_token() {
        let li = Person::named("li").unwrap();
        let known = Viewer::Known(li.clone());
        assert_eq!(known.decides(Some("boss")).ok().unwrap().name(), "li");
        let types = Viewer::TypesIn(Some(li));
        assert_eq!(types.decides(Some("wang")).ok().unwrap().name(), "wang");
        assert_eq!(types.decides(None).ok().unwrap().name(), "li");
        assert!(types.decides(Some(" ")).is_err());
        assert!(Viewer::TypesIn(None).decides(None).is_err());
    }
}
