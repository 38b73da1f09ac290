//! The person who makes a request. The name is stored permanently with decisions about money, so it
//! comes only from a verified token and never from another header. On a developer's machine, where
//! nothing is real, it is typed in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flows::{incoming::Incoming, problem::Problem};
use lambda_http::request::RequestContext;

use crate::settings::{Auth, Claims};

/// The longest name, in characters.
const NAME_MAX: usize = 128;
/// Remembers what was typed in.
const COOKIE: &str = "console_you";

/// A person's name as it is stored.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Person(String);

/// The person at the page.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Viewer {
    /// Whom the token names.
    Known(Person),
    /// The name is typed in; the one of last time, if there was one.
    TypesIn(Option<Person>),
}

impl Person {
    /// A name, without blanks around it. Not an empty one, a longer one, or one with control
    /// characters.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let name = text.trim();
        let fits = !name.is_empty()
            && name.chars().count() <= NAME_MAX
            && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

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
    /// A problem if a token is required and none names an allowed person.
    pub(crate) fn of(
        auth: &Auth,
        context: Option<&RequestContext>,
        incoming: &Incoming,
    ) -> Result<Self, Problem> {
        match auth {
            Auth::Jwt(claims) => {
                let token = incoming.header("authorization");
                by_token(claims, context, token).map(Self::Known)
            }
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

    /// The person recorded for a decision. `typed` is the name in the form, and counts only if
    /// names are typed in.
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

/// `token` is the header that the gateway has verified: it separates the groups if the gateway's
/// own claims do not.
fn by_token(
    claims: &Claims,
    context: Option<&RequestContext>,
    token: Option<&str>,
) -> Result<Person, Problem> {
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
    let listed = claim(&claims.groups).unwrap_or_default();
    let in_token = || token.and_then(|token| names_in_token(token, &claims.groups, listed));
    if !lists(listed, &claims.group, in_token) {
        return Err(Problem::not_in_group());
    }
    let named = claim(&claims.person).unwrap_or_default();
    let by_email = claims.person == "email";
    // A user who can set any address could pose as two persons.
    if by_email && !named.is_empty() && claim("email_verified") != Some("true") {
        return Err(Problem::no_person(
            "Your token does not say that its email address is verified, so it does not say who you are. Confirm the address with your identity provider and sign in again. If no token says so, ask the people who run the system to have the provider add the claim `email_verified`, or to let the stack's ConsolePersonClaim name a claim that people cannot change, such as `sub`.",
        ));
    }
    // An address in two spellings is one person, whichever claim holds it.
    let person = if by_email || named.contains('@') {
        Person::named(&named.to_lowercase())
    } else {
        Person::named(named)
    };
    person.ok_or_else(|| {
        Problem::no_person(format!(
            "Your token has no claim `{}` to identify you. Sign in with a token that has it, or ask the people who run the system to let the stack's ConsolePersonClaim name one that all tokens have.",
            claims.person
        ))
    })
}

/// Whether the claim lists the group.
///
/// The gateway writes the array `["a", "b"]` as `[a b]`, which is how it writes `["a b"]` too. A
/// member of the group `finance readers` must not count as one of `finance`, so such a list is not
/// split here: `in_token` has the separate names; without it the whole text is one name. A provider
/// that sends a text instead of an array writes JSON, or commas between the names.
fn lists(claim: &str, group: &str, in_token: impl Fn() -> Option<Vec<String>>) -> bool {
    let is_it = |name: &str| name == group;
    if let Ok(names) = serde_json::from_str::<Vec<String>>(claim) {
        return names.iter().any(|name| is_it(name));
    }
    let flattened = claim
        .strip_prefix('[')
        .and_then(|claim| claim.strip_suffix(']'));
    match flattened {
        Some(one) => is_it(one) || in_token().is_some_and(|all| all.iter().any(|one| is_it(one))),
        None => claim.split(',').any(|name| is_it(name.trim())),
    }
}

/// The names in a claim of the token that the gateway has verified, if the claim is an array that
/// the gateway writes like this. So the header adds nothing to what was verified; it only says
/// where one name ends and the next begins.
fn names_in_token(token: &str, claim: &str, as_verified: &str) -> Option<Vec<String>> {
    let token = token.split_once(' ').map_or(token, |(_, token)| token);
    let payload = token.trim().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let names = payload.get(claim)?.as_array()?.iter();
    let names = names.map(|name| name.as_str().map(str::to_owned));
    let names: Vec<String> = names.collect::<Option<_>>()?;
    (format!("[{}]", names.join(" ")) == as_verified).then_some(names)
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

    fn claims(group: &str) -> Claims {
        Claims {
            person: "email".to_owned(),
            group: group.to_owned(),
            groups: "cognito:groups".to_owned(),
        }
    }

    fn verified(claims: &Value) -> RequestContext {
        let context = json!({"authorizer": {"jwt": {"claims": claims}}, "http": {"method": "GET"}});
        RequestContext::ApiGatewayV2(serde_json::from_value(context).unwrap())
    }

    fn name(claims: &Claims, given: &Value) -> Result<String, &'static str> {
        with_token(claims, given, None)
    }

    fn with_token(
        claims: &Claims,
        given: &Value,
        token: Option<&str>,
    ) -> Result<String, &'static str> {
        match by_token(claims, Some(&verified(given)), token) {
            Ok(person) => Ok(person.name().to_owned()),
            Err(problem) => Err(problem.code),
        }
    }

    /// A token from a provider; the gateway verifies its signature, this code does not.
    fn token(payload: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!(
            "Bearer {}.{}.c2ln",
            part(&json!({"alg": "RS256"})),
            part(payload)
        )
    }

    fn in_groups(listed: &str) -> Value {
        json!({"email": "li@example.com", "email_verified": "true", "cognito:groups": listed})
    }

    #[test]
    fn the_verified_token_names_the_person_and_nothing_else_does() {
        let plain = claims("finance");
        let li = json!({
            "email": "Li@Example.com", "email_verified": "true", "sub": "1",
            "cognito:groups": "[finance]",
        });
        assert_eq!(name(&plain, &li), Ok("li@example.com".to_owned()));
        assert_eq!(name(&plain, &json!({})), Err("not_in_group"), "no claims");
        for (mut given, why) in [
            (json!({"sub": "1"}), "another claim would be another person"),
            (
                json!({"email": " ", "email_verified": "true"}),
                "an empty name",
            ),
            (
                json!({"email": "a\nb", "email_verified": "true"}),
                "a control character",
            ),
        ] {
            given["cognito:groups"] = json!("[finance]");
            assert_eq!(name(&plain, &given), Err("no_person"), "{why}");
        }
        let refused = by_token(&plain, None, None).err().unwrap();
        assert_eq!((refused.status.as_u16(), refused.bring), (401, "Bearer"));

        let request = http::Request::get("/console")
            .header("cookie", "console_you=boss")
            .header("x-amzn-oidc-identity", "boss");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let incoming = Incoming::new(parts, Vec::new());
        let viewer = Viewer::of(&Auth::Jwt(plain), None, &incoming);
        assert_eq!(viewer.err().unwrap().code, "no_person");
    }

    #[test]
    fn an_address_that_is_not_verified_names_no_person() {
        for verified in [json!("false"), json!("TRUE"), json!(""), Value::Null] {
            let mut given = json!({"email": "boss@example.com", "cognito:groups": "[finance]"});
            if verified.is_string() {
                given["email_verified"] = verified.clone();
            }
            let refused = by_token(&claims("finance"), Some(&self::verified(&given)), None);
            let refused = refused.err().unwrap();
            assert_eq!(refused.code, "no_person", "{verified}");
            let detail = &refused.detail;
            assert!(detail.contains("email_verified") && detail.contains("ConsolePersonClaim"));
        }
        let by_sub = Claims {
            person: "sub".to_owned(),
            ..claims("finance")
        };
        let given =
            json!({"email": "boss@example.com", "sub": "u-1", "cognito:groups": "[finance]"});
        assert_eq!(name(&by_sub, &given), Ok("u-1".to_owned()));
    }

    #[test]
    fn an_address_in_two_spellings_is_one_person_whichever_claim_holds_it() {
        for (claim, claimed, person) in [
            ("email", "Li@Example.com", "li@example.com"),
            ("preferred_username", "Li@Example.com", "li@example.com"),
            ("upn", "LI@EXAMPLE.COM", "li@example.com"),
            ("sub", "aB1", "aB1"),
        ] {
            let claims = Claims {
                person: claim.to_owned(),
                ..claims("finance")
            };
            let mut given = json!({"email_verified": "true", "cognito:groups": "[finance]"});
            given[claim] = json!(claimed);
            assert_eq!(name(&claims, &given), Ok(person.to_owned()), "{claim}");
        }
    }

    #[test]
    fn a_group_is_found_in_each_form_in_which_it_is_listed() {
        let finance = claims("finance");
        for listed in [
            "finance",
            "[finance]",
            "staff,finance",
            "staff, finance",
            r#"["staff","finance"]"#,
        ] {
            assert!(name(&finance, &in_groups(listed)).is_ok(), "{listed}");
        }
        for listed in [
            "",
            "[]",
            "[finances]",
            "staff",
            "[not-finance staff]",
            "[[finance]]",
            "Finance",
        ] {
            let given = in_groups(listed);
            assert_eq!(name(&finance, &given), Err("not_in_group"), "{listed}");
        }
        let none = json!({"email": "li@example.com", "email_verified": "true"});
        assert_eq!(name(&finance, &none), Err("not_in_group"));
    }

    #[test]
    fn a_blank_in_a_groups_name_gives_no_access_to_another_group() {
        let finance = claims("finance");
        for listed in [
            "[finance readers]",
            "[staff finance]",
            "[readers, finance]",
            "finance readers",
            r#"["finance readers"]"#,
            "finance readers,staff",
        ] {
            let given = in_groups(listed);
            assert_eq!(name(&finance, &given), Err("not_in_group"), "{listed}");
        }
    }

    #[test]
    fn the_verified_token_says_which_names_the_gateway_wrote_into_one_text() {
        let finance = claims("finance");
        let given = in_groups("[finance readers]");
        let asked = |groups: Value| {
            let token = token(&json!({"cognito:groups": groups}));
            with_token(&finance, &given, Some(&token))
        };
        assert!(asked(json!(["finance", "readers"])).is_ok());
        for (groups, why) in [
            (json!(["finance readers"]), "one group with a blank"),
            (json!(["finance"]), "not what was verified"),
            (
                json!(["finance", "readers", "staff"]),
                "not what was verified",
            ),
            (json!("finance readers"), "no array"),
            (json!(["finance", 1]), "no names"),
        ] {
            assert_eq!(asked(groups), Err("not_in_group"), "{why}");
        }
        for broken in ["", "Bearer", "Bearer a.b.c", "Bearer ..", "a.!!.c"] {
            let refused = with_token(&finance, &given, Some(broken));
            assert_eq!(refused, Err("not_in_group"), "{broken}");
        }
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
